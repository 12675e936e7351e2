"""Rounding."""

import math

import pytest

import toolbox
from toolbox_calculator.arithmetic import round_number
from toolbox_calculator.exact import Rounding


@pytest.mark.parametrize(
    ("rounding", "of_half", "of_minus_half", "of_odd_half"),
    [
        ("half_up", 1, -1, 2),
        ("half_even", 0, 0, 2),
        ("up", 1, -1, 2),
        ("down", 0, 0, 1),
        ("ceiling", 1, 0, 2),
        ("floor", 0, -1, 1),
    ],
)
def test_halves_are_rounded_the_way_that_was_asked_for(
    rounding: Rounding,
    of_half: int,
    of_minus_half: int,
    of_odd_half: int,
) -> None:
    rounded = [round_number(number, 0, rounding) for number in (0.5, -0.5, 1.5)]
    assert rounded == [of_half, of_minus_half, of_odd_half]


def test_rounding_takes_the_decimal_that_was_written() -> None:
    assert round_number(2.675, 2) == 2.68
    assert round_number(1e300, -300) == 1e300
    assert round_number(123.456, 300) == 123.456


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_are_refused(number: float) -> None:
    with pytest.raises(toolbox.ToolError, match="not a finite number"):
        round_number(number)
