"""Any schema becomes JSON Schema 2020-12 with an object at its root, or is refused in a sentence."""

import copy
import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator, validator_for

from toolbox.errors import InvalidDefinition
from toolbox.tools.dialects import Change, MappedSchema, to_json_schema
from toolbox.tools.validity import MAX_DEPTH, MAX_VALUES


def properties_of(schema: object) -> Any:
    return to_json_schema(schema).schema["properties"]


def property_of(value: object) -> Any:
    """What a property of an otherwise valid schema becomes."""
    return properties_of({"type": "object", "properties": {"a": value}})["a"]


def kinds_of(schema: object) -> list[str]:
    return [change.kind for change in to_json_schema(schema).changes]


def accepts(schema: dict[str, Any], value: object) -> bool:
    return Draft202012Validator(schema, offline=True).is_valid(value)


# What is valid stays


VALID = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {"address": {"$anchor": "address", "type": "object", "properties": {"street": {"type": "string"}}}},
    "properties": {
        "name": {"type": "string", "default": 3, "minLength": 1},
        "home": {"$ref": "#/$defs/address"},
        "work": {"$ref": "#address", "description": "where they work"},
        "kind": {"type": "string", "enum": ["a", "b"], "nullable": True},
        "type": {"type": "string"},
        "required": {"type": "boolean"},
        "items": {"type": "array", "prefixItems": [{"const": 1}], "items": False},
    },
    "allOf": [{"anyOf": [{"required": ["home"]}, {"required": ["work"]}]}],
    "if": {"properties": {"kind": {"const": "a"}}},
    "then": {"required": ["name"]},
    "else": {"not": {"required": ["name"]}},
    "x-vendor": {"type": "dict", "$ref": "http://example.invalid/never-followed"},
    "additionalProperties": False,
}


def test_a_valid_schema_comes_back_as_the_very_same_object() -> None:
    before = json.dumps(VALID)

    mapped = to_json_schema(VALID)

    assert mapped.schema is VALID
    assert mapped.changes == ()
    assert json.dumps(mapped.schema) == before


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        {"type": "object", "properties": {}},
        {"title": "T", "properties": {"type": {"type": "string"}, "enum": {"enum": [1, "a"]}}, "type": "object"},
        {"type": "object", "properties": {"a": {"type": "integer", "default": "None"}}},
        {"type": "object", "properties": {"a": {"type": ["string", "integer"], "enum": ["x", 1, None]}}},
        {"type": "object", "properties": {"a": {"type": "number", "enum": [1, 2]}}},
        {"type": "object", "properties": {"a": {"type": "string", "example": "x", "optional": True}}},
        {"type": "object", "properties": {"a": {"nullable": False}}},
        {"type": "object", "properties": {"a": True, "b": False, "c": {}}},
        {"type": "object", "dependencies": {"a": ["b"], "c": {"required": ["d"]}}, "$recursiveRef": "#"},
        {"type": "object", "const": {"type": "dict"}, "default": {"required": True}, "enum": [{"nullable": True}]},
        {"type": "object", "$id": "https://example.invalid/tool", "$defs": {"a": {"$id": "item"}}, "$ref": "item"},
        {"type": "object", "$id": "http://x/a/b", "$defs": {"c": {"$id": "../d#", "$anchor": "e"}}, "$ref": "/d#e"},
        {"type": "object", "$id": "urn:a", "properties": {"b": {"$ref": "urn:a"}, "c": {"$ref": "#/properties/b"}}},
        {"type": "object", "properties": {"next": {"$ref": "#"}}},
        {"type": "object", "$ref": "https://json-schema.org/draft/2020-12/schema"},
        {"type": "object", "city": {"type": "string"}},
    ],
)
def test_a_valid_schema_is_not_changed(schema: dict[str, Any]) -> None:
    assert to_json_schema(schema) == MappedSchema(schema)


def test_a_schema_of_an_earlier_draft_that_is_also_valid_today_keeps_its_draft() -> None:
    schema = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "definitions": {"a": {}}}

    assert to_json_schema(schema).schema is schema


# The root


