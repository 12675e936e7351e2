"""Exact numbers: 0.1 + 0.2 is 0.3 here, because a number is the decimal that was written, not its nearest float."""

import math
from fractions import Fraction
from typing import Literal

import toolbox

LARGEST_EXACT_FLOAT = 2**53
"""From here on a float no longer holds every whole number."""

Rounding = Literal["half_up", "half_even", "up", "down", "ceiling", "floor"]


def to_exact(number: float) -> Fraction:
    """Read a number as the decimal that its caller wrote.

    Raises:
        ToolError: It is infinite or not a number.
    """
    if not math.isfinite(number):
        raise toolbox.ToolError(f"{number} is not a finite number")
    return Fraction(str(number))


def to_number(value: Fraction | float) -> float:
    """Write a value as the nearest float, or as an int where it is whole: 4 rather than 4.0.

    Raises:
        ToolError: It is beyond the range of floats.
    """
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise toolbox.ToolError("the result is too large: it lies beyond about 1.8e308")
    return int(number) if number.is_integer() and abs(number) < LARGEST_EXACT_FLOAT else number


def round_exact(value: Fraction, digits: int, rounding: Rounding = "half_up") -> Fraction:
    """Round to so many digits behind the decimal point; fewer than 0 rounds to tens, hundreds ..."""
    scale = Fraction(10) ** digits
    return _to_whole(value * scale, rounding) / scale


def _to_whole(value: Fraction, rounding: Rounding) -> Fraction:
    magnitude = abs(value)
    match rounding:
        case "half_up":
            whole = math.floor(magnitude + Fraction(1, 2))
        case "half_even":
            whole = round(magnitude)
        case "up":
            whole = math.ceil(magnitude)
        case "down":
            whole = math.floor(magnitude)
        case "ceiling":
            return Fraction(math.ceil(value))
        case "floor":
            return Fraction(math.floor(value))
    return Fraction(-whole if value < 0 else whole)
