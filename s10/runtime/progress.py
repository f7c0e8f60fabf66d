"""Progress in a terminal and in a notebook: a bar for the batches, a line for each epoch."""

import contextlib
import os
import sys
import time
from collections.abc import Iterable, Iterator

from tqdm import tqdm

from s10.runtime.hooks import Hook

SECONDS_BETWEEN_UPDATES = 0.25
_quiet = False


class BatchBar:
    """Iterate over batches, or other things, under a progress bar.

    The bar is plain text, also in a notebook, where a widget would be lost at a
    reconnect. Without a terminal to draw on, there is none.
    """

    def __init__(self, batches: Iterable, title: str = "", unit: str = "batch"):
        self.bar = tqdm(
            batches, desc=title, initial=getattr(batches, "first_batch", 0), leave=False,
            unit=unit, dynamic_ncols=True, disable=not _can_draw(),
            mininterval=SECONDS_BETWEEN_UPDATES, file=bar_stream(),
        )  # fmt: skip
        self.last = -SECONDS_BETWEEN_UPDATES

    def __iter__(self):
        return iter(self.bar)

    def update(self, metrics) -> None:
        """Show loss, accuracy and LR, but not too often: reading them waits for a GPU."""
        if self.bar.disable or time.monotonic() - self.last <= SECONDS_BETWEEN_UPDATES:
            return
        self.last = time.monotonic()
        self.bar.set_postfix_str(
            f"loss {metrics.loss:.4f}, accuracy {metrics.accuracy:.2%}, LR {metrics.lr:.3g}"
        )


class PrintEpochs(Hook):
    """Print a line for each epoch, and where an interrupted run stopped."""

    def on_epoch(self, state) -> None:
        print(format_epoch(state.history[-1], state.recipe.epochs), flush=True)
        if state.skipped:
            steps = "1 step was" if state.skipped == 1 else f"{state.skipped} steps were"
            print(f"  {steps} skipped, as gradients overflowed in fp16", flush=True)

    def on_end(self, state) -> None:
        if state.stop and not state.finished:
            print(f"stopped after {state.position}", flush=True)


def format_epoch(row: dict, epochs: int) -> str:
    """One line of text for a row of the history; percentages are accuracies.

    Short enough not to be wrapped in a notebook.
    """
    return (
        f"epoch {row['epoch']:2d}/{epochs}  LR {row['lr']:.6f}  momentum {row['momentum']:.3f}  "
        f"train loss {row['train_loss']:.4f}, {row['train_accuracy']:6.2%}  "
        f"test loss {row['test_loss']:.4f}, {row['test_accuracy']:6.2%}  "
        f"{row['seconds']:.1f} s"
    )


def epoch_title(state) -> str:
    """Such as "epoch 3/24, 5 minutes left", at the mean duration of the epochs so far."""
    epochs, rows = state.recipe.epochs, state.history
    if not rows:
        return f"epoch {state.epoch}/{epochs}"
    seconds = sum(row["seconds"] for row in rows) / len(rows) * (epochs - len(rows))
    return f"epoch {state.epoch}/{epochs}, {format_duration(seconds)} left"


def format_duration(seconds: float) -> str:
    """Such as "1 second", "45 seconds", "6.1 minutes" or "2.5 hours"."""
    if seconds < 60:
        count = max(1, round(seconds))
        return f"{count} second{'' if count == 1 else 's'}"
    return f"{seconds / 60:.1f} minutes" if seconds < 90 * 60 else f"{seconds / 3600:.1f} hours"


@contextlib.contextmanager
def no_bars() -> Iterator[None]:
    """No progress bars inside this block, for steps that are only timed."""
    global _quiet
    before, _quiet = _quiet, True
    try:
        yield
    finally:
        _quiet = before


class _Forgiving:
    """A stream that loses what cannot be written: `| head` has ended, a log's disk is full."""

    def __init__(self, stream):
        self.stream = stream
        self.coding = getattr(stream, "encoding", None) or "utf-8", "backslashreplace"

    def __getattr__(self, name: str):
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self.stream.write(text.encode(*self.coding).decode(self.coding[0]))
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self.stream.flush()


@contextlib.contextmanager
def ignore_output_errors() -> Iterator[None]:
    """Printing in this block, or function, is never a reason to stop, or not to save."""
    before = {"stdout": sys.stdout, "stderr": sys.stderr}
    for name, stream in before.items():
        setattr(sys, name, stream and _Forgiving(stream))  # None: pythonw has no streams.
    try:
        yield
    finally:
        for name, stream in before.items():
            # One that fails stays guarded: Python flushes it once more when it ends.
            with contextlib.suppress(OSError):
                if stream:
                    stream.flush()
                setattr(sys, name, stream)


def bar_stream():
    """Where bars are drawn: notebooks show stderr on red, and a cleared bar as an empty strip."""
    return sys.stdout if _in_notebook() else sys.stderr


def _can_draw() -> bool:
    first = os.environ.get("RANK", "0") == "0"  # Of torchrun's processes.
    return first and not _quiet and (sys.stderr.isatty() or _in_notebook())


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return hasattr(shell, "kernel")
