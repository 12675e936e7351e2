import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import toolbox
from toolbox_data.json_text import JsonCheck, format_json, validate_json

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(values, st.sampled_from(["pretty", "compact"]), st.integers(1, 8), st.booleans())
def test_formatting_never_changes_a_value(value: Any, style: Any, indent: int, sort_keys: bool) -> None:
    formatted = format_json(json.dumps(value), style, indent, sort_keys)
    assert json.loads(formatted) == value
    assert format_json(formatted, style, indent, sort_keys) == formatted


def test_keys_are_sorted_at_every_level_only_on_demand() -> None:
    text = '{"b": {"d": 1, "c": 2}, "a": 3}'
    assert format_json(text, "compact") == '{"b":{"d":1,"c":2},"a":3}'
    assert format_json(text, "compact", sort_keys=True) == '{"a":3,"b":{"c":2,"d":1}}'


@pytest.mark.parametrize("number", ["1.10", "1e400", "-0", "0.1234567890123456789012345", "9" * 5_000, "1E+2"])
def test_numbers_stay_as_they_are_written(number: str) -> None:
    assert format_json(f"[{number}]", "compact") == f"[{number}]"


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("", 1, 1),
        ("{", 1, 2),
        ('{\n  "a": 1,\n  b: 2\n}', 3, 3),
        ("[1,\n2,]", 2, 3),
        ("{'a': 1}", 1, 2),
        ("[1] [2]", 1, 5),
        ('["a\nb"]', 1, 4),
        ("[01]", 1, 3),
        ("[1.]", 1, 3),
        ('{"a": 1 "b": 2}', 1, 9),
        ("// comment\n1", 1, 1),
        ("\ufeff{}", 1, 1),
        ("[NaN]", 1, 2),
        ('["NaN", \n -Infinity]', 2, 2),
        ('{"Infinity": Infinity}', 1, 14),
        ('["\\"NaN", NaN]', 1, 11),
    ],
)
def test_a_syntax_error_is_found_where_it_is(text: str, line: int, column: int) -> None:
    check = validate_json(text)
    assert (check.valid, check.line) == (False, line)
    assert check.column is not None
    assert abs(check.column - column) <= 1  # Python's versions differ on commas and brackets by one
    with pytest.raises(toolbox.ToolError, match=f"at line {line}, column {check.column}"):
        format_json(text)


def test_valid_json_has_no_problem() -> None:
    assert validate_json(' {"a": [1, "NaN", null]} ') == JsonCheck(valid=True)


def test_repeated_keys_are_reported_and_never_lost() -> None:
    text = '{"a": [{"b/c": 1, "b/c": 2}], "a~": 0, "a~": 0}'
    assert validate_json(text) == JsonCheck(valid=True, repeated_keys=["/a~0", "/a/0/b~1c"])
    with pytest.raises(toolbox.ToolError, match="the key at '/a~0' stands there twice"):
        format_json(text)


def test_long_paths_to_repeated_keys_cannot_fill_the_memory() -> None:
    text = '{"' + "k" * 250_000 + '": [' + ",".join(['{"a":1,"a":1}'] * 15_000) + "]}"
    assert len(validate_json(text).repeated_keys) == 20


def test_half_a_surrogate_pair_cannot_be_written() -> None:
    with pytest.raises(toolbox.ToolError, match="half of a surrogate pair"):
        format_json('["\\ud83d"]')
    assert format_json('["\\ud83d\\ude00"]', "compact") == '["😀"]'


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "[" * 200 + "]" * 200])
def test_deep_nesting_is_refused(text: str) -> None:
    with pytest.raises(toolbox.ToolError, match="nests"):
        format_json(text)
    with pytest.raises(toolbox.ToolError, match="nests"):
        validate_json(text)
