"""Tools and results as each version writes them."""

from typing import Any

import msgspec
import pytest
from msgspec import UNSET

from toolbox import (
    AudioContent,
    ImageContent,
    ResourceLink,
    TextContent,
    ToolAnnotations,
    ToolDefinition,
    ToolResult,
)
from toolbox.mcp.outputs import Outcome
from toolbox.mcp.shapes import encode_tool, shape_result
from toolbox.mcp.versions import HANDSHAKE_VERSIONS, VERSIONS

NUMBER = ToolDefinition(
    name="number",
    title="A number",
    description="Give a number.",
    output_schema={"type": "integer"},
    annotations=ToolAnnotations(read_only_hint=True),
)
PLAIN = ToolDefinition(name="plain")


def tool(definition: ToolDefinition, version: str) -> Any:
    return msgspec.json.decode(encode_tool(definition, VERSIONS[version]))


def result(value: ToolResult, version: str, definition: ToolDefinition | None = None) -> tuple[Any, Any, bool]:
    shape = shape_result(Outcome(value, definition), VERSIONS[version])
    structured = UNSET if shape.structured is UNSET else msgspec.json.decode(shape.structured)
    return msgspec.json.decode(shape.content), structured, shape.is_error


def test_the_newest_version_shows_a_tool_as_it_is() -> None:
    assert tool(NUMBER, "2026-07-28") == {
        "name": "number",
        "title": "A number",
        "description": "Give a number.",
        "inputSchema": {"type": "object"},
        "outputSchema": {"type": "integer"},
        "annotations": {"readOnlyHint": True},
    }


@pytest.mark.parametrize("version", ["2025-06-18", "2025-11-25"])
def test_the_handshake_era_sees_output_schemas_of_objects_only(version: str) -> None:
    wrapped = {"type": "object", "properties": {"result": {"type": "integer"}}, "required": ["result"]}
    assert tool(NUMBER, version)["outputSchema"] == wrapped


def test_earlier_versions_see_only_what_they_know() -> None:
    assert tool(NUMBER, "2025-03-26") == {
        "name": "number",
        "description": "Give a number.",
        "inputSchema": {"type": "object"},
        "annotations": {"readOnlyHint": True, "title": "A number"},
    }
    assert tool(NUMBER, "2024-11-05").keys() == {"name", "description", "inputSchema"}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_plain_tool_is_short_in_every_version(version: str) -> None:
    assert tool(PLAIN, version) == {"name": "plain", "description": "", "inputSchema": {"type": "object"}}


def test_keywords_of_a_schema_keep_their_order_and_form() -> None:
    schema = {"type": "object", "$anchor": "a", "$defs": {"b": {}}, "allOf": [{"if": {}, "then": {}}]}
    encoded = encode_tool(ToolDefinition(name="t", input_schema=schema), VERSIONS["2026-07-28"])
    assert msgspec.json.encode(schema) in encoded


@pytest.mark.parametrize(
    ("version", "structured"),
    [
        ("2024-11-05", UNSET),
        ("2025-03-26", UNSET),
        ("2025-06-18", {"result": 5}),
        ("2025-11-25", {"result": 5}),
        ("2026-07-28", 5),
    ],
)
def test_a_value_that_is_no_object_is_wrapped_where_it_must_be(version: str, structured: Any) -> None:
    assert result(ToolResult.of(5), version, NUMBER) == ([{"type": "text", "text": "5"}], structured, False)
    assert result(ToolResult.of(5), version) == ([{"type": "text", "text": "5"}], structured, False)


def test_an_object_is_wrapped_too_where_the_schema_says_so() -> None:
    """Its tool may answer with something else the next time, and the listed schema is one."""
    either = ToolDefinition(name="t", output_schema={"type": ["object", "null"]})
    assert result(ToolResult.of({"a": 1}), "2025-11-25", either)[1] == {"result": {"a": 1}}
    assert result(ToolResult.of({"a": 1}), "2025-11-25", PLAIN)[1] == {"a": 1}
    assert result(ToolResult.of({"a": 1}), "2026-07-28", either)[1] == {"a": 1}


@pytest.mark.parametrize("version", VERSIONS)
def test_there_is_always_text_to_read(version: str) -> None:
    content, _, _ = result(ToolResult((), {"a": 1}), version)
    assert content == [{"type": "text", "text": '{"a":1}'}]
    image = ImageContent("eA==", "image/png")
    assert [part["type"] for part in result(ToolResult((image,), {"a": 1}), version)[0]] == ["text", "image"]


def test_content_that_a_version_does_not_know_becomes_text() -> None:
    content = ToolResult((TextContent("a"), AudioContent("eA==", "audio/wav"), ResourceLink("file:///b", "b")))
    kinds = {name: [part["type"] for part in result(content, name)[0]] for name in HANDSHAKE_VERSIONS}
    assert kinds == {
        "2025-11-25": ["text", "audio", "resource_link"],
        "2025-06-18": ["text", "audio", "resource_link"],
        "2025-03-26": ["text", "audio", "text"],
        "2024-11-05": ["text", "text", "text"],
    }
    assert result(content, "2024-11-05")[0][2]["text"] == "b: file:///b"


@pytest.mark.parametrize("answer", [ToolResult((), object()), ToolResult((TextContent("\ud800"),))])
def test_an_answer_that_cannot_be_written_is_a_failure_that_says_so(answer: ToolResult) -> None:
    content, structured, is_error = result(answer, "2026-07-28")
    assert "cannot be written as JSON" in content[0]["text"]
    assert structured is UNSET
    assert is_error
