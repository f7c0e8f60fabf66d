"""Signals while a run is in progress; what else they do to it is in test_resume.py."""

import os
import signal
import sys
import threading
from types import SimpleNamespace

import pytest
from interrupted import train

from s10 import Hook
from s10.runtime.signals import SIGNALS, StopOnSignal


def state():
    return SimpleNamespace(stop=False, signal=None)


@pytest.fixture
def hook():
    hook = StopOnSignal()
    hook.on_start(state())
    yield hook
    hook.on_end(state())


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("event", ["on_step", "on_epoch"])
def test_a_signal_stops_the_run_at_the_next_step_or_epoch(hook, number, event, capsys):
    before, after = state(), state()
    getattr(hook, event)(before)
    os.kill(os.getpid(), number)
    assert (before.stop, before.signal) == (False, None)
    getattr(hook, event)(after)
    assert (after.stop, after.signal) == (True, number)
    message = "stopping after this step; press again to stop at once\n"
    assert capsys.readouterr().out == (message if number == signal.SIGINT else "")


@pytest.mark.parametrize("first", SIGNALS)
def test_a_second_ctrl_c_stops_at_once(hook, first):
    os.kill(os.getpid(), first)
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_a_second_sigterm_changes_nothing(hook):
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGTERM)
    hook.on_step(found := state())
    assert found.signal == signal.SIGINT


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no SIGHUP here")
def test_under_nohup_a_closed_terminal_changes_nothing():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        hook = StopOnSignal()
        hook.on_start(state())
        assert signal.getsignal(signal.SIGTERM) == hook._handle
        os.kill(os.getpid(), signal.SIGHUP)
        hook.on_step(found := state())
        assert not found.stop
        hook.on_end(state())
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_that_another_hook_asked_to_stop_is_not_forgotten(hook):
    found = SimpleNamespace(stop=True, signal=None)
    hook.on_step(found)
    assert found.stop


def test_if_stdout_is_gone_it_stops_all_the_same(hook, monkeypatch):
    class Gone:
        def write(self, text):
            raise BrokenPipeError

        flush = write

    monkeypatch.setattr(sys, "stdout", Gone())
    os.kill(os.getpid(), signal.SIGINT)
    hook.on_step(found := state())
    assert found.stop


@pytest.mark.parametrize("ends_with", ["success", "error", "interrupt"])
def test_the_handlers_before_are_restored(few, tiny, monkeypatch, ends_with):
    def mine(number, frame):
        """Somebody else's handler."""

    class End(Hook):
        def on_step(self, state):
            assert all(signal.getsignal(number) is not mine for number in SIGNALS)
            if ends_with == "error":
                raise ValueError("an error")
            state.stop = ends_with == "interrupt"

    before = {number: signal.signal(number, mine) for number in SIGNALS}
    try:
        if ends_with == "error":
            with pytest.raises(ValueError, match="an error"):
                train(few, tiny, hooks=[End()])
        else:
            interrupted = train(few, tiny, hooks=[End()]).result.interrupted
            assert interrupted == (ends_with == "interrupt")
        assert all(signal.getsignal(number) is mine for number in SIGNALS)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_a_handler_from_outside_python_becomes_the_default(monkeypatch):
    """`signal.signal` returns None for it and would not take that back."""
    calls = []

    def fake(number, handler):
        calls.append((number, handler))

    monkeypatch.setattr(signal, "signal", fake)
    hook = StopOnSignal()
    hook.on_start(state())
    hook.on_end(state())
    assert calls[len(SIGNALS) :] == [(number, signal.SIG_DFL) for number in SIGNALS]


def test_in_another_thread_no_handler_is_set():
    hook, before = StopOnSignal(), [signal.getsignal(number) for number in SIGNALS]
    found = []

    def run():
        hook.on_start(state())
        found.extend(signal.getsignal(number) for number in SIGNALS)
        hook.on_end(state())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == before


def test_the_stop_button_pressed_twice_ends_the_step_at_once(few, tiny, capsys):
    """The epochs so far are kept."""

    class Twice(Hook):
        def on_step(self, state):
            if (state.epoch, state.step) == (2, 2):
                os.kill(os.getpid(), signal.SIGINT)
                os.kill(os.getpid(), signal.SIGINT)

    outcome = train(few, tiny, hooks=[Twice()])
    assert outcome.result.interrupted
    assert outcome.result.history["epoch"].tolist() == [1]
    assert len(outcome.result.predictions.labels) == 100
    assert capsys.readouterr().out.endswith("stopped after 1 of 3 epochs and 2 of 4 batches\n")