@pytest.mark.parametrize(
    "schema", [None, {}, True, {"type": "any"}, {"type": "null"}, {"type": ["object", "null"]}, []]
)
def test_the_root_becomes_an_object(schema: object) -> None:
    assert accepts(to_json_schema(schema).schema, {"a": 1})
    assert to_json_schema(schema).schema["type"] == "object"


def test_a_root_without_a_type_keeps_the_rest_as_it_was() -> None:
    mapped = to_json_schema({"$ref": "#/$defs/a", "$defs": {"a": {"required": ["b"]}}})

    assert mapped == MappedSchema(
        {"type": "object", "$ref": "#/$defs/a", "$defs": {"a": {"required": ["b"]}}}, (Change("root_typed", ""),)
    )


def test_properties_outweigh_a_wrong_type_of_the_root() -> None:
    mapped = to_json_schema({"type": "string", "properties": {"a": {}}})

    assert mapped.schema == {"type": "object", "properties": {"a": {}}}


@pytest.mark.parametrize("schema", [{"type": "string"}, {"type": ["array", "null"]}, {"type": "List[str]"}])
def test_a_root_that_is_no_object_is_refused(schema: object) -> None:
    with pytest.raises(InvalidDefinition, match="a tool's arguments are an object"):
        to_json_schema(schema)


@pytest.mark.parametrize("schema", [False, 3, 1.5, "string", "{}"])
def test_what_is_no_schema_is_refused(schema: object) -> None:
    with pytest.raises(InvalidDefinition, match="a schema is a JSON object"):
        to_json_schema(schema)


def test_an_output_schema_may_have_any_root() -> None:
    assert to_json_schema({"type": "list"}, object_root=False).schema == {"type": "array"}
    assert to_json_schema(None, object_root=False).schema == {}


# Types


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


# Properties


def test_a_bare_map_of_properties_is_wrapped() -> None:
    mapped = to_json_schema({"city": {"type": "str"}, "days": {"type": "integer", "required": True}})

    assert mapped.schema == {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["days"],
    }
    assert [change.kind for change in mapped.changes] == ["properties_wrapped", "type_mapped", "required_lifted"]


def test_a_bare_map_with_a_property_named_type_is_wrapped() -> None:
    assert properties_of({"type": {"type": "string"}, "title": {"type": "string"}}).keys() == {"type", "title"}
    nested = {"type": {"type": "string"}, "zip": {"type": "string"}}
    assert property_of(nested) == {"type": "object", "properties": nested}


def test_a_bare_map_of_type_names_is_wrapped() -> None:
    assert to_json_schema({"query": "str", "limit": "Optional[int]"}).schema == {
        "type": "object",
        "properties": {"query": {"type": "string"}, "limit": {"type": ["integer", "null"]}},
    }


@pytest.mark.parametrize(
    "schema", [{"not": {"required": ["a"]}}, {"items": {"type": "string"}}, {"x": {"y": {}}}, {"x": 3}]
)
def test_a_schema_is_not_mistaken_for_a_map_of_properties(schema: dict[str, Any]) -> None:
    assert to_json_schema(schema).schema == {"type": "object", **schema}


