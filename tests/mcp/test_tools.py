"""The four meta-tools as a model meets them."""

import jsonschema_rs
import msgspec
import pytest
from msgspec import Raw

from toolbox.errors import InvalidArguments
from toolbox.mcp.tools import create_meta_tools
from toolbox.settings import Settings

TOOLS = create_meta_tools(Settings())


def test_they_stand_in_the_order_of_their_use() -> None:
    names = [definition.name for definition in TOOLS.definitions]
    assert names == ["find_tool", "describe_tool", "call_tool", "list_tools"]


@pytest.mark.parametrize("definition", TOOLS.definitions, ids=lambda definition: str(definition.name))
def test_each_says_everything_about_itself(definition: object) -> None:
    (tool,) = [each for each in TOOLS.definitions if each is definition]
    assert tool.title
    assert len(tool.description) > 80
    assert tool.input_schema["type"] == "object"
    assert tool.input_schema["additionalProperties"] is False
    assert all("description" in argument for argument in tool.input_schema["properties"].values())
    jsonschema_rs.meta.validate(tool.input_schema)
    hints = tool.annotations
    is_call = tool.name == "call_tool"
    assert (hints.read_only_hint, hints.destructive_hint, hints.open_world_hint) == (not is_call, is_call, is_call)
    assert (tool.output_schema is None) is is_call
    if tool.output_schema:
        assert tool.output_schema["type"] == "object"
        jsonschema_rs.meta.validate(tool.output_schema)


def test_the_operators_defaults_stand_in_the_schema() -> None:
    tools = create_meta_tools(Settings(default_search_limit=9, default_similarity_threshold=0.3))
    properties = tools.find.definition.input_schema["properties"]
    assert (properties["limit"]["default"], properties["threshold"]["default"]) == (9, 0.3)


def test_every_wrong_argument_is_named() -> None:
    with pytest.raises(InvalidArguments) as caught:
        TOOLS.find.read_arguments(Raw(b'{"query": "", "limit": 51, "tags": ["a", 5], "categry": "x"}'))
    paths = {violation.path for violation in caught.value.violations}
    assert paths == {"/categry", "/limit", "/query", "/tags/1"}


def test_arguments_that_only_the_decoder_refuses_are_named_too() -> None:
    """JSON Schema has no idea of how large a number can be kept."""
    with pytest.raises(InvalidArguments):
        TOOLS.call.read_arguments(Raw(b'{"tool_name": "x", "arguments": {"n": 1e999}}'))


@pytest.mark.parametrize(
    "arguments",
    [
        {"query": "x"},
        {"query": "x" * 4096, "limit": 50, "threshold": None, "category": None, "tags": ["a"], "detail": "summary"},
        {"query": "x", "threshold": 0.5},
    ],
)
def test_what_the_schema_allows_is_read(arguments: dict[str, object]) -> None:
    jsonschema_rs.validate(TOOLS.find.definition.input_schema, arguments)
    TOOLS.find.read_arguments(Raw(msgspec.json.encode(arguments)))
