from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

import toolbox
from toolbox_data.yaml_text import json_to_yaml, yaml_to_json

tricky = st.sampled_from(
    [
        *["no", "Yes", "on", "~", "", "null", "12:30", "012", "0o17", "0x1F", "1e3", "1_000", ".5", ".nan", "="],
        *["2026-03-01", "2026-3-1 1:02:03 -5", "2026-02-30", "<<", "- a", "a: b", "# a", "&a", "*a", "!a", "?"],
        *["...", "---", "\n", "a\n...\nb", " \n a\n", "\ttab", "a \nb", "\r\n", "\x85", "\u2028", "\ufeff"],
    ]
)
texts = tricky | st.text(st.characters(codec="utf-8"), max_size=30) | st.text(" \n\t-:#'\"ab.", max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@given(values, st.booleans(), st.integers(2, 8))
@example("a\n...\n", False, 2)
@example({"a": "...\n"}, False, 2)
def test_any_value_comes_back_from_its_yaml(value: Any, sort_keys: bool, indent: int) -> None:
    text = json_to_yaml(value, sort_keys, indent)
    assert yaml_to_json(text).documents == [value]
    assert yaml.safe_load(text) == value  # a reader of YAML 1.1


def test_texts_of_several_lines_become_blocks() -> None:
    assert json_to_yaml({"a": "x\ny\n", "b": ["z"]}) == "a: |\n  x\n  y\nb:\n- z\n"


def test_shared_values_are_written_in_full() -> None:
    shared = [1]
    assert json_to_yaml({"a": shared, "b": shared}) == "a:\n- 1\nb:\n- 1\n"


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("", None),
        ("~", None),
        ("Null", None),
        ("true", True),
        ("FALSE", False),
        ("no", "no"),
        ("on", "on"),
        ("12:30", "12:30"),
        ("012", 12),
        ("0o17", 15),
        ("0x1F", 31),
        ("-7", -7),
        ("1_000", "1_000"),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("'1'", "1"),
        ("!!str 1", "1"),
        ("!!int '1'", 1),
        ("!!float 1.5", 1.5),
        ("! 1", "1"),
        ("2026-03-01", "2026-03-01"),
        ("2001-12-14t21:59:43.10-05:00", "2001-12-14T21:59:43.100000-05:00"),
        ("2001-12-14 21:59:43", "2001-12-14T21:59:43"),
        ("2026-02-30", "2026-02-30"),
        ("'2001-12-14 21:59:43'", "2001-12-14 21:59:43"),
    ],
)
def test_scalars_mean_what_yaml_1_2_says(scalar: str, value: Any) -> None:
    (document,) = yaml_to_json(f"a: {scalar}\n").documents
    assert document == {"a": value}
    assert type(document["a"]) is type(value)


def test_keys_are_the_texts_that_are_written() -> None:
    text = "1: a\nyes: b\n~: c\n2026-03-01: d\n1.0: e\n? |\n  f\n: g\n"
    assert yaml_to_json(text).documents == [{"1": "a", "yes": "b", "~": "c", "2026-03-01": "d", "1.0": "e", "f\n": "g"}]


def test_every_document_is_read_and_an_empty_text_has_none() -> None:
    assert yaml_to_json("a\n---\n---\n- 1\n...\n").documents == ["a", None, [1]]
    assert yaml_to_json("").documents == []
    assert yaml_to_json("# only a comment\n").documents == []


def test_own_keys_win_over_merged_ones_and_earlier_merged_ones_over_later() -> None:
    text = "- &a {x: 1, y: 1}\n- &b {x: 2, z: 2}\n- <<: [*a, *b]\n  y: 3\n- y: 4\n  <<: *a\n"
    assert yaml_to_json(text).documents[0][2:] == [{"x": 1, "y": 3, "z": 2}, {"x": 1, "y": 4}]


def test_aliases_may_stand_for_keys_and_anchors_end_with_their_document() -> None:
    assert yaml_to_json("- &k name\n- *k : 1\n").documents == [["name", {"name": 1}]]
    with pytest.raises(toolbox.ToolError, match=r"line 3, column 1: the alias \*k has no finished anchor"):
        yaml_to_json("&k a\n---\n*k\n")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [1, 2", "line 2, column 1: not valid YAML"),
        ("a: 1\n b: 2\n", "line 2, column 3: not valid YAML"),
        ("a: 1\na: 2\n", "line 2, column 1: the key 'a' stands twice"),
        ("a: .nan\n", "the number nan at '/0/a'"),
        ("- -.INF\n", "the number -inf at '/0/0'"),
        ("- 1e999\n", "the number inf at '/0/0'"),
        ("- " + "9" * 5_000, "the number inf at '/0/0'"),
        ("- 0x" + "f" * 300, "more than 1024 bits at '/0/0'"),
        ("a: !Ref b\n", "line 1, column 4: JSON has nothing for 'b' with the tag '!Ref'"),
        ("a: !!python/object/apply:os.system [x]\n", "line 1, column 4: JSON has nothing for the tag"),
        ("a: !!int x\n", "JSON has nothing for 'x' with the tag"),
        ("a: !!binary aGk=\n", "JSON has nothing for 'aGk=' with the tag"),
        ("a: !!set {b}\n", "JSON has nothing for the tag"),
        ("? [a]\n: 1\n", "line 1, column 3: JSON has no keys that are lists"),
        ("<<: 1\n", "the merge key << takes a mapping"),
        ("&a [*a]", "the alias .a has no finished anchor"),
        ("*a", "the alias .a has no finished anchor"),
        ("a\x01b", "not valid YAML"),
    ],
)
def test_what_is_not_yaml_or_not_json_is_refused_with_its_place(text: str, problem: str) -> None:
    with pytest.raises(toolbox.ToolError, match=problem):
        yaml_to_json(text)


@pytest.mark.parametrize(
    "text",
    ["[" * 400_000, "- " * 200_000, "{a: " * 100_000, "? " * 200_000, "[" * 102 + "]" * 102],
    ids=["flow", "block", "mapping", "key", "just-over"],
)
def test_deep_nesting_is_refused_before_anything_recurses(text: str) -> None:
    with pytest.raises(toolbox.ToolError, match=r"line 1, column [0-9]+: nests more than 100 levels deep"):
        yaml_to_json(text)


def test_a_billion_laughs_are_refused_at_once() -> None:
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    with pytest.raises(toolbox.ToolError, match="the list of documents is too large: at most 200,000 values"):
        yaml_to_json("\n".join(lines))


def test_a_long_text_behind_many_aliases_is_refused() -> None:
    with pytest.raises(toolbox.ToolError, match="5,000,000 characters"):
        yaml_to_json(f"- &a {'x' * 10_000}\n" + "- *a\n" * 10_000)


def test_merge_keys_cannot_copy_without_end() -> None:
    base = "- &a {" + ", ".join(f"k{n}: 1" for n in range(10_000)) + "}\n"
    with pytest.raises(toolbox.ToolError, match="merge keys copy more than 200,000 values"):
        yaml_to_json(base + "- {<<: *a}\n" * 100)