def test_a_list_of_parameters_becomes_properties() -> None:
    parameters = [
        {"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}},
        {"name": "fields", "type": "array of strings", "description": "which"},
        "plain",
        {"type": "string"},
        7,
    ]
    expected = {
        "type": "object",
        "properties": {
            "id": {"type": "integer", "in": "path"},
            "fields": {"type": "array", "items": {"type": "string"}, "description": "which"},
            "plain": {},
        },
        "required": ["id"],
    }

    assert to_json_schema(parameters).schema == expected
    assert to_json_schema({"type": "object", "properties": parameters}).schema == expected
    assert kinds_of(parameters).count("dropped") == 2


def test_shorthand_properties_are_types_or_descriptions() -> None:
    assert property_of("string") == {"type": "string"}
    assert property_of("Where to look.") == {"description": "Where to look."}
    assert property_of(["string", "null"]) == {"type": ["string", "null"]}
    assert property_of(None) == {}
    assert property_of(7) == {}


def test_required_flags_of_draft_3_move_to_the_object() -> None:
    mapped = to_json_schema(
        {
            "type": "object",
            "properties": {
                "a": {"type": "string", "required": True},
                "b": {"type": "object", "required": "true", "properties": {"c": {"required": True}, "d": {}}},
                "e": {"required": False},
            },
            "required": ["e"],
        }
    )

    assert mapped.schema == {
        "type": "object",
        "properties": {
            "a": {"type": "string"},
            "b": {"type": "object", "required": ["c"], "properties": {"c": {}, "d": {}}},
            "e": {},
        },
        "required": ["e", "a", "b"],
    }
    assert {change.kind for change in mapped.changes} == {"required_lifted"}


@pytest.mark.parametrize(
    ("required", "expected"),
    [
        (["a", "a", 3, "b"], {"required": ["a", "b"]}),
        ("a", {"required": ["a"]}),
        ("yes", {}),
        (True, {}),
        (None, {}),
        ({"a": True}, {}),
    ],
)
def test_a_required_that_is_no_list_of_names_is_repaired_or_dropped(required: object, expected: dict[str, Any]) -> None:
    mapped = to_json_schema({"type": "object", "properties": {"a": {}}, "required": required})

    assert mapped.schema == {"type": "object", "properties": {"a": {}}} | expected


def test_a_property_named_required_is_no_list_of_names() -> None:
    mapped = to_json_schema({"type": "object", "properties": {"a": {}, "required": ["string", "null"]}})

    assert mapped.schema["properties"] == {"a": {}, "required": {"type": ["string", "null"]}}


def test_required_among_the_properties_moves_out() -> None:
    mapped = to_json_schema({"type": "object", "properties": {"a": {}, "required": ["a"]}})

    assert mapped.schema == {"type": "object", "properties": {"a": {}}, "required": ["a"]}


# Other keywords


def test_nullable_allows_null() -> None:
    nothing = {"type": "null"}
    assert property_of({"type": "string", "nullable": True}) == {"type": ["string", "null"]}
    assert property_of({"type": "string", "enum": ["a"], "nullable": True}) == {
        "type": ["string", "null"],
        "enum": ["a", None],
    }
    assert property_of({"anyOf": [{"type": "string"}], "nullable": True}) == {"anyOf": [{"type": "string"}, nothing]}
    assert property_of({"allOf": [{}], "nullable": True, "title": "T"}) == {
        "anyOf": [{"allOf": [{}]}, nothing],
        "title": "T",
    }
    assert property_of({"nullable": True}) == {}


def test_a_nullable_reference_allows_null_or_what_it_points_to() -> None:
    schema = {"properties": {"a": {"$ref": "#/$defs/b", "nullable": True}}, "$defs": {"b": {"type": "int"}}}

    mapped = to_json_schema(schema).schema

    assert [accepts(mapped, {"a": value}) for value in (None, 1, "x")] == [True, True, False]


def test_a_nullable_root_is_still_an_object() -> None:
    schema = {"$ref": "#/$defs/a", "$defs": {"a": {}}, "nullable": True}

    assert to_json_schema(schema).schema == {"type": "object", "$ref": "#/$defs/a", "$defs": {"a": {}}}


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ({"type": "boolean", "enum": ["True", "False"]}, {"type": "boolean", "enum": [True, False]}),
        ({"type": "integer", "enum": ["1", "-2"]}, {"type": "integer", "enum": [1, -2]}),
        ({"type": "float", "enum": ["0.5", "1"]}, {"type": "number", "enum": [0.5, 1]}),
        ({"type": "boolean", "enum": ["True", "dontcare"]}, {"type": "string", "enum": ["True", "dontcare"]}),
        ({"type": "string", "enum": [1, None]}, {"type": ["integer", "null"], "enum": [1, None]}),
        (
            {"type": "array", "items": {"type": "str"}, "enum": ["a", "b"]},
            {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}},
        ),
        ({"type": "array", "enum": ["a"]}, {"type": "array", "items": {"enum": ["a"]}}),
        (
            {"type": "array", "items": {"type": "integer"}, "enum": ["a"]},
            {"type": "string", "items": {"type": "integer"}, "enum": ["a"]},
        ),
        ({"type": "string", "enum": []}, {"type": "string"}),
        ({"enum": "a"}, {}),
        ({"enum": None}, {}),
    ],
)
def test_an_enum_that_nothing_can_fit_is_read_as_it_was_meant(written: dict[str, Any], meant: dict[str, Any]) -> None:
    assert property_of(written) == meant


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (
            {"items": [{"type": "int"}, {}], "additionalItems": False},
            {"prefixItems": [{"type": "integer"}, {}], "items": False},
        ),
        ({"items": [], "title": "T"}, {"title": "T"}),
        ({"items": ["string"]}, {"items": {"type": "string"}}),
        ({"items": "string"}, {"items": {"type": "string"}}),
        ({"items": None}, {}),
        ({"minimum": 3, "exclusiveMinimum": True}, {"exclusiveMinimum": 3}),
        ({"maximum": 3, "exclusiveMaximum": False}, {"maximum": 3}),
        ({"exclusiveMaximum": True}, {}),
        ({"minLength": "3", "maxLength": -1, "minItems": 1.5, "maxItems": 2.0}, {"minLength": 3, "maxItems": 2.0}),
        ({"minimum": "0.5", "maximum": "x", "multipleOf": 0}, {"minimum": 0.5}),
        ({"uniqueItems": "true", "deprecated": "no"}, {"uniqueItems": True}),
        ({"additionalProperties": "false"}, {"additionalProperties": False}),
        ({"description": ["two", "lines"], "title": 7, "format": None}, {"description": "two\nlines", "title": "7"}),
        ({"examples": "one"}, {"examples": ["one"]}),
        ({"pattern": "("}, {}),
        ({"pattern": r"^\d+$"}, {"pattern": r"^\d+$"}),
        ({"patternProperties": {"(": {}, "^a": {"type": "str"}}}, {"patternProperties": {"^a": {"type": "string"}}}),
        ({"anyOf": {"type": "str"}, "oneOf": [], "allOf": 3}, {"anyOf": [{"type": "string"}]}),
        (
            {"dependencies": {"a": ["b", "b"], "c": {"type": "dict"}}},
            {"dependencies": {"a": ["b"], "c": {"type": "object"}}},
        ),
        ({"dependentRequired": {"a": "b", "c": 3}}, {"dependentRequired": {"a": ["b"]}}),
        ({"$anchor": "1 2", "$id": 3, "$vocabulary": 3, "$recursiveAnchor": True, "$ref": 3}, {}),
        ({"properties": "none", "$defs": []}, {}),
        ({"if": None, "not": {"type": "str"}}, {"not": {"type": "string"}}),
    ],
)
def test_keywords_with_wrong_values_are_repaired_or_dropped(written: dict[str, Any], meant: dict[str, Any]) -> None:
    mapped = to_json_schema({"type": "object", "properties": {"a": written}})

    assert mapped.schema["properties"]["a"] == meant
    assert bool(mapped.changes) == (written != meant)


