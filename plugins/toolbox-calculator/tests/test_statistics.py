"""Statistics."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import toolbox
from toolbox_calculator.statistics import describe_numbers


def test_statistics_of_decimals_are_exact() -> None:
    statistics = describe_numbers([0.1, 0.2, 0.3])
    assert (statistics.sum, statistics.mean, statistics.median) == (0.6, 0.2, 0.2)
    assert statistics.modes == [0.1, 0.2, 0.3]


@given(st.lists(st.floats(min_value=-1e12, max_value=1e12), min_size=2, max_size=50))
def test_statistics_keep_their_order(numbers: list[float]) -> None:
    statistics = describe_numbers(numbers)
    quartiles = statistics.quartiles
    assert statistics.minimum <= quartiles.first <= quartiles.second <= quartiles.third <= statistics.maximum
    assert statistics.minimum <= statistics.mean <= statistics.maximum
    assert quartiles.second == statistics.median
    assert statistics.sample_variance is not None
    assert 0 <= statistics.population_variance <= statistics.sample_variance


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_list_with_a_number_that_is_not_finite_is_refused(number: float) -> None:
    with pytest.raises(toolbox.ToolError, match="not a finite number"):
        describe_numbers([1, number])


def test_numbers_whose_variance_is_beyond_floats_are_refused() -> None:
    with pytest.raises(toolbox.ToolError, match="too large"):
        describe_numbers([-1e308, 1e308])
