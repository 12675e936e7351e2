"""The plugin as ToolBox sees it: its tools are well described, and their examples are true."""

import pytest

import toolbox
import toolbox_text
from toolbox.errors import InvalidArguments
from toolbox.testing import call_tool
from toolbox.tools.function import FunctionTool

TOOLS = {tool.definition.name: tool for tool in map(FunctionTool, toolbox_text.toolbox_tools())}


@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_says_all_that_callers_and_search_need(name: str) -> None:
    definition = TOOLS[name].definition
    assert definition.title
    assert len(definition.description) > 15
    assert definition.category == "text"
    assert len(definition.tags) >= 2
    assert len(definition.examples) >= 2
    assert definition.output_schema
    assert definition.annotations.read_only_hint
    assert definition.annotations.idempotent_hint
    assert definition.annotations.open_world_hint is False
    assert all("description" in parameter for parameter in definition.input_schema["properties"].values())


@pytest.mark.parametrize(
    ("name", "example"),
    [(name, example) for name, tool in TOOLS.items() for example in tool.definition.examples],
    ids=lambda value: value.query if isinstance(value, toolbox.ToolExample) else value,
)
async def test_an_example_gives_the_result_that_it_shows(name: str, example: toolbox.ToolExample) -> None:
    assert isinstance(example.arguments, dict)
    result = await call_tool(TOOLS[name], example.arguments)
    assert result.value == example.result


def test_tools_have_short_names_because_toolbox_puts_the_plugin_before_them() -> None:
    assert list(TOOLS) == [
        "change_case",
        "reverse",
        "truncate",
        "slugify",
        "count",
        "word_frequency",
        "find_matches",
        "replace_matches",
        "extract",
        "diff",
        "hash",
        "encode",
        "decode",
        "sort_lines",
        "unique_lines",
    ]


@pytest.mark.parametrize("name", TOOLS)
async def test_a_text_beyond_the_limit_of_the_schema_is_refused(name: str) -> None:
    tool = TOOLS[name]
    assert isinstance(tool.definition.examples[0].arguments, dict)
    for parameter, schema in tool.definition.input_schema["properties"].items():
        if schema.get("type") == "string" and "enum" not in schema:
            too_long = tool.definition.examples[0].arguments | {parameter: "a" * (schema["maxLength"] + 1)}
            with pytest.raises(InvalidArguments, match="longer than"):
                await call_tool(tool, too_long)