def test_a_schema_changed_from_an_earlier_draft_names_the_new_one() -> None:
    mapped = to_json_schema(
        {
            "$schema": "http://json-schema.org/draft-04/schema#",
            "type": "object",
            "properties": {"a": {"minimum": 1, "exclusiveMinimum": True}},
        }
    )

    assert mapped.schema == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {"a": {"exclusiveMinimum": 1}},
    }
    assert mapped.changes == (Change("older_draft", "/properties/a/exclusiveMinimum"),)


def test_a_schema_that_is_not_valid_by_the_draft_it_names_names_the_one_it_is_valid_by() -> None:
    """The validator of a call goes by `$schema`."""
    written = {"$schema": "http://json-schema.org/draft-04/schema#", "type": "object", "minProperties": 1.0}
    numeric = {"properties": {"a": {"exclusiveMinimum": 1}}}

    mapped = to_json_schema(written | numeric)

    assert mapped.schema == written | numeric | {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    assert mapped.changes == (Change("older_draft", "/$schema"),)


@pytest.mark.parametrize("name", ["http://json-schema.org/draft-03/schema#", "draft-07", "", 3, None])
def test_an_unknown_schema_keyword_is_dropped_because_validators_would_look_it_up(name: object) -> None:
    mapped = to_json_schema({"$schema": name, "type": "object"})

    assert mapped == MappedSchema({"type": "object"}, (Change("dropped", "/$schema"),))
    validator_for(mapped.schema, offline=True)


def test_an_anchor_written_as_id_is_an_anchor() -> None:
    mapped = to_json_schema(
        {"type": "object", "definitions": {"a": {"$id": "#a"}}, "properties": {"b": {"$ref": "#a"}}}
    )

    assert mapped.schema["definitions"] == {"a": {"$anchor": "a"}}
    assert mapped.schema["properties"] == {"b": {"$ref": "#a"}}


def test_paths_of_changes_are_json_pointers() -> None:
    mapped = to_json_schema({"type": "object", "properties": {"a/b~c": {"anyOf": [{}, {"type": "str"}]}}})

    assert mapped.changes == (Change("type_mapped", "/properties/a~1b~0c/anyOf/1/type"),)


# References


@pytest.mark.parametrize("reference", ["#/definitions/gone", "#gone", "#/%zz", "# x", "#/properties/a/type", 3, None])
def test_a_reference_to_nothing_is_dropped(reference: object) -> None:
    mapped = to_json_schema(
        {"type": "object", "properties": {"a": {"$ref": reference, "type": "string"}, "b": {"$ref": "#"}}}
    )

    assert mapped.schema["properties"] == {"a": {"type": "string"}, "b": {"$ref": "#"}}
    assert [change.path for change in mapped.changes] == ["/properties/a/$ref"]


def test_references_that_hold_stay_beside_one_that_does_not() -> None:
    schema = {
        "type": "dict",
        "$defs": {
            "a b/c": {"type": "str"},
            "d": {"$anchor": "here"},
            "e": {"$id": "urn:e", "$defs": {"f": {}}, "$ref": "#/$defs/f"},
        },
        "properties": {
            "a": {"$ref": "#/$defs/a%20b~1c"},
            "b": {"$ref": "#here"},
            "c": {"$ref": "urn:e#/$defs/f"},
            "d": {"$ref": "#/$defs/gone"},
            "e": {"anyOf": [{"$ref": "#/properties/e/anyOf/1"}, {}]},
        },
    }

    mapped = to_json_schema(schema)

    assert [change.path for change in mapped.changes if change.kind == "reference_dropped"] == ["/properties/d/$ref"]


@pytest.mark.parametrize(
    "reference",
    [
        "https://example.invalid/x.json",
        "http://127.0.0.1:1/x",
        "file:///etc/passwd",
        "other.json#/a",
        "//host/x",
        "urn:a:b",
    ],
)
def test_a_reference_out_of_the_schema_is_refused(reference: str) -> None:
    for schema in (
        {"type": "object", "$ref": reference},
        {"type": "dict", "properties": {"a": {"items": {"$ref": reference}}}},
        {"type": "object", "$defs": {"a": {"$dynamicRef": reference}}},
        {"type": "object", "$id": "", "$defs": {"a": {"$ref": reference, "$id": "x"}}},
        {"type": "object", "$id": "http://x/y/", "$defs": {"a": {"not": {"$ref": reference}}}},
    ):
        with pytest.raises(InvalidDefinition, match="points outside of the schema, and nothing is ever fetched"):
            to_json_schema(schema)


def test_nothing_is_fetched(requests_seen: tuple[str, list[str]]) -> None:
    address, seen = requests_seen
    for schema in (
        {"type": "object", "$schema": f"{address}/schema"},
        {"type": "object", "$ref": f"{address}/ref"},
        {"type": "object", "$id": f"{address}/id/", "$ref": "relative"},
        {"type": "object", "$dynamicRef": f"{address}/dynamic"},
        {"type": "object", "$defs": {"a": {"$id": f"{address}/nested", "$schema": f"{address}/meta"}}},
        {"type": "object", "$vocabulary": {f"{address}/vocabulary": True}},
    ):
        try:
            to_json_schema(schema)
        except InvalidDefinition:
            continue

    assert seen == []


# Bounds


def nested(keyword: str, depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "str"}
    for _ in range(depth):
        schema = {keyword: schema}
    return {"type": "object"} | schema


@pytest.mark.parametrize("depth", [MAX_DEPTH, 5_000, 200_000])
def test_a_nesting_bomb_is_refused_in_a_sentence(depth: int) -> None:
    with pytest.raises(InvalidDefinition, match="the schema is nested more than 64 levels deep"):
        to_json_schema(nested("items", depth))


@pytest.mark.parametrize("keyword", ["items", "not", "additionalProperties"])
def test_a_schema_as_deep_as_allowed_is_mapped(keyword: str) -> None:
    assert kinds_of(nested(keyword, MAX_DEPTH - 2)) == ["type_mapped"]


def test_a_huge_schema_is_refused_in_a_sentence() -> None:
    with pytest.raises(InvalidDefinition, match="the schema holds more than 20,000 values"):
        to_json_schema({"type": "object", "properties": {str(number): {} for number in range(MAX_VALUES)}})


@pytest.mark.parametrize(
    ("reference", "target"), [("#/$defs/{}", {}), ("#{}", {"$anchor": "{}"}), ("urn:{}", {"$id": "urn:{}"})]
)
def test_references_that_multiply_are_refused(reference: str, target: dict[str, str]) -> None:
    """Validating `{}` against it would check 3^40 subschemas."""
    steps = [f"a{number}" for number in range(41)]
    definitions = {
        step: {key: value.format(step) for key, value in target.items()}
        | {"allOf": [{"$ref": reference.format(following)}] * 3}
        for step, following in pairwise(steps)
    }
    last = {steps[-1]: {key: value.format(steps[-1]) for key, value in target.items()}}

    with pytest.raises(InvalidDefinition, match="references multiply to more than 10,000"):
        to_json_schema({"type": "object", "$ref": reference.format("a0"), "$defs": definitions | last})


def test_honest_recursion_and_long_chains_are_fine() -> None:
    kinds = [f"kind{number}" for number in range(40)]
    anything = {"anyOf": [{"$ref": f"#/$defs/{kind}"} for kind in kinds]}
    tree = {kind: {"type": "object", "properties": {"left": anything, "right": anything}} for kind in kinds}
    chain = {f"a{number}": {"$ref": f"#/$defs/a{number + 1}"} for number in range(2000)}

    for schema in ({"type": "object", "$defs": tree}, {"type": "object", "$defs": chain | {"a2000": {}}}):
        assert to_json_schema(schema).schema is schema


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        ({1: 2}, "a key that is not text"),
        ((1,), "tuple"),
        ({1}, "set"),
        (b"", "bytes"),
    ],
)
def test_what_json_cannot_say_is_refused(value: object, reason: str) -> None:
    with pytest.raises(InvalidDefinition, match=reason):
        to_json_schema({"type": "object", "default": value})


