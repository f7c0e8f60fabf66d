"""What a check gives back, and how it calls a learner's code."""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Verdict:
    """Whether an answer is right, and one line about it; a cell that ends with it shows it."""

    passed: bool
    message: str

    def __repr__(self) -> str:
        return f"{'✓' if self.passed else '✗'} {self.message}"


class Wrong(Exception):
    """The answer is wrong; the message is a hint."""


def check(name: str, praise: str) -> Callable:
    """Make a check of a function that raises Wrong at a wrong answer and returns at a right one.

    The blank (None, or a function that gives None) and an answer that raises an
    exception get a verdict, too: a check never stops the notebook.
    """

    def decorate(function: Callable) -> Callable:
        @functools.wraps(function)
        def checked(answer) -> Verdict:
            if answer is None:
                return Verdict(False, f"{name}: not filled in yet.")
            try:
                # The checks draw random numbers; the learner's own must not change by that.
                with torch.random.fork_rng(devices=[]):
                    function(answer)
            except Wrong as wrong:
                return Verdict(False, f"{name}: {wrong}")
            except Exception as error:  # Whatever the learner's code raises.
                kind = type(error).__name__
                return Verdict(False, f"{name}: your code stops with {kind}: {error}")
            return Verdict(True, f"{name}: right. {praise}")

        return checked

    return decorate


def call(function: Callable, *arguments):
    """The learner's function's value; Wrong when it gives none."""
    value = function(*arguments)
    if value is None or value is ...:
        raise Wrong("not filled in yet: the function gives back nothing (is there a return?).")
    return value


def close(value, expected, tolerance: float = 1e-6) -> bool:
    """Equal to within a relative tolerance, everywhere."""
    value, expected = np.asarray(value, dtype=float), np.asarray(expected, dtype=float)
    return value.shape == expected.shape and np.allclose(value, expected, rtol=tolerance, atol=0)


def compare_guess(what: str, guess: float | None, measured: float, *, factor: bool = False) -> str:
    """A line that sets the learner's guess beside what was measured.

    With `factor` they are compared by their ratio, as LRs should be, else by
    their difference.
    """
    if guess is None:
        return f"{what}: measured {measured:.4g}. You made no guess; try one next time."
    if factor:
        ratio = max(guess / measured, measured / guess) if guess > 0 else np.inf
        return f"{what}: you said {guess:.4g}, measured {measured:.4g}: a factor of {ratio:.2g}."
    return f"{what}: you said {guess:.4g}, measured {measured:.4g}: {guess - measured:+.4g}."
