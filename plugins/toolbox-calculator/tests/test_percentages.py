"""Percentages."""

import pytest

import toolbox
from toolbox_calculator.percentages import Change, Percentage, percentage, percentage_change


def test_a_result_beyond_the_range_of_floats_is_refused() -> None:
    with pytest.raises(toolbox.ToolError, match="too large"):
        percentage(percent=1e300, whole=1e300)


@pytest.mark.parametrize(
    "given_numbers", [{"whole": 80, "percent": 15}, {"part": 12, "percent": 15}, {"part": 12, "whole": 80}]
)
def test_two_of_part_whole_and_percent_give_the_third(given_numbers: dict[str, float]) -> None:
    assert percentage(**given_numbers) == Percentage(part=12, whole=80, percent=15)


@pytest.mark.parametrize("given_numbers", [{}, {"part": 1}, {"part": 1, "whole": 2, "percent": 50}])
def test_a_percentage_needs_exactly_two_numbers(given_numbers: dict[str, float]) -> None:
    with pytest.raises(toolbox.ToolError, match="exactly two"):
        percentage(**given_numbers)


@pytest.mark.parametrize("given_numbers", [{"part": 1, "whole": 0}, {"part": 1, "percent": 0}])
def test_a_percentage_of_nothing_is_refused(given_numbers: dict[str, float]) -> None:
    with pytest.raises(toolbox.ToolError, match="is 0"):
        percentage(**given_numbers)


def test_a_change_is_measured_by_the_size_of_the_old_number() -> None:
    assert percentage_change(-50, -40) == Change(before=-50, after=-40, difference=10, percent=20)
    with pytest.raises(toolbox.ToolError, match="before is 0"):
        percentage_change(0, 5)
