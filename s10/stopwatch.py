"""Where the time of a run goes."""

import time


class Stopwatch:
    """Seconds by part, in the order in which the parts were first named.

    Args:
        start: when the first part began, by `time.perf_counter()`; now, if None.
    """

    def __init__(self, start: float | None = None):
        self.last = time.perf_counter() if start is None else start
        self.parts: dict[str, float] = {}

    def lap(self, part: str) -> None:
        """The time since the last lap belongs to this part."""
        now = time.perf_counter()
        self.parts[part] = self.parts.get(part, 0.0) + now - self.last
        self.last = now

    def move(self, seconds: float, source: str, target: str) -> None:
        """Count these seconds of one part to another."""
        self.parts[source] -= seconds
        self.parts[target] = self.parts.get(target, 0.0) + seconds

    @property
    def total(self) -> float:
        """Seconds of all parts."""
        return sum(self.parts.values())

    def in_words(self) -> str:
        """Such as "12.3 s in all: imports 3.1, data 1.2, training 8.0"."""
        parts = ", ".join(f"{part} {seconds:.1f}" for part, seconds in self.parts.items())
        return f"{self.total:.1f} s in all: {parts}"
