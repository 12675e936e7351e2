"""Tools for whole numbers: divisors, prime factors and number bases."""

import math
from typing import Annotated

from msgspec import Meta, Struct

import toolbox
from toolbox_calculator.hints import PURE

LARGEST = 2**53 - 1
"""The largest whole number that every JSON reader keeps exactly (RFC 8259, section 6)."""

Base = Annotated[int, Meta(ge=2, le=36)]
Integer = Annotated[int, Meta(ge=-LARGEST, le=LARGEST)]


class CommonNumbers(Struct, frozen=True):
    """What whole numbers have in common."""

    greatest_common_divisor: int
    least_common_multiple: int


class PrimePower(Struct, frozen=True):
    """A prime number and how often it divides."""

    prime: int
    exponent: int


class Factorization(Struct, frozen=True):
    """The prime factors of a number, in ascending order."""

    number: int
    is_prime: bool
    factors: list[PrimePower]


@toolbox.tool(
    title="Greatest common divisor and least common multiple",
    category="math",
    tags=["number theory", "gcd", "lcm", "divisor", "multiple"],
    annotations=PURE,
    examples=[
        toolbox.ToolExample(
            query="greatest common divisor of 48 and 36",
            arguments={"numbers": [48, 36]},
            result={"greatest_common_divisor": 12, "least_common_multiple": 144},
        ),
        toolbox.ToolExample(
            query="least common multiple of 4, 6 and 10",
            arguments={"numbers": [4, 6, 10]},
            result={"greatest_common_divisor": 2, "least_common_multiple": 60},
        ),
    ],
)
def greatest_common_divisor(numbers: Annotated[list[Integer], Meta(min_length=2, max_length=50)]) -> CommonNumbers:
    """Find the greatest common divisor (gcd) and the least common multiple (lcm) of whole numbers.

    Args:
        numbers: 2 to 50 whole numbers.
    """
    return CommonNumbers(math.gcd(*numbers), math.lcm(*numbers))


@toolbox.tool(
    title="Prime factors",
    category="math",
    tags=["number theory", "prime", "factorization"],
    annotations=PURE,
    examples=[
        toolbox.ToolExample(
            query="prime factors of 360",
            arguments={"number": 360},
            result={
                "number": 360,
                "is_prime": False,
                "factors": [
                    {"prime": 2, "exponent": 3},
                    {"prime": 3, "exponent": 2},
                    {"prime": 5, "exponent": 1},
                ],
            },
        ),
        toolbox.ToolExample(
            query="is 97 a prime number",
            arguments={"number": 97},
            result={"number": 97, "is_prime": True, "factors": [{"prime": 97, "exponent": 1}]},
        ),
    ],
)
def factorize(number: Annotated[int, Meta(ge=2, le=10**12)]) -> Factorization:
    """Factorize a whole number into primes, or test whether it is a prime number.

    Args:
        number: The number, from 2 to 1,000,000,000,000.
    """
    factors: list[PrimePower] = []
    rest, divisor = number, 2
    while divisor * divisor <= rest:
        exponent = 0
        while rest % divisor == 0:
            rest //= divisor
            exponent += 1
        if exponent:
            factors.append(PrimePower(divisor, exponent))
        divisor += 1 if divisor == 2 else 2
    if rest > 1:
        factors.append(PrimePower(rest, 1))
    return Factorization(number, is_prime=factors[0].prime == number, factors=factors)


@toolbox.tool(
    title="Convert between number bases",
    category="math",
    tags=["binary", "hexadecimal", "octal", "base", "radix"],
    annotations=PURE,
    examples=[
        toolbox.ToolExample(
            query="255 in hexadecimal", arguments={"number": "255", "from_base": 10, "to_base": 16}, result="ff"
        ),
        toolbox.ToolExample(
            query="binary 101101 as a decimal number",
            arguments={"number": "101101", "from_base": 2, "to_base": 10},
            result="45",
        ),
    ],
)
def convert_base(number: Annotated[str, Meta(min_length=1, max_length=1_000)], from_base: Base, to_base: Base) -> str:
    """Convert a whole number between number bases: binary, octal, decimal, hexadecimal and others.

    Args:
        number: The digits, with letters for those above 9 in either case; a sign and 0b, 0o or 0x are allowed.
        from_base: The base in which `number` is written, 2 to 36.
        to_base: The base to write it in, 2 to 36; letters come out in lower case.
    """
    try:
        value = int(number, from_base)
    except ValueError as error:
        raise toolbox.ToolError(f"{number[:50]!r} is not a whole number in base {from_base}") from error
    return f"-{_digits(-value, to_base)}" if value < 0 else _digits(value, to_base)


def _digits(value: int, base: int) -> str:
    digits: list[str] = []
    while value:
        value, digit = divmod(value, base)
        digits.append("0123456789abcdefghijklmnopqrstuvwxyz"[digit])
    return "".join(reversed(digits)) or "0"
