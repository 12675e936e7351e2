"""Any schema becomes JSON Schema 2020-12 with an object at its root, or is refused in a sentence."""

import json
from typing import Any

import pytest
from jsonschema_rs import validator_for

from tests.tools.mapping import accepts, kinds_of, properties_of, property_of
from toolbox.errors import InvalidDefinition
from toolbox.tools.dialects import Change, MappedSchema, to_json_schema

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
