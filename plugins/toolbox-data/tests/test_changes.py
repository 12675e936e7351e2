import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import toolbox
from toolbox_data.changes import JsonChange, diff_json, merge
from toolbox_data.pointers import read_pointer

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(0, 2)
    | st.sampled_from([0.0, 1.0, 1.5])
    | st.sampled_from(["", "a/b", "~"]),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(["", "a", "b/c", "~1"]), inner),
    max_leaves=15,
)


def apply(changes: list[JsonChange], document: Any) -> Any:
    """Apply a JSON Patch of add, remove and replace (RFC 6902, section 4)."""
    holder = {"": copy.deepcopy(document)}
    for change in changes:
        parent: Any = holder
        *steps, last = ["", *read_pointer(change.path)]
        for step in steps:
            parent = parent[int(step) if isinstance(parent, list) else step]
        key = int(last) if isinstance(parent, list) else last
        if change.op == "remove":
            assert parent[key] == change.old
            del parent[key]
        elif change.op == "add" and isinstance(parent, list):
            parent.insert(int(last), change.value)
        else:
            assert (key in parent if isinstance(parent, dict) else True) == (change.op == "replace")
            parent[key] = change.value
    return holder[""]


@given(values, values)
def test_the_changes_turn_the_first_value_into_the_second(before: Any, after: Any) -> None:
    difference = diff_json(before, after)
    result = apply(difference.changes, before)
    assert diff_json(result, after).equal
    assert difference.equal == (difference.changes == [])


@given(values)
def test_a_value_equals_itself(value: Any) -> None:
    assert diff_json(value, copy.deepcopy(value)).equal


def test_numbers_are_compared_by_value_but_true_is_not_one() -> None:
    assert diff_json([1, {"a": 0.0}], [1.0, {"a": 0}]).equal
    assert diff_json([True], [1]).changes == [JsonChange("replace", "/0", value=1, old=True)]
    assert diff_json({"a": [0]}, {"a": [False]}).changes == [JsonChange("replace", "/a/0", value=False, old=0)]


def test_one_insertion_or_removal_in_an_array_is_one_change() -> None:
    assert diff_json([1, 2, 4], [1, 2, 3, 4]).changes == [JsonChange("add", "/2", value=3)]
    assert diff_json([1, 2, 3, 4], [1, 4]).changes == [
        JsonChange("remove", "/2", old=3),
        JsonChange("remove", "/1", old=2),
    ]


def test_null_is_a_value_that_can_be_added_and_removed() -> None:
    assert diff_json({"a": 1}, {"a": None}).changes == [JsonChange("replace", "/a", value=None, old=1)]
    assert diff_json({}, {"a": None}).changes == [JsonChange("add", "/a", value=None)]
    assert diff_json({"a": None}, {}).changes == [JsonChange("remove", "/a", old=None)]


def test_deep_values_that_differ_at_the_bottom_are_compared_in_reasonable_time() -> None:
    def tower(bottom: Any) -> Any:
        value: Any = [0] * 1_000 + [bottom]
        for _ in range(90):
            value = [[0] * 100, value]
        return value

    assert len(diff_json(tower(1), tower(2)).changes) == 1


def test_long_paths_to_changes_cannot_fill_the_memory() -> None:
    key = "k" * 1_000_000
    with pytest.raises(toolbox.ToolError, match="the paths have more than 5,000,000 characters"):
        diff_json({key: [0] * 1_000}, {key: [1] * 1_000})


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merging_passes_the_cases_of_rfc_7396(target: Any, patch: Any, result: Any) -> None:
    before = copy.deepcopy(target)
    assert merge(target, patch) == result
    assert target == before


def test_values_that_json_cannot_hold_are_refused() -> None:
    with pytest.raises(toolbox.ToolError, match="patch has the number nan at '/a'"):
        merge({}, {"a": float("nan")})
    with pytest.raises(toolbox.ToolError, match="after has the number inf at the top"):
        diff_json(1, float("inf"))