def test_an_integer_that_cannot_be_written_is_refused() -> None:
    for schema in (10**5000, {"type": "object", "title": -(10**5000)}):
        with pytest.raises(InvalidDefinition, match="the schema holds an integer of more than 8,192 bits"):
            to_json_schema(schema)


def test_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(InvalidDefinition, match="surrogates not allowed"):
        to_json_schema({"type": "object", "description": "\ud800"})


def test_huge_integers_keep_their_digits() -> None:
    assert property_of({"type": "int", "maximum": 10**40, "const": -(10**30)}) == {
        "type": "integer",
        "maximum": 10**40,
        "const": -(10**30),
    }


# Properties that hold for every schema

KEYWORDS = """
    type properties required items enum nullable anyOf oneOf allOf not if then else $ref $defs definitions $id $anchor
    $schema additionalProperties additionalItems patternProperties prefixItems contains minimum exclusiveMinimum
    maxLength pattern default const examples description title format dependencies dependentRequired dependentSchemas
    uniqueItems multipleOf unevaluatedProperties propertyNames $dynamicRef $dynamicAnchor $recursiveAnchor $vocabulary
    name schema city x-vendor
"""
WORDS = """
    string str int float dict list any tuple object array null boolean true false True None List[str] Optional[int] # #a
    #/$defs/a #/properties/city http://x/y urn:x 3 0.5 ( ^a$ a city https://json-schema.org/draft/2020-12/schema
    http://json-schema.org/draft-04/schema#
"""
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5)
)
keywords = st.sampled_from(KEYWORDS.split())
any_json = st.recursive(
    scalars | st.sampled_from(WORDS.split()),
    lambda children: (
        st.lists(children, max_size=4) | st.dictionaries(keywords | st.text(max_size=3), children, max_size=5)
    ),
    max_leaves=40,
)
like_schemas = st.dictionaries(keywords, any_json, max_size=6)


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(any_json | like_schemas, st.booleans())
def test_any_json_maps_to_a_schema_that_compiles_or_is_refused(schema: Any, object_root: bool) -> None:
    before = copy.deepcopy(schema)
    try:
        mapped = to_json_schema(schema, object_root=object_root)
    except InvalidDefinition:
        pass
    else:
        Draft202012Validator(mapped.schema, offline=True)
        validator_for(mapped.schema, offline=True)
        assert mapped.schema.get("type") == "object" or not object_root
        assert (mapped.schema is schema) == (mapped.changes == ())
        assert to_json_schema(mapped.schema, object_root=object_root) == MappedSchema(mapped.schema)
    assert schema == before


