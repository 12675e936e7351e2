"""Output schemas: wrapped where only objects are known, and kept."""

from typing import Any

import jsonschema_rs
import pytest
from msgspec import UNSET

from toolbox import TextContent, ToolDefinition, ToolResult
from toolbox.mcp.outputs import Outcome, OutputChecker, is_object_schema, wrap_schema

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


def check(result: ToolResult, output_schema: dict[str, Any] | None) -> ToolResult:
    return OutputChecker().check(Outcome(result, ToolDefinition(name="t", output_schema=output_schema))).result


def test_a_result_that_fits_passes_as_it_is() -> None:
    result = ToolResult.of(5)
    assert check(result, {"type": "integer"}) is result
    assert check(result, None) is result


def test_content_is_the_value_where_there_is_no_other() -> None:
    result = check(ToolResult((TextContent("a"),)), {"type": "array"})
    assert list(result.structured) == [{"type": "text", "text": "a"}]
    assert not result.is_error


@pytest.mark.parametrize("structured", ["five", UNSET, object(), float("nan")])
def test_a_broken_promise_is_a_failure_that_keeps_the_content(structured: Any) -> None:
    result = check(ToolResult((TextContent("a"),), structured), {"type": "integer"})
    assert result.is_error
    assert result.structured is UNSET
    assert result.content[0] == TextContent("a")
    assert "promises" in result.content[1].text  # type: ignore[union-attr]


def test_a_failure_promises_nothing() -> None:
    result = ToolResult((TextContent("no"),), is_error=True)
    assert check(result, {"type": "integer"}) is result


def test_a_new_definition_under_an_old_name_is_checked_by_its_own_schema() -> None:
    checker, result = OutputChecker(), ToolResult.of(5)
    old = ToolDefinition(name="t", output_schema={"type": "integer"})
    new = ToolDefinition(name="t", output_schema={"type": "string"})
    assert not checker.check(Outcome(result, old)).result.is_error
    assert checker.check(Outcome(result, new)).result.is_error
