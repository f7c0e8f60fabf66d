"""The errors that users of `s10` meet, and the checks that raise them."""

import math
from numbers import Integral, Real  # NumPy's integers and floats are such numbers, too.


def one_line(text: object) -> str:
    """The text without line breaks and control characters, which file names may contain."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "�" for c in str(text))


class S10Error(Exception):
    """Something went wrong that one line can explain; the base class of our errors.

    Several arguments are several such lines, one for each file, say.
    """

    def __str__(self) -> str:
        return "\n".join(map(one_line, self.args))


class InputError(S10Error, ValueError):
    """Bad input: the message says in one line what is wrong and what to do."""


def positive_int(name: str, value: object) -> int:
    """Return `value` if it is an integer of at least 1; otherwise raise an InputError."""
    return check_int(name, value, 1)


def positive_float(name: str, value: object) -> float:
    """Return `value` if it is a finite number above 0; otherwise raise an InputError."""
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not (is_number and math.isfinite(value) and value > 0):
        raise InputError(f"{name} must be a number above 0, not {value!r}")
    return float(value)


def check_int(name: str, value: object, low: int, high: int | None = None) -> int:
    """Return `value` if it is an integer from `low` to `high`; otherwise raise an InputError."""
    valid = isinstance(value, Integral) and not isinstance(value, bool) and value >= low
    if not valid or (high is not None and value > high):
        limits = f"of at least {low}" if high is None else f"from {low} to {high:,}"
        raise InputError(f"{name} must be an integer {limits}, not {value!r}")
    return int(value)


def check_fraction(name: str, value: object, *, below_1: bool = False) -> float:
    """Return `value` if it lies in [0, 1], or in [0, 1) if `below_1`; else raise an InputError."""
    valid = isinstance(value, Real) and not isinstance(value, bool)
    if not (valid and 0 <= value <= 1) or (below_1 and value == 1):
        limits = "at least 0 and below 1" if below_1 else "from 0 to 1"
        raise InputError(f"{name} must be a number {limits}, not {value!r}")
    return float(value)


def check_order(name: str, low: float, high: float) -> None:
    """Raise an InputError unless `name`_min is at most `name`_max."""
    if low > high:
        raise InputError(f"{name}_min ({low}) must not be above {name}_max ({high})")


def check_choice(name: str, value: object, choices: tuple) -> None:
    """Raise an InputError unless `value` is one of the choices."""
    if isinstance(value, bool) or value not in choices:
        raise InputError(f"{name} must be {' or '.join(map(str, choices))}, not {value!r}")