data = scalars | st.sampled_from([{"type": "dict"}, {"$ref": "http://x/y"}, [{"required": True}], {"nullable": True}])
names = st.sampled_from(["a", "b", "type", "required", "items", "properties", "enum", "$ref", "x y/~"])
json_types = st.sampled_from(["string", "integer", "number", "boolean", "array", "object", "null"])


def valid_schemas(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Valid 2020-12 by construction, without the three things that are read as another dialect."""
    maps = st.dictionaries(names, children, max_size=3)
    schemas = st.lists(children, min_size=1, max_size=3)
    counts = st.integers(0, 9)
    return st.fixed_dictionaries(
        {},
        optional={
            "type": json_types | st.lists(json_types, min_size=1, max_size=3, unique=True),
            "title": st.text(max_size=3),
            "properties": maps,
            "required": st.lists(names, max_size=3, unique=True),
            "patternProperties": st.dictionaries(st.sampled_from(["^a", "b$"]), children, max_size=2),
            "additionalProperties": children,
            "items": children,
            "prefixItems": schemas,
            "contains": children,
            "allOf": schemas,
            "anyOf": schemas,
            "not": children,
            "if": children,
            "then": children,
            "dependentSchemas": maps,
            "dependentRequired": st.dictionaries(names, st.lists(names, max_size=2, unique=True), max_size=2),
            "unevaluatedProperties": children,
            "minLength": counts,
            "maxItems": counts,
            "exclusiveMinimum": st.integers(),
            "multipleOf": st.floats(0.1, 9),
            "uniqueItems": st.booleans(),
            "format": st.sampled_from(["date", "anything"]),
            "pattern": st.sampled_from(["^a+$", "[0-9]{2}"]),
            "default": data,
            "const": data,
            "examples": st.lists(data, max_size=2),
            "$ref": st.sampled_from(["#", "#/$defs/shared", "#here"]),
            "$comment": st.text(max_size=3),
            "x-vendor": data,
        },
    )


valid_subschemas: st.SearchStrategy[Any] = st.recursive(st.booleans() | st.just({}), valid_schemas, max_leaves=6)
valid_roots = st.builds(
    lambda schema, shared: schema | {"type": "object", "$anchor": "here", "$defs": {"shared": shared}},
    valid_schemas(valid_subschemas),
    valid_subschemas,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(valid_roots)
def test_every_valid_schema_stays_as_it_is(schema: dict[str, Any]) -> None:
    before = json.dumps(schema)
    Draft202012Validator(schema, offline=True)

    mapped = to_json_schema(schema)

    assert mapped.changes == ()
    assert mapped.schema is schema
    assert json.dumps(schema) == before
