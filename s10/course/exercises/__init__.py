"""Checks for the exercises of the notebooks: each tells the learner at once how it stands."""

from s10.course.exercises import (
    blocks,
    lr_range,
    network,
    one_cycle,
    speed,
    submissions,
)
from s10.course.exercises.verdict import Verdict, compare_guess

__all__ = [
    "Verdict", "blocks", "compare_guess", "lr_range", "network", "one_cycle", "speed",
    "submissions",
]  # fmt: skip
