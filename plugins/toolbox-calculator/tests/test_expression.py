"""Expressions: what they mean, and what is refused."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

import toolbox
from toolbox_calculator.arithmetic import evaluate
from toolbox_calculator.expression import compute


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("10 - 4 - 3", 3),
        ("-2**2", -4),
        ("2**3**2", 512),
        ("2**-1", 0.5),
        ("2^10", 1024),
        ("3 × 4 ÷ 2 − 1", 5),  # noqa: RUF001 - typographic signs are meant
        ("7 // 2", 3),
        ("-7 // 2", -4),
        ("-7 % 3", 2),
        ("7.5 % 2", 1.5),
        (".5 + 1.", 1.5),
        ("1.5e3", 1500),
        ("--+3", 3),
        ("max(1, 5, 3) + min(4, 2)", 7),
        ("abs(-3.5)", 3.5),
        ("floor(-2.5) + ceil(-2.5)", -5),
        ("factorial(20)", math.factorial(20)),
        ("ln(e) + log(8, 2) + log10(1000) + log2(4)", 9),
        ("round(sin(pi / 6), 12)", 0.5),
        ("cos(0) + tan(0)", 1),
        ("degrees(tau) + radians(0)", 360),
        ("exp(0)", 1),
        ("sqrt(2)", math.sqrt(2)),
        ("2**0.5", math.sqrt(2)),
        ("0**0", 1),
    ],
)
def test_an_expression_has_the_value_that_mathematics_gives_it(expression: str, value: float) -> None:
    assert evaluate(expression) == value


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("0.1 + 0.2", 0.3),
        ("1 / 3 * 3", 1),
        ("round(2.675, 2)", 2.68),
        ("round(-2.5)", -3),
        ("round(1250, -2)", 1300),
        ("sqrt(0.09)", 0.3),
        ("0.1**400 * 10**400", 1),
        ("2**100", 2**100),
        ("10**999 + 1", 10**999 + 1),
    ],
)
def test_decimals_and_whole_numbers_stay_exact(expression: str, value: float) -> None:
    assert evaluate(expression) == value


def test_a_fraction_that_grows_too_long_becomes_a_float() -> None:
    assert evaluate("1.0000001**1000000") == pytest.approx(math.exp(0.1), rel=1e-6)
    assert isinstance(compute("1.0000001**1000000"), float)


def test_a_whole_result_is_an_int() -> None:
    assert isinstance(evaluate("6 / 3"), int)
    assert isinstance(evaluate("sqrt(16)"), int)


@pytest.mark.parametrize(
    "expression",
    [
        "9**9**9",
        "9**9**9**9",
        "10**1000",
        "10**999 * 10",
        "factorial(5000)",
        "factorial(450)",
        "factorial(10**900)",
        "exp(1000)",
        "exp(700) ** 2",
        "1.5**5000",
        "10**700 + 0.5",
        "sin(10**700)",
        "10**500 * 10**500",
        "round(10**999 * 9.5, -999)",
    ],
)
def test_a_result_that_is_too_large_is_refused(expression: str) -> None:
    with pytest.raises(toolbox.ToolError, match="too large"):
        evaluate(expression)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("(" * 100_000, "at most 1,000 are allowed"),
        ("(" * 400 + "1" + ")" * 400, "nested more than 50 deep"),
        ("-" * 900 + "1", "nested more than 50 deep"),
        ("1**" * 300 + "1", "nested more than 50 deep"),
        ("abs(" * 100 + "1" + ")" * 100, "nested more than 50 deep"),
        ("1e999999999", "exponent"),
        ("1e-1001", "exponent"),
    ],
)
def test_a_hostile_expression_is_refused_before_it_costs_anything(expression: str, message: str) -> None:
    with pytest.raises(toolbox.ToolError, match=message):
        evaluate(expression)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "expected a number, a name or '\\(', found the end"),
        ("1 +", "found the end"),
        ("2 pi", "expected an operator or the end, found 'pi' at character 3"),
        ("2^2 pi", "found 'pi' at character 5"),
        ("1,000", "found ',' at character 2"),
        ("(1", "expected '\\)', found the end"),
        ("1)", "found '\\)' at character 2"),
        ("a.b", "cannot read '.' at character 2"),
        ("1 + $", "cannot read '\\$' at character 5"),
        ("__import__('os')", "cannot read"),
        ("1 / 0", "division by zero by '/' at character 3"),
        ("1 // 0", "division by zero"),
        ("1 % 0", "division by zero"),
        ("0**-1", "division by zero"),
        ("log(2, 1)", "division by zero"),
        ("log(0)", "'log' at character 1 is not defined for 0"),
        ("sqrt(-1)", "not a real number"),
        ("(-8)**(1/3)", "not a real number"),
        ("factorial(2.5)", "whole number"),
        ("factorial(-1)", "whole number"),
        ("factorial(-10**900)", "not -1.00000e\\+900"),
        ("(-10**900)**0.5", "\\(-1.00000e\\+900\\) \\*\\* \\(0.5\\) is not a real number"),
        ("round(1, 2.5)", "whole number of digits"),
        ("max(1)", "takes 2 to 100 argument\\(s\\), not 1"),
        ("sin(1, 2)", "takes 1 argument\\(s\\), not 2"),
        ("sin", "needs its arguments in parentheses"),
        ("sine(1)", "there is no function 'sine' at character 1; known are sin"),
        ("x + 1", "there is no name 'x' at character 1"),
    ],
)
def test_what_cannot_be_calculated_is_said_with_its_place(expression: str, message: str) -> None:
    with pytest.raises(toolbox.ToolError, match=message):
        evaluate(expression)


@given(st.text(max_size=60) | st.text(alphabet="0123456789.e+-*/%^(), sqrtlogmaxpi", max_size=60))
def test_any_text_gives_a_finite_number_or_a_tool_error(expression: str) -> None:
    try:
        value = evaluate(expression)
    except toolbox.ToolError:
        return
    assert isinstance(value, int) or math.isfinite(value)


_NUMBERS = st.integers(min_value=0, max_value=999).map(str) | st.decimals(0, 999, places=3).map(str)
_EXPRESSIONS = st.recursive(
    _NUMBERS,
    lambda inner: st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda parts: f"({''.join(parts)})"),
    max_leaves=10,
)


@given(_EXPRESSIONS)
def test_sums_and_products_agree_with_python_fractions(expression: str) -> None:
    as_fractions = "".join(f"Fraction('{part}')" if part[0].isdigit() else part for part in _split_numbers(expression))
    assert compute(expression) == eval(as_fractions, {"Fraction": Fraction})


def _split_numbers(expression: str) -> list[str]:
    spaced = "".join(f" {sign} " if sign in "+-*()" else sign for sign in expression)
    return spaced.split()
