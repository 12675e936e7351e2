from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import toolbox
from toolbox_data.pointers import read_pointer, write_pointer
from toolbox_data.queries import query, query_pointer

RFC_6901_DOCUMENT = {
    "foo": ["bar", "baz"],
    "": 0,
    "a/b": 1,
    "c%d": 2,
    "e^f": 3,
    "g|h": 4,
    "i\\j": 5,
    'k"l': 6,
    " ": 7,
    "m~n": 8,
}


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("", RFC_6901_DOCUMENT),
        ("/foo", ["bar", "baz"]),
        ("/foo/0", "bar"),
        ("/", 0),
        ("/a~1b", 1),
        ("/c%d", 2),
        ("/e^f", 3),
        ("/g|h", 4),
        ("/i\\j", 5),
        ('/k"l', 6),
        ("/ ", 7),
        ("/m~0n", 8),
    ],
)
def test_pointers_mean_what_section_5_of_the_rfc_says(pointer: str, value: Any) -> None:
    assert query_pointer(RFC_6901_DOCUMENT, pointer) == value


def test_an_escaped_tilde_before_a_one_is_not_a_slash() -> None:
    assert query_pointer({"~1": "tilde one", "/": "slash"}, "/~01") == "tilde one"


@given(st.lists(st.text()))
def test_a_pointer_reads_back_as_the_steps_it_was_written_from(steps: list[str]) -> None:
    assert read_pointer(write_pointer(steps)) == steps


@pytest.mark.parametrize(
    ("document", "pointer", "problem"),
    [
        ({"a": 1}, "a", "a JSON Pointer is empty or begins with '/'"),
        ({"a": 1}, "#/a", "begins with '#'"),
        ({"a": 1}, "/a~2", "'~' at character 3 is neither"),
        ({"a": 1}, "/~", "'~' at character 2 is neither"),
        ({"port": 1}, "/prt", "the object at the top has no key 'prt'; near keys: 'port'"),
        ({"a": {"b": 1}}, "/a/x/y", "the object at '/a' has no key 'x'"),
        ({"a": [1]}, "/a/1", "the array at '/a' has 1 elements, so there is no 1"),
        ({"a": [1]}, "/a/-", "no position in the array at '/a'"),
        ({"a": [1]}, "/a/01", "no position in the array"),
        ({"a": [1]}, "/a/-1", "no position in the array"),
        ({"a": [1]}, "/a/+0", "no position in the array"),
        ({"a": [1]}, "/a/", "no position in the array"),
        ({"a": [1]}, "/a/\u0660", "no position in the array"),
        ({"a": [1]}, "/a/" + "9" * 5_000, "no position in the array"),
        ({"a": "text"}, "/a/0", "'/a' is neither an object nor an array"),
    ],
)
def test_a_pointer_that_leads_nowhere_says_how_far_it_led(document: Any, pointer: str, problem: str) -> None:
    with pytest.raises(toolbox.ToolError, match=problem):
        query_pointer(document, pointer)


def test_a_missing_key_among_long_similar_ones_is_reported_at_once() -> None:
    document = {"ab" * 4_000 + str(number): 1 for number in range(600)}
    with pytest.raises(toolbox.ToolError, match="has no key"):
        query_pointer(document, "/" + "ab" * 4_900)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("a.b[1]", 20),
        ("a.b[-1]", 30),
        ("a.missing.deeper", None),
        ("length(a.b)", 3),
        ("sum(a.b)", 60),
        ("people[?age >= `18`] | [0].name", "Ann"),
        ("people[*].{n: name}", [{"n": "Ann"}, {"n": "Bob"}]),
        ("join(', ', people[].name)", "Ann, Bob"),
        ("keys(a)", ["b"]),
        ("@.a.b[::2]", [10, 30]),
        ("to_number('12')", 12),
    ],
)
def test_jmespath_selects_filters_and_reshapes(expression: str, value: Any) -> None:
    document = {"a": {"b": [10, 20, 30]}, "people": [{"name": "Ann", "age": 41}, {"name": "Bob", "age": 12}]}
    assert query(document, expression) == value


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("a..b", "the expression breaks at character 3, before '.b'"),
        ("a[", "the expression ends too early"),
        ("a ~ b", "the expression breaks at character 3"),
        ("`[1", "the expression breaks at character 1"),
        ("nothing(@)", r"the expression cannot be evaluated: Unknown function: nothing\(\)"),
        ("length(@, @)", "the expression calls a function wrongly: Expected 1 argument"),
        ("length(`5`)", r"the function length\(\) takes string or array or object, not number"),
        ("a < b", "the expression does not fit the document"),
        ("merge(@, `1`)", "the expression does not fit the document"),
        ("ceil(to_number('inf'))", "the expression does not fit the document"),
        ("to_number('nan')", "the result has the number nan at the top"),
        ("[to_number('inf')]", "the result has the number inf at '/0'"),
        ("&a", "the result has a value of type _Expression at the top"),
        ("'\ud83d'", "half of a surrogate pair"),
        ("!" * 2_000 + "a", "the expression nests too deeply"),
        ("(" * 1_000 + "a" + ")" * 1_000, "the expression nests too deeply"),
        ("[" * 2_000, "the expression nests too deeply"),
    ],
)
def test_a_bad_expression_is_refused_in_words(expression: str, problem: str) -> None:
    with pytest.raises(toolbox.ToolError, match=problem):
        query({"a": 1, "b": "text"}, expression)


@pytest.mark.parametrize(
    "expression",
    [
        "|".join(["[@,@]"] * 300),
        "|".join(["[@,@]"] * 60) + "|to_string(@)",
        "[" + "|".join(["[@,@]"] * 60) + "," + "|".join(["[@,@]"] * 60) + "]|[0]==[1]",
        "|".join(["[@,@][]"] * 200),
        "|".join(["{a:@,b:@}"] * 150),
        "to_string([@])|" + "|".join(["join('',[@,@])"] * 100),
        "|".join(["to_string([@])"] * 120),
        "|".join(["map(&[@,@],[@,@])"] * 80),
        "|".join(["[*].[@,@]"] * 150),
    ],
)
def test_a_short_expression_cannot_build_a_value_without_end(expression: str) -> None:
    with pytest.raises(toolbox.ToolError, match="too large"):
        query(["x"] * 10, expression)


def test_join_is_measured_before_it_is_built() -> None:
    document = {"separator": "x" * 100_000, "texts": [""] * 10_000}
    with pytest.raises(toolbox.ToolError, match="builds too large a value"):
        query(document, "join(separator, texts)")


def test_an_ordinary_query_over_a_large_document_is_within_bounds() -> None:
    document = {"items": [{"id": number, "price": number % 100} for number in range(30_000)]}
    assert len(query(document, "items[?price < `50`].{id: id, price: price} | sort_by(@, &price)")) == 15_000
