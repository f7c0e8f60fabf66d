"""Bars and lines: what is drawn where, and how often."""

import io
import sys
from types import SimpleNamespace

import pytest

from s10.runtime import progress
from s10.runtime.progress import (
    BatchBar,
    PrintEpochs,
    bar_stream,
    epoch_title,
    format_duration,
    format_epoch,
    no_bars,
)

METRICS = SimpleNamespace(loss=1.23456, accuracy=0.5, lr=0.01)
ROW = {
    "epoch": 3, "lr": 0.01, "momentum": 0.85, "train_loss": 1.5, "train_accuracy": 0.4321,
    "test_loss": 12.25, "test_accuracy": 1.0, "seconds": 12.34,
}  # fmt: skip


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


def use_terminal(monkeypatch) -> Terminal:
    """Not a fixture: pytest sets its own stderr after them."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    return terminal


class Batches(list):
    """As a loader that begins at its third batch."""

    first_batch = 2

    def __iter__(self):
        yield from list.__iter__(self[2:])


def test_the_bar_on_a_terminal(monkeypatch):
    terminal = use_terminal(monkeypatch)
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_UPDATES", 0)
    found = []
    for batch in (bar := BatchBar(Batches(range(10, 14)), "epoch 2/3")):
        found.append(batch)
        bar.update(METRICS)
    assert found == [12, 13]
    drawn = terminal.getvalue()
    assert "epoch 2/3:  50%" in drawn  # It begins at 2 of 4.
    assert "2/4" in drawn
    assert "loss 1.2346, accuracy 50.00%, LR 0.01" in drawn
    assert drawn.endswith("\r")  # It is cleared at the end.


def test_the_numbers_are_read_a_few_times_a_second_only(monkeypatch):
    """Reading them waits for a GPU."""
    use_terminal(monkeypatch)
    clock, reads = [100.0], []

    class Metrics:
        accuracy, lr = 0.5, 0.01

        @property
        def loss(self):
            reads.append(clock[0])
            return 1.0

    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    bar = BatchBar([])
    for _ in range(10):
        bar.update(Metrics())
        clock[0] += 0.1
    assert reads == pytest.approx([100.0, 100.3, 100.6, 100.9])


def test_without_a_terminal_there_is_no_bar(capsys):
    metrics = None  # Not even read.
    for _ in (bar := BatchBar(range(3), "epoch 1/3")):
        bar.update(metrics)
    assert capsys.readouterr() == ("", "")


def test_bars_can_be_switched_off(monkeypatch):
    use_terminal(monkeypatch)

    def drawn():
        return not BatchBar([1]).bar.disable

    assert drawn()
    with no_bars():
        assert not drawn()
        with no_bars():
            pass
        assert not drawn()
    assert drawn()
    with pytest.raises(ValueError, match="an error"), no_bars():
        raise ValueError("an error")
    assert drawn()


def test_of_several_processes_the_first_draws(monkeypatch):
    use_terminal(monkeypatch)
    for rank in (0, 1):
        monkeypatch.setenv("RANK", str(rank))
        assert BatchBar([1]).bar.disable == (rank > 0)


def test_in_a_notebook_bars_are_on_stdout(monkeypatch):
    """On a terminal, also in IPython's, on stderr: stdout may be redirected to a file."""
    shells = {"notebook": SimpleNamespace(kernel=1), "terminal": SimpleNamespace(), "none": None}
    for name, shell in shells.items():
        ipython = SimpleNamespace(get_ipython=lambda shell=shell: shell)
        monkeypatch.setitem(sys.modules, "IPython", ipython)
        assert bar_stream() is (sys.stdout if name == "notebook" else sys.stderr)
        assert BatchBar([1]).bar.disable == (name != "notebook")
    monkeypatch.delitem(sys.modules, "IPython")
    assert bar_stream() is sys.stderr


def test_the_line_of_an_epoch_fits_into_a_notebook():
    line = format_epoch(ROW, 24)
    assert line == (
        "epoch  3/24  LR 0.010000  momentum 0.850  train loss 1.5000, 43.21%  "
        "test loss 12.2500, 100.00%  12.3 s"
    )
    assert len(line) <= 112


def state(rows, *, epoch, epochs=4, stop=False, skipped=0):
    return SimpleNamespace(
        epoch=epoch, history=rows, recipe=SimpleNamespace(epochs=epochs), stop=stop,
        finished=epoch > epochs, skipped=skipped, position="1 of 4 epochs",
    )  # fmt: skip


def test_the_title_of_an_epoch_has_the_time_left():
    assert epoch_title(state([], epoch=1)) == "epoch 1/4"
    rows = [{"seconds": 10.0}, {"seconds": 20.0}]
    assert epoch_title(state(rows, epoch=3)) == "epoch 3/4, 30 seconds left"


def test_the_end_is_printed_only_if_the_run_was_stopped(capsys):
    for stopped, epoch, expected in (
        (True, 2, "stopped after 1 of 4 epochs\n"), (True, 5, ""), (False, 2, ""),
    ):  # fmt: skip
        PrintEpochs().on_end(state([ROW], epoch=epoch, stop=stopped))
        assert capsys.readouterr().out == expected
    PrintEpochs().on_epoch(state([ROW], epoch=4, epochs=24))
    assert capsys.readouterr().out == format_epoch(ROW, 24) + "\n"


@pytest.mark.parametrize(("skipped", "text"), [(1, "1 step was"), (3, "3 steps were")])
def test_skipped_steps_are_said(capsys, skipped, text):
    PrintEpochs().on_epoch(state([ROW], epoch=4, epochs=24, skipped=skipped))
    said = f"  {text} skipped, as gradients overflowed in fp16"
    assert capsys.readouterr().out.splitlines() == [format_epoch(ROW, 24), said]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1 second"),
        (1.4, "1 second"),
        (1.6, "2 seconds"),
        (45, "45 seconds"),
        (60, "1.0 minutes"),
        (366, "6.1 minutes"),
        (89 * 60, "89.0 minutes"),
        (9000, "2.5 hours"),
    ],
)
def test_durations(seconds, text):
    assert format_duration(seconds) == text
