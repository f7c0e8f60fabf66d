"""Ctrl-C and SIGTERM: the step that runs is finished first, then the training stops."""

import contextlib
import signal
import threading


class StopSignals:
    """While this context is open, SIGINT and SIGTERM are noted, not obeyed at once.

    `received` is the number of the first one, None before. A second SIGINT is a
    KeyboardInterrupt at once, for whoever cannot wait. Outside the main thread,
    where Python allows no handlers, nothing changes.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self):
        self.received: int | None = None
        self._before = {}

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in self.SIGNALS}
        return self

    def __exit__(self, *error) -> None:
        for number, handler in self._before.items():
            # None: it was set by something other than Python, and cannot be put back.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _note(self, number, frame) -> None:
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = self.received or number
        if number == signal.SIGINT:
            # Where the output went is perhaps gone, too, or is being written to right now.
            with contextlib.suppress(OSError, RuntimeError):
                print("stopping after this step; again to stop at once", flush=True)


class Stopped(KeyboardInterrupt):
    """The training stopped between two steps, because a signal asked for it."""
