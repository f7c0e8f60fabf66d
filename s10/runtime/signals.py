"""Ctrl-C, SIGTERM, SIGHUP: the current step is finished first, then the run stops."""

import contextlib
import signal
import threading

from s10.runtime.hooks import Hook

# SIGHUP: the terminal was closed, or ssh lost; Windows has none.
SIGNALS = {signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)}


class Stopped(KeyboardInterrupt):
    """The run stopped between two steps, because a hook asked for it."""


class StopOnSignal(Hook):
    """Stop the run between two steps after SIGINT, SIGTERM or SIGHUP.

    A second SIGINT is a KeyboardInterrupt at once, for whoever cannot wait. Outside
    the main thread, where Python allows no handlers, nothing changes, nor under nohup.
    """

    def __init__(self):
        self.received: int | None = None
        self._previous = {}

    def on_start(self, state) -> None:
        if threading.current_thread() is threading.main_thread():
            self._previous = {
                number: signal.signal(number, self._handle)
                for number in SIGNALS
                if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN
            }

    def on_step(self, state) -> None:
        # Copied at these two moments only, so that all hooks of one step see the same.
        state.signal = self.received
        state.stop = state.stop or self.received is not None

    on_epoch = on_step

    def on_end(self, state) -> None:
        for number, handler in self._previous.items():
            # None: it was set by code other than Python, and cannot be restored.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _handle(self, number, frame) -> None:
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = self.received or number
        if number == signal.SIGINT:
            # The terminal may be gone, too, or be written to at this very moment.
            with contextlib.suppress(OSError, RuntimeError):
                print("stopping after this step; press again to stop at once", flush=True)
