"""Type names of other languages and dialects become types of JSON Schema."""

from typing import Any

import pytest

from tests.tools.mapping import property_of
from toolbox.tools.dialects import Change, to_json_schema


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("str", {"type": "string"}),
        ("STRING", {"type": "string"}),
        ("int", {"type": "integer"}),
        ("long", {"type": "integer"}),
        ("float", {"type": "number"}),
        ("double", {"type": "number"}),
        ("bool", {"type": "boolean"}),
        ("dict", {"type": "object"}),
        ("hashmap", {"type": "object"}),
        ("structure", {"type": "object"}),
        ("list", {"type": "array"}),
        ("tuple", {"type": "array"}),
        ("None", {"type": "null"}),
        ("any", {}),
        ("timestamp", {"type": "string", "format": "date-time"}),
        ("blob", {"type": "string", "contentEncoding": "base64"}),
        ("List[str]", {"type": "array", "items": {"type": "string"}}),
        ("typing.List[Any]", {"type": "array", "items": {}}),
        ("array of strings", {"type": "array", "items": {"type": "string"}}),
        ("list of list of ints", {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}}),
        ("string[]", {"type": "array", "items": {"type": "string"}}),
        ("Set<Long>", {"type": "array", "uniqueItems": True, "items": {"type": "integer"}}),
        (
            "Tuple[float, str]",
            {"type": "array", "prefixItems": [{"type": "number"}, {"type": "string"}], "minItems": 2, "maxItems": 2},
        ),
        ("tuple[int, ...]", {"type": "array", "items": {"type": "integer"}}),
        ("Dict[str, int]", {"type": "object", "additionalProperties": {"type": "integer"}}),
        (
            "Map<String, java.util.List<String>>",
            {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}},
        ),
        ("Optional[int]", {"type": ["integer", "null"]}),
        ("Optional[List[int]]", {"type": ["array", "null"], "items": {"type": "integer"}}),
        ("int | None", {"type": ["integer", "null"]}),
        ("string?", {"type": ["string", "null"]}),
        ("Union[int, str]", {"type": ["integer", "string"]}),
        ("string or number", {"type": ["string", "number"]}),
        ("Union[int, Any]", {}),
        ("List[int] | str", {"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "string"}]}),
        ("'asc' | 'desc'", {"enum": ["asc", "desc"]}),
        ("Literal['a', 1, None]", {"anyOf": [{"enum": ["a"]}, {"enum": [1]}, {"type": "null"}]}),
        ("varchar(255)", {"type": "string"}),
        ("integer (optional)", {"type": "integer"}),
        ("string, optional", {"type": "string"}),
        ("Annotated[int, 3]", {"type": "integer"}),
    ],
)
def test_type_names_of_other_languages_are_mapped(name: str, schema: dict[str, Any]) -> None:
    schema_of_a = {"description": "first", "type": name, "title": "last"}

    mapped = to_json_schema({"type": "object", "properties": {"a": schema_of_a}})

    expected = {"description": "first", **schema, "title": "last"}
    assert list(mapped.schema["properties"]["a"].items()) == list(expected.items())
    assert mapped.changes in ((), (Change("type_mapped", "/properties/a/type"),))


@pytest.mark.parametrize(
    "name",
    [
        "",
        "pd.DataFrame",
        "list[",
        "list[str",
        "string, foo",
        "list]",
        "int of str",
        "string describing it",
        "|",
        "?",
        "a" * 500,
        "List[Foo]",
        "é",
        3,
        None,
        [],
        ["string", 3],
        ["string", "Foo"],
    ],
)
def test_a_type_that_is_not_understood_is_dropped(name: object) -> None:
    mapped = to_json_schema({"type": "object", "properties": {"a": {"type": name, "description": "kept"}}})

    assert mapped.schema["properties"]["a"] == {"description": "kept"}
    assert mapped.changes == (Change("type_dropped", "/properties/a/type"),)


def test_nesting_in_a_type_name_is_bounded() -> None:
    assert property_of({"type": "set[" * 24 + "x" + "]" * 24}) == {}
    assert property_of({"type": "?" * 100_000}) == {}


def test_the_content_tells_the_type_that_a_name_does_not() -> None:
    assert property_of({"type": "Address", "properties": {"a": {}}}) == {"type": "object", "properties": {"a": {}}}
    assert property_of({"type": "Addresses", "items": {}}) == {"type": "array", "items": {}}


def test_what_a_property_says_itself_outweighs_its_type_name() -> None:
    written = {"type": "list[str]", "items": {"type": "int"}}

    assert property_of(written) == {"type": "array", "items": {"type": "integer"}}


def test_a_list_of_types_is_mapped_as_a_whole() -> None:
    assert property_of({"type": ["str", "none"]}) == {"type": ["string", "null"]}
    assert property_of({"type": ["string", "string"]}) == {"type": "string"}
    assert property_of({"type": ["int", {"type": "str"}]}) == {"anyOf": [{"type": "integer"}, {"type": "string"}]}


def test_a_property_named_type_is_not_a_type() -> None:
    crime = {"city": {"type": "str"}, "type": {"type": "str", "description": "The type of crime."}}

    mapped = to_json_schema({"type": "dict", "properties": crime, "required": ["type"]})

    assert mapped.schema == {
        "type": "object",
        "properties": {"city": {"type": "string"}, "type": {"type": "string", "description": "The type of crime."}},
        "required": ["type"],
    }
    assert [change.path for change in mapped.changes] == ["/type", "/properties/city/type", "/properties/type/type"]


def test_a_schema_in_the_place_of_a_type_is_read_as_that_type() -> None:
    assert property_of({"type": {"type": "str", "title": "inner"}, "title": "outer"}) == {
        "type": "string",
        "title": "outer",
    }
