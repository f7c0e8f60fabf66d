"""The checks of numbers and names, and the one line that they raise."""

import math

import numpy as np
import pytest

from s10 import InputError
from s10.runtime.errors import (
    S10Error,
    check_choice,
    check_fraction,
    check_int,
    check_order,
    positive_float,
    positive_int,
)


def test_an_error_is_one_line_also_if_a_file_name_is_not():
    name = "pets\n2024\t\x1b[2J\udcff猫 $%{}"
    assert (
        str(InputError(f"there is no folder {name}")) == "there is no folder pets 2024 �[2J�猫 $%{}"
    )
    assert repr(S10Error("a\nb")) == "S10Error('a\\nb')"


@pytest.mark.parametrize("value", [0, -1, 1.0, "1", None, True])
def test_not_a_positive_integer(value):
    assert positive_int("epochs", 3) == 3
    with pytest.raises(InputError) as error:
        positive_int("epochs", value)
    assert str(error.value) == f"epochs must be an integer of at least 1, not {value!r}"


def test_an_integer_outside_its_limits():
    assert [check_int("pad", value, 0, 16) for value in (0, 16)] == [0, 16]
    with pytest.raises(InputError, match="batch must be an integer from 1 to 1,000,000, not 0"):
        check_int("batch", 0, 1, 1_000_000)
    with pytest.raises(InputError, match="pad must be an integer from 0 to 16, not 17"):
        check_int("pad", 17, 0, 16)


@pytest.mark.parametrize("value", [0, -0.1, math.inf, math.nan, "1", None, True])
def test_not_a_positive_number(value):
    assert positive_float("lr", 1) == 1.0
    assert type(positive_float("lr", 1)) is float
    with pytest.raises(InputError, match="lr must be a number above 0, not"):
        positive_float("lr", value)


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan, "0", None, False])
def test_not_a_fraction(value):
    assert [check_fraction("momentum", value) for value in (0, 0.5, 1)] == [0, 0.5, 1]
    with pytest.raises(InputError, match="momentum must be a number from 0 to 1, not"):
        check_fraction("momentum", value)


def test_not_below_1():
    with pytest.raises(InputError, match="beta2 must be a number at least 0 and below 1, not 1"):
        check_fraction("beta2", 1, below_1=True)


def test_numbers_of_numpy_are_numbers_and_become_pythons():
    for value in (
        positive_int("epochs", np.int64(3)),
        check_int("pad", np.uint8(3), 0, 16),
        positive_float("lr", np.float32(3)),
        positive_float("lr", np.int16(3)),
        check_fraction("momentum", np.float64(0.5)) * 6,
    ):
        assert value == 3
        assert type(value) in (int, float)
    for value in (np.float64(3), np.bool_(True), np.array(3), np.int64(-3)):
        with pytest.raises(InputError):
            positive_int("epochs", value)


def test_a_minimum_above_its_maximum():
    check_order("lr", 0.1, 0.1)
    with pytest.raises(InputError, match=r"lr_min \(0.2\) must not be above lr_max \(0.1\)"):
        check_order("lr", 0.2, 0.1)


def test_not_one_of_the_choices():
    check_choice("mode", "reflect", ("reflect", "constant"))
    with pytest.raises(InputError, match="mode must be reflect or constant, not 'zero'"):
        check_choice("mode", "zero", ("reflect", "constant"))
    with pytest.raises(InputError, match=r"not \['reflect'\]"):
        check_choice("mode", ["reflect"], ("reflect", "constant"))


def test_all_are_errors_of_s10_and_value_errors():
    assert issubclass(InputError, S10Error)
    assert issubclass(InputError, ValueError)
