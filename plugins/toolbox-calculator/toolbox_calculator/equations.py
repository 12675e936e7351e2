"""The tool that solves quadratic equations."""

import math
from fractions import Fraction
from typing import Literal

from msgspec import Struct

import toolbox
from toolbox_calculator.exact import to_exact, to_number
from toolbox_calculator.hints import PURE


class Root(Struct, frozen=True):
    """A solution; `imaginary` is 0 for a real one."""

    real: float
    imaginary: float


class Solution(Struct, frozen=True):
    """The solutions: real ones in ascending order, of complex ones the one with the positive imaginary part last."""

    kind: Literal["two_real", "one_real", "two_complex"]
    roots: list[Root]
    discriminant: float


@toolbox.tool(
    title="Solve a quadratic equation",
    category="math",
    tags=["algebra", "equation", "roots", "polynomial"],
    annotations=PURE,
    examples=[
        toolbox.ToolExample(
            query="solve x^2 - 5x + 6 = 0",
            arguments={"a": 1, "b": -5, "c": 6},
            result={
                "kind": "two_real",
                "roots": [{"real": 2, "imaginary": 0}, {"real": 3, "imaginary": 0}],
                "discriminant": 1,
            },
        ),
        toolbox.ToolExample(
            query="complex roots of x squared plus 4",
            arguments={"a": 1, "b": 0, "c": 4},
            result={
                "kind": "two_complex",
                "roots": [{"real": 0, "imaginary": -2}, {"real": 0, "imaginary": 2}],
                "discriminant": -16,
            },
        ),
    ],
)
def solve_quadratic(a: float, b: float, c: float) -> Solution:
    """Solve a quadratic equation a·x² + b·x + c = 0: its real or complex roots and its discriminant.

    Args:
        a: The factor of x²; not 0.
        b: The factor of x.
        c: The constant.
    """
    if a == 0:
        raise toolbox.ToolError("a is 0, so the equation is not quadratic; its solution is x = -c / b, if b is not 0")
    square, linear, constant = to_exact(a), to_exact(b), to_exact(c)
    discriminant = linear**2 - 4 * square * constant
    if discriminant < 0:
        real = to_number(-linear / (2 * square))
        imaginary = to_number(abs(_square_root(-discriminant) / (2 * square)))
        return Solution("two_complex", [Root(real, -imaginary), Root(real, imaginary)], to_number(discriminant))
    if discriminant == 0:
        return Solution("one_real", [Root(to_number(-linear / (2 * square)), 0)], 0)
    # Adding what has the same sign loses no digits; the other root follows from their product, c / a.
    # (Numerical Recipes, 3rd edition, section 5.6)
    root = _square_root(discriminant)
    sum_of_both = -(linear + root if linear >= 0 else linear - root) / 2
    roots = sorted(map(to_number, (sum_of_both / square, constant / sum_of_both)))
    return Solution("two_real", [Root(each, 0) for each in roots], to_number(discriminant))


def _square_root(value: Fraction) -> Fraction:
    """The square root: exact if there is an exact one, else to 30 digits and more."""
    scale = 10**30 * value.denominator
    return Fraction(math.isqrt(value.numerator * value.denominator * 10**60), scale)
