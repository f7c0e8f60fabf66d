"""Where the time of a run goes."""

import time

from s10.runtime.hooks import Hook


class Stopwatch:
    """Seconds by part, in the order in which the parts were first named. It starts at once."""

    def __init__(self):
        self.last = time.perf_counter()
        self.parts: dict[str, float] = {}

    def lap(self, part: str) -> None:
        """Add the time since the last lap to this part."""
        now = time.perf_counter()
        self.parts[part] = self.parts.get(part, 0.0) + now - self.last
        self.last = now

    @property
    def total(self) -> float:
        """Seconds of all parts."""
        return sum(self.parts.values())

    def summary(self) -> str:
        """Such as "12.3 s in total: data 1.2, training 8.0, evaluation 3.1"."""
        parts = ", ".join(f"{part} {seconds:.1f}" for part, seconds in self.parts.items())
        return f"{self.total:.1f} s in total: {parts}"


class TimeEvaluation(Hook):
    """Separate evaluation from training: the time between an epoch's last step and its end."""

    def __init__(self, stopwatch: Stopwatch):
        self.stopwatch = stopwatch

    def on_step(self, state) -> None:
        if state.step == len(state.train_loader):
            float(state.metrics.loss_sum)  # Reading it waits for a GPU.
            self.stopwatch.lap("training")

    def on_epoch(self, state) -> None:
        self.stopwatch.lap("evaluation")
