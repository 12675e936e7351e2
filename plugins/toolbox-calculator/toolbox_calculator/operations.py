"""The operators, functions and constants of expressions: exact where they can be, and bounded.

A value is a Fraction as long as it is exact, and a float from the first irrational step on (a root, a sine).
Every operation ends in `check_size`, so no chain of operations can grow a number without end.
"""

import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple, TypeAlias

import toolbox
from toolbox_calculator.exact import round_exact, to_exact

Value: TypeAlias = Fraction | float

MAX_DIGITS = 1_000
"""How many digits a whole number may have, in results and on the way to them."""
_LIMIT = 10**MAX_DIGITS


class Function(NamedTuple):
    """A function that expressions may call, with the least and the greatest number of its arguments."""

    compute: Callable[..., Value]
    least: int = 1
    most: int = 1


def add(left: Value, right: Value) -> Value:
    """Add."""
    return check_size(left + right)


def subtract(left: Value, right: Value) -> Value:
    """Subtract."""
    return check_size(left - right)


def multiply(left: Value, right: Value) -> Value:
    """Multiply."""
    return check_size(left * right)


def divide(left: Value, right: Value) -> Value:
    """Divide."""
    return check_size(left / right)


def divide_whole(left: Value, right: Value) -> Value:
    """Divide and round down."""
    return check_size(Fraction(left // right))


def remainder(left: Value, right: Value) -> Value:
    """What is left of a division that was rounded down; it has the sign of `right`."""
    return check_size(left % right)


def power(base: Value, exponent: Value) -> Value:
    """Raise to a power: exactly if the exponent is whole and the result stays small enough, else as floats.

    Raises:
        ToolError: The result would be too large, or is not a real number.
    """
    if base < 0 and exponent != math.floor(exponent):
        raise toolbox.ToolError(f"({show(base)}) ** ({show(exponent)}) is not a real number")
    if isinstance(base, Fraction) and isinstance(exponent, Fraction) and exponent.denominator == 1:
        # 1 bit fewer than the base has is what each factor adds at least: 9 ** 9 ** 9 is refused, not computed.
        least_bits = (max(abs(base.numerator), base.denominator).bit_length() - 1) * abs(exponent.numerator)
        if least_bits <= _LIMIT.bit_length():
            return check_size(base**exponent.numerator)
        if base.denominator == 1 and exponent > 0:
            raise _too_large()
    # math.pow never leaves the real numbers, which `**` may
    return check_size(math.pow(base, exponent))


def check_size(value: Value) -> Value:
    """Give a value back: as it is while it is small enough, as a float where only its fraction is too long.

    Raises:
        ToolError: It is too large, infinite or not a number.
    """
    if isinstance(value, float):
        if not math.isfinite(value):
            raise _too_large()
        return value
    if abs(value) >= _LIMIT:
        raise _too_large()
    return value if max(abs(value.numerator), value.denominator) < _LIMIT else float(value)


def show(value: Value) -> str:
    """Write a value for a message, however large it is."""
    exact = Fraction(value)
    return f"{Decimal(exact.numerator) / exact.denominator:.6g}"


def _too_large() -> toolbox.ToolError:
    return toolbox.ToolError(f"the result is too large: numbers may have at most {MAX_DIGITS:,} digits")


def _square_root(value: Value) -> Value:
    if value < 0:
        raise toolbox.ToolError("sqrt of a negative number is not a real number")
    if isinstance(value, Fraction):
        root = Fraction(math.isqrt(value.numerator), math.isqrt(value.denominator))
        if root * root == value:
            return root
    return math.sqrt(value)


def _factorial(value: Value) -> Value:
    if value < 0 or value != math.floor(value):
        raise toolbox.ToolError(f"factorial needs a whole number of 0 or more, not {show(value)}")
    if value > MAX_DIGITS:  # 1000! has 2568 digits; smaller ones are cheap to compute and refused by their size
        raise _too_large()
    return check_size(Fraction(math.factorial(int(value))))


def _round(value: Value, digits: Value = Fraction(0)) -> Value:
    if digits != math.floor(digits) or not -MAX_DIGITS <= digits <= MAX_DIGITS:
        raise toolbox.ToolError(f"round needs a whole number of digits, at most {MAX_DIGITS:,}, not {show(digits)}")
    exact = value if isinstance(value, Fraction) else to_exact(value)
    return check_size(round_exact(exact, int(digits)))


def _real(compute: Callable[..., float]) -> Callable[..., Value]:
    """Let a function of floats take values."""
    return lambda *values: check_size(compute(*map(float, values)))


OPERATORS: dict[str, Callable[[Value, Value], Value]] = {
    "+": add,
    "-": subtract,
    "*": multiply,
    "/": divide,
    "//": divide_whole,
    "%": remainder,
    "**": power,
}

FUNCTIONS: dict[str, Function] = {
    "abs": Function(abs),
    "ceil": Function(lambda value: Fraction(math.ceil(value))),
    "cos": Function(_real(math.cos)),
    "degrees": Function(_real(math.degrees)),
    "exp": Function(_real(math.exp)),
    "factorial": Function(_factorial),
    "floor": Function(lambda value: Fraction(math.floor(value))),
    "ln": Function(_real(math.log)),
    "log": Function(_real(math.log), least=1, most=2),
    "log10": Function(_real(math.log10)),
    "log2": Function(_real(math.log2)),
    "max": Function(max, least=2, most=100),
    "min": Function(min, least=2, most=100),
    "radians": Function(_real(math.radians)),
    "round": Function(_round, least=1, most=2),
    "sin": Function(_real(math.sin)),
    "sqrt": Function(_square_root),
    "tan": Function(_real(math.tan)),
}

CONSTANTS: dict[str, Value] = {"e": math.e, "pi": math.pi, "tau": math.tau}
