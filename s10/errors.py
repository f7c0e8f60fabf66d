"""The one error that users of `s10` meet, and the checks that raise it."""

import math


class S10Error(Exception):
    """Something went wrong that one line can explain; the base of our errors."""


class InputError(S10Error, ValueError):
    """Bad input: the message says in one line what is wrong and what to do."""


def positive_int(name: str, value: object) -> int:
    """`value` if it is a whole number of at least 1, else an InputError naming it."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InputError(f"{name} must be a whole number of at least 1, not {value!r}")
    return value


def positive_float(name: str, value: object) -> float:
    """`value` if it is a finite number above 0, else an InputError naming it."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InputError(f"{name} must be a number above 0, not {value!r}")
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"{name} must be a number above 0, not {value!r}")
    return float(value)
