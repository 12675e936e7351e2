"""Quadratic equations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import toolbox
from toolbox_calculator.equations import Root, Solution, solve_quadratic


@pytest.mark.parametrize(
    ("factors", "solution"),
    [
        ((1, -3, 2), Solution("two_real", [Root(1, 0), Root(2, 0)], 1)),
        ((0.1, -0.3, 0.2), Solution("two_real", [Root(1, 0), Root(2, 0)], 0.01)),
        ((-1, 0, 4), Solution("two_real", [Root(-2, 0), Root(2, 0)], 16)),
        ((2, 4, 2), Solution("one_real", [Root(-1, 0)], 0)),
        ((1, 2, 5), Solution("two_complex", [Root(-1, -2), Root(-1, 2)], -16)),
        ((1, 0, 0), Solution("one_real", [Root(0, 0)], 0)),
        ((1, -4, 0), Solution("two_real", [Root(0, 0), Root(4, 0)], 16)),
    ],
)
def test_a_quadratic_equation_is_solved(factors: tuple[float, float, float], solution: Solution) -> None:
    assert solve_quadratic(*factors) == solution


def test_a_small_root_beside_a_large_one_keeps_its_digits() -> None:
    small, large = solve_quadratic(1, -1e9, 1).roots
    assert small.real == pytest.approx(1e-9, rel=1e-15)
    assert large.real == pytest.approx(1e9, rel=1e-15)


@given(st.integers(-1000, 1000), st.integers(-1000, 1000), st.integers(1, 50))
def test_roots_that_made_an_equation_solve_it(first: int, second: int, a: int) -> None:
    solution = solve_quadratic(a, -a * (first + second), a * first * second)
    assert [root.real for root in solution.roots] == sorted({first, second})


def test_what_is_not_quadratic_is_refused() -> None:
    with pytest.raises(toolbox.ToolError, match="not quadratic"):
        solve_quadratic(0, 1, 1)
