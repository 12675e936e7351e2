from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import toolbox
from toolbox_data.flat_keys import flatten, unflatten

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
keys = st.text(min_size=1, max_size=5) | st.text(r".[]\/_01ab", min_size=1, max_size=5)
nested = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=20,
).filter(lambda value: isinstance(value, dict) or (isinstance(value, list) and value != []))


@given(nested, st.sampled_from("./_-:a0"))
def test_any_nested_value_comes_back_from_its_flat_form(value: Any, separator: str) -> None:
    flat = flatten(value, separator)
    assert not any(isinstance(leaf, dict | list) and leaf for leaf in flat.values())
    assert unflatten(flat, separator) == value


def test_keys_that_look_like_paths_are_escaped() -> None:
    value = {"a.b": {"c[0]": 1}, "back\\slash": [2]}
    assert flatten(value) == {r"a\.b.c\[0\]": 1, r"back\\slash[0]": 2}


def test_numbers_in_brackets_are_positions_and_bare_numbers_are_keys() -> None:
    assert unflatten({"a[0]": 1, "b.0": 2}) == {"a": [1], "b": {"0": 2}}
    assert unflatten({"[1].x": 2, "[0]": 1}) == [1, {"x": 2}]


def test_empty_objects_and_arrays_stay_as_values() -> None:
    assert flatten({"a": {}, "b": [], "c": [[]]}) == {"a": {}, "b": [], "c[0]": []}
    assert flatten({}) == {}


def test_arrays_can_be_kept_as_values() -> None:
    value = {"a": {"b": [{"c": 1}]}}
    assert flatten(value, arrays="keep") == {"a.b": [{"c": 1}]}
    assert unflatten(flatten(value, arrays="keep")) == value


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"": 1}, "the top object has an empty key"),
        ({"a": [{"": 1}]}, r"the object at 'a\[0\]' has an empty key"),
        ([], "an array at the top"),
        ({"a": float("inf")}, "the number inf at '/a'"),
    ],
)
def test_what_has_no_path_is_refused(value: Any, problem: str) -> None:
    with pytest.raises(toolbox.ToolError, match=problem):
        flatten(value)


def test_a_long_key_above_many_values_cannot_fill_the_memory() -> None:
    with pytest.raises(toolbox.ToolError, match="more than 5,000,000 characters"):
        flatten({"k" * 10_000: list(range(1_000))})


@pytest.mark.parametrize(
    ("flat", "problem"),
    [
        ({"a": 1, "a.b": 2}, "'a.b' leads through 'a', to which another key gives a value"),
        ({"a.b": 2, "a": 1}, "'a' gives a value to 'a', through which another key leads"),
        ({"a": {}, "a.b": 2}, "'a.b' leads through 'a'"),
        ({"a[0]": 1, "a.b": 2}, "'a' has both keys and array positions"),
        ({"a": 1, "[0]": 2}, "the top has both keys and array positions"),
        ({"a[0]": 1, "a[2]": 2}, "the array at 'a' has position 2 but lacks position 1"),
        ({"a[999999]": 1}, "lacks position 0"),
        ({"a..b": 1}, "the key 'a..b' is no path"),
        ({"": 1}, "the key '' is no path"),
        ({"a.": 1}, "is no path"),
        ({".a": 1}, "is no path"),
        ({"a[01]": 1}, "is no path"),
        ({"a[-1]": 1}, "is no path"),
        ({"a[9999999999999]": 1}, "is no path"),
        ({"a[0]b": 1}, "is no path"),
        ({"a.[0]": 1}, "is no path"),
        ({"a\\b": 1}, "is no path"),
        ({"a\\": 1}, "is no path"),
        ({".".join("a" * 101): 1}, "more than 100 steps"),
    ],
)
def test_paths_that_contradict_or_lead_nowhere_are_refused(flat: dict[str, Any], problem: str) -> None:
    with pytest.raises(toolbox.ToolError, match=problem):
        unflatten(flat)


def test_many_deep_paths_cannot_fill_the_memory() -> None:
    tail = ".a" * 90
    with pytest.raises(toolbox.ToolError, match="more than 400,000 steps in all"):
        unflatten({f"k{number}{tail}": 1 for number in range(5_000)})
