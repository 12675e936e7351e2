from typing import Any

import pytest

import toolbox
from toolbox_data.values import require_json


@pytest.mark.parametrize("value", [None, True, 0, -1.5, "é", [], {}, {"a": [{"b": None}]}])
def test_json_values_are_accepted(value: Any) -> None:
    require_json(value, "value")


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"a": [1, float("nan")]}, r"the number nan at '/a/1'"),
        (float("-inf"), "the number -inf at the top"),
        ({"a/b": 2**1024}, "more than 1024 bits at '/a~1b'"),
        (["\ud83d"], "half of a surrogate pair in a text at '/0'"),
        ({"\ud83d": 1}, "a key that is not text"),
        ({1: 1}, "a key that is not text"),
        ({"a": object()}, "a value of type object at '/a'"),
    ],
)
def test_what_json_cannot_hold_is_refused_with_its_place(value: Any, problem: str) -> None:
    with pytest.raises(toolbox.ToolError, match=problem):
        require_json(value, "value")


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def test_a_value_may_nest_100_levels_and_no_more() -> None:
    require_json(nested(100), "value")
    with pytest.raises(toolbox.ToolError, match="value nests more than 100 levels deep"):
        require_json(nested(101), "value")


def test_a_small_value_that_unfolds_to_billions_is_refused_at_once() -> None:
    value: list[Any] = ["ha"]
    for _ in range(90):
        value = [value, value]
    with pytest.raises(toolbox.ToolError, match="too large: at most 200,000 values"):
        require_json(value, "value")


def test_a_long_text_that_is_shared_counts_each_time() -> None:
    with pytest.raises(toolbox.ToolError, match="5,000,000 characters"):
        require_json(["x" * 100_000] * 60, "value")
    with pytest.raises(toolbox.ToolError, match="5,000,000 characters"):
        require_json([{"x" * 100_000: 1}] * 60, "value")
