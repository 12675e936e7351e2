"""Output schemas, wrapped where only objects are known."""

from typing import Any

import jsonschema_rs
import pytest

from toolbox.mcp.outputs import is_object_schema, wrap_schema

TREE = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$ref": "#/$defs/Node",
    "$defs": {
        "Node": {
            "type": "object",
            "properties": {
                "$ref": {"type": "string"},
                "default": {"$ref": "#/$defs/Leaf"},
                "children": {"type": "array", "items": {"$ref": "#"}},
                "kind": {"enum": [{"$ref": "#/$defs/Leaf"}, "plain"]},
            },
        },
        "Leaf": {"type": "integer"},
    },
}


@pytest.mark.parametrize(
    ("schema", "is_object"),
    [
        ({"type": "object"}, True),
        ({"type": ["object"]}, False),
        ({"type": "array"}, False),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"type": "object"}}}, False),
        ({}, False),
    ],
)
def test_a_schema_says_at_its_root_whether_it_is_of_objects(schema: dict[str, Any], is_object: bool) -> None:
    assert is_object_schema(schema) is is_object


def test_a_wrapped_schema_is_of_an_object_with_the_value_in_it() -> None:
    assert wrap_schema({"type": "integer"}) == {
        "type": "object",
        "properties": {"result": {"type": "integer"}},
        "required": ["result"],
    }


def test_references_follow_what_they_point_to() -> None:
    jsonschema_rs.meta.validate(wrap_schema(TREE))
    validator = jsonschema_rs.validator_for(wrap_schema(TREE), offline=True)
    assert validator.is_valid({"result": {"$ref": "x", "default": 1, "children": [{"default": 2}], "kind": "plain"}})
    assert validator.is_valid({"result": {"kind": {"$ref": "#/$defs/Leaf"}}}), "data that looks like a reference stays"
    assert not validator.is_valid({"result": {"default": "one"}})
    assert not validator.is_valid({"result": {"children": [{"default": "two"}]}})
    assert not validator.is_valid({})


def test_a_schema_with_an_id_is_its_own_root() -> None:
    schema = {"$id": "https://example.com/tree", "$ref": "#/$defs/A", "$defs": {"A": {"type": "integer"}}}
    validator = jsonschema_rs.validator_for(wrap_schema(schema), offline=True)
    assert validator.is_valid({"result": 1})
    assert not validator.is_valid({"result": "one"})


def test_the_original_stays_as_it_was() -> None:
    before = repr(TREE)
    wrap_schema(TREE)
    assert repr(TREE) == before
