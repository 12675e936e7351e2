"""Tools that compute one number: an expression, or a rounded number."""

from fractions import Fraction
from typing import Annotated

from msgspec import Meta

import toolbox
from toolbox_calculator.exact import Rounding, round_exact, to_exact, to_number
from toolbox_calculator.expression import MAX_LENGTH, compute
from toolbox_calculator.hints import PURE


@toolbox.tool(
    title="Evaluate an expression",
    category="math",
    tags=["arithmetic", "calculator", "expression"],
    annotations=PURE,
    examples=[
        toolbox.ToolExample(
            query="what is 12 times (3 plus 4.5)", arguments={"expression": "12 * (3 + 4.5)"}, result=90
        ),
        toolbox.ToolExample(
            query="square root of 2 rounded to 4 decimals", arguments={"expression": "round(sqrt(2), 4)"}, result=1.4142
        ),
        toolbox.ToolExample(query="2 to the power of 64", arguments={"expression": "2**64"}, result=2**64),
    ],
)
def evaluate(expression: Annotated[str, Meta(min_length=1, max_length=MAX_LENGTH)]) -> float:
    """Calculate the value of an arithmetic expression, such as 2 * (3 + 4) or sqrt(2) / 3.

    Operators as in Python: + - * / // (division rounded down) % (remainder) ** or ^ (power) and parentheses.
    Functions: abs ceil cos degrees exp factorial floor ln log log10 log2 max min radians round sin sqrt tan; angles
    are in radians, log(x) is the natural logarithm and log(x, base) any other, round(x, digits) rounds halves up.
    Constants: pi e tau. Decimals are exact (0.1 + 0.2 is 0.3), and so are whole numbers of up to 1,000 digits.

    Args:
        expression: The expression, without thousands separators, variables or units.
    """
    value = compute(expression)
    if isinstance(value, Fraction) and value.denominator == 1:
        return value.numerator
    return to_number(value)


@toolbox.tool(
    title="Round a number",
    category="math",
    tags=["rounding", "decimals"],
    annotations=PURE,
    examples=[
        toolbox.ToolExample(
            query="round 2.675 to two decimal places", arguments={"number": 2.675, "digits": 2}, result=2.68
        ),
        toolbox.ToolExample(
            query="round 1250 to the nearest hundred, halves to even",
            arguments={"number": 1250, "digits": -2, "rounding": "half_even"},
            result=1200,
        ),
    ],
)
def round_number(
    number: float, digits: Annotated[int, Meta(ge=-300, le=300)] = 0, rounding: Rounding = "half_up"
) -> float:
    """Round a number to decimal places, or to tens, hundreds and so on.

    Args:
        number: The number, taken as the decimal that is written: 2.675 is exactly that.
        digits: Digits to keep behind the decimal point; -2 rounds to hundreds.
        rounding: half_up rounds halves away from zero, as on paper; half_even to the even neighbour, as banks do;
            up and down go away from zero and towards it; ceiling and floor go to the greater and the lesser number.
    """
    return to_number(round_exact(to_exact(number), digits, rounding))
