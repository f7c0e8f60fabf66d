"""Progress in a terminal and in a notebook: a bar for the batches, a line for the epoch."""

import contextlib
import sys
import time
from collections.abc import Iterable, Iterator

from tqdm import tqdm

SECONDS_BETWEEN_UPDATES = 0.25
_quiet = False


class BatchBar:
    """Iterate over batches under a progress bar.

    The bar is plain text, also in a notebook, where a widget would be lost at
    a reconnect. Without a terminal to draw on, there is none.
    """

    def __init__(self, batches: Iterable, title: str = ""):
        self.bar = tqdm(
            batches, desc=title, leave=False, unit="batch", dynamic_ncols=True,
            disable=not _can_draw(), mininterval=SECONDS_BETWEEN_UPDATES, file=bar_stream(),
        )  # fmt: skip
        self.last = -SECONDS_BETWEEN_UPDATES

    def __iter__(self):
        return iter(self.bar)

    def is_due(self) -> bool:
        """Whether it is time for new numbers; asking a GPU for them stops it for a moment."""
        return not self.bar.disable and time.monotonic() - self.last > SECONDS_BETWEEN_UPDATES

    def show(self, loss: float, accuracy: float, lr: float) -> None:
        self.last = time.monotonic()
        self.bar.set_postfix_str(f"loss {loss:.4f}, accuracy {accuracy:.2%}, LR {lr:.3g}")


def epoch_line(row: dict, epochs: int) -> str:
    """One line of text for a row of the history; the percentages are accuracies.

    Short enough not to be wrapped in a notebook.
    """
    return (
        f"epoch {row['epoch']:2d}/{epochs}  LR {row['lr']:.6f}  momentum {row['momentum']:.3f}  "
        f"train loss {row['train_loss']:.4f}, {row['train_accuracy']:6.2%}  "
        f"test loss {row['test_loss']:.4f}, {row['test_accuracy']:6.2%}  "
        f"{row['seconds']:.1f} s"
    )


def time_left(rows: list[dict], epochs: int) -> str:
    """ ", 5 min left" once an epoch is finished: the rest at the mean time of those so far."""
    if not rows:
        return ""
    seconds = sum(row["seconds"] for row in rows) / len(rows) * (epochs - len(rows))
    return f", {seconds / 60:.0f} min left" if seconds >= 90 else f", {seconds:.0f} s left"


@contextlib.contextmanager
def no_bars() -> Iterator[None]:
    """No progress bars inside this block, for steps that are only timed."""
    global _quiet
    before, _quiet = _quiet, True
    try:
        yield
    finally:
        _quiet = before


def bar_stream():
    """Where bars are drawn: notebooks show stderr on red, and a wiped bar as an empty strip."""
    return sys.stdout if _in_notebook() else sys.stderr


def _can_draw() -> bool:
    return not _quiet and (sys.stderr.isatty() or _in_notebook())


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return hasattr(shell, "kernel")
