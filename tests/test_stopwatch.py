"""Where the time of a run goes adds up to the whole."""

import time

import pytest

from s10.stopwatch import Stopwatch


def test_parts_add_up(monkeypatch):
    now = iter([10.0, 13.0, 14.0, 20.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(now))
    watch = Stopwatch()
    for part in ("imports", "training", "imports"):
        watch.lap(part)
    assert watch.parts == {"imports": 9.0, "training": 1.0}
    watch.move(0.25, "training", "evaluation")
    assert watch.parts == {"imports": 9.0, "training": 0.75, "evaluation": 0.25}
    assert watch.total == 10.0
    assert watch.in_words() == "10.0 s in all: imports 9.0, training 0.8, evaluation 0.2"


def test_it_may_have_been_started_before():
    watch = Stopwatch(time.perf_counter() - 5)
    watch.lap("imports")
    assert watch.total == pytest.approx(5, abs=0.5)
