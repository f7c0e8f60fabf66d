"""How a check judges an answer, and how it calls a learner's code."""

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


class CheckFailed(Exception):
    """The answer is wrong; the message is a hint."""


def check(name: str, praise: str) -> Callable:
    """Decorate a function that raises CheckFailed at a wrong answer: it returns a Verdict.

    Blanks (None, or a function that returns None) and answers that raise an exception
    get a verdict, too: a check never stops the notebook.
    """

    def decorate(function: Callable) -> Callable:
        @functools.wraps(function)
        def checked(answer) -> Verdict:
            if answer is None:
                return Verdict(False, f"{name}: not filled in yet.")
            try:
                # Checks draw random numbers; the learner's random state must not change.
                with torch.random.fork_rng(devices=[]):
                    function(answer)
            except CheckFailed as failure:
                return Verdict(False, f"{name}: {failure}")
            except Exception as error:  # Whatever the learner's code raises.
                kind = type(error).__name__
                return Verdict(False, f"{name}: your code stops with {kind}: {error}")
            return Verdict(True, f"{name}: right. {praise}")

        return checked

    return decorate


def fail_if(condition: bool, hint: str) -> None:
    """Raise CheckFailed if the answer is wrong in this way."""
    if condition:
        raise CheckFailed(hint)


def compare(value, right, hints: list[tuple], otherwise: str, tolerance: float = 1e-6) -> None:
    """Raise CheckFailed unless `value` is close to `right`, and one number where that is one.

    Args:
        hints: (a typical wrong value, its hint) pairs.
        otherwise: the hint for all other values.
    """
    value = value if np.ndim(right) else to_number(value)
    if close(value, right, tolerance):
        return
    for wrong, hint in hints:
        fail_if(close(value, wrong, tolerance), hint)
    raise CheckFailed(otherwise)


def call(function: Callable, *arguments):
    """What the learner's function returns; CheckFailed if that is nothing."""
    value = function(*arguments)
    name = "`forward`" if isinstance(function, torch.nn.Module) else "the function"
    blank = value is None or value is ...
    fail_if(blank, f"not filled in yet: {name} returns nothing (is there a return?).")
    return value


def call_number(function: Callable, *arguments) -> float:
    """The number that the learner's function returns; CheckFailed if that is anything else."""
    return to_number(call(function, *arguments))


def call_numbers(function: Callable, *arguments) -> np.ndarray:
    """The numbers that the learner's function returns, of any shape; CheckFailed if not numbers."""
    value = call(function, *arguments)
    try:
        return np.asarray(value.detach() if isinstance(value, torch.Tensor) else value, dtype=float)
    except (TypeError, ValueError):
        raise CheckFailed(f"numbers are asked for, yours is {_kind(value)}.") from None


def to_number(value) -> float:
    """The one number that an answer is; CheckFailed if it is anything else."""
    found = _number(value)
    fail_if(found is None, f"one number is asked for, yours is {_kind(value)}.")
    return found


def _kind(value) -> str:
    shape = f" of shape {tuple(value.shape)}" if getattr(value, "shape", ()) else ""
    return f"of type {type(value).__name__}{shape}"


def close(value, expected, tolerance: float = 1e-6) -> bool:
    """Whether both are numbers, equal to within a relative tolerance, everywhere."""
    try:
        value, expected = np.asarray(value, dtype=float), np.asarray(expected, dtype=float)
    except (TypeError, ValueError):
        return False
    return value.shape == expected.shape and np.allclose(value, expected, rtol=tolerance, atol=0)


def compare_guess(
    what: str, guess: object, measured: float | str, *, factor: bool = False, fraction: bool = False
) -> str:
    """A line that compares the learner's guess with what was measured.

    With `factor` they are compared by their ratio, as LRs should be, otherwise by their
    difference. `fraction`: both are fractions from 0 to 1, shown in %; a guess may then be in %.
    A measured name, such as that of the best variant, is only shown beside the guess.
    Whatever the guess is, text such as "45%" or a tuple, the answer is a line.
    """
    named = isinstance(measured, str)
    shown = str if named else "{:.1%}".format if fraction else "{:.4g}".format
    if guess is None:
        return f"{what}: measured {shown(measured)}. You made no guess; try one next time."
    if named:
        return f"{what}: you said {guess}, measured {measured}."
    value = _number(guess)
    if value is None:
        found = f"{what}: measured {shown(measured)}. "
        return found + f"Your guess {guess!r} is not one number; write it like {measured:.1g}."
    if fraction and (value > 1 or "%" in str(guess)):
        value /= 100
    line = f"{what}: you said {shown(value)}, measured {shown(measured)}: "
    if factor:
        ratio = max(value / measured, measured / value) if value > 0 else np.inf
        return line + f"a factor of {ratio:.2g}."
    difference = value - measured
    return line + (f"{100 * difference:+.1f} points." if fraction else f"{difference:+.4g}.")


def _number(guess: object) -> float | None:
    """The one number of a guess, which may be text ("45 %") or a list; None if it is not one."""
    if isinstance(guess, str):
        guess = guess.strip().removesuffix("%")
    if isinstance(guess, torch.Tensor):
        guess = guess.detach()
    try:
        values = np.asarray(guess, dtype=float).ravel()
    except (TypeError, ValueError):
        return None
    return float(values[0]) if len(values) == 1 and not isinstance(guess, bool) else None
