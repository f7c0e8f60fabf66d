"""Where the time of a run goes adds up to the whole."""

import time
from types import SimpleNamespace

import pytest

from s10.cli.stopwatch import Stopwatch, TimeEvaluation
from s10.metrics import RunningMetrics


@pytest.fixture
def clock(monkeypatch):
    """A function that sets the next readings of the clock."""

    def set_clock(*seconds):
        readings = iter(seconds)
        monkeypatch.setattr(time, "perf_counter", lambda: next(readings))

    return set_clock


def test_parts_add_up(clock):
    clock(10.0, 13.0, 14.0, 20.0)
    stopwatch = Stopwatch()
    for part in ("data", "training", "data"):
        stopwatch.lap(part)
    assert stopwatch.parts == {"data": 9.0, "training": 1.0}
    assert stopwatch.total == 10.0
    assert stopwatch.summary() == "10.0 s in total: data 9.0, training 1.0"


def test_evaluation_is_from_the_last_step_to_the_end_of_the_epoch(clock):
    """Two epochs of two steps; what follows an epoch, such as a checkpoint, is training."""
    clock(0.0, 5.0, 6.0, 20.0, 23.0, 30.0)
    stopwatch = Stopwatch()
    hook = TimeEvaluation(stopwatch)
    state = SimpleNamespace(train_loader=[None] * 2, metrics=RunningMetrics())
    for _ in range(2):
        for state.step in (1, 2):
            hook.on_step(state)
        hook.on_epoch(state)
    stopwatch.lap("training")
    assert stopwatch.parts == {"training": 5 + 14 + 7, "evaluation": 1 + 3}
