"""The plugin as ToolBox sees it: its tools are well described, and their examples are true."""

import pytest

import toolbox
import toolbox_text
from toolbox.errors import InvalidArguments
from toolbox.testing import call_tool, examples_by_query, find_gaps, tools_by_name

TOOLS = tools_by_name(toolbox_text.toolbox_tools())
EXAMPLES = examples_by_query(TOOLS)
PURE = toolbox.ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)


@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_says_all_that_callers_and_search_need(name: str) -> None:
    definition = TOOLS[name].definition
    assert find_gaps(definition) == []
    assert (definition.category, definition.annotations) == ("text", PURE)
    assert definition.output_schema


@pytest.mark.parametrize(("name", "example"), EXAMPLES.values(), ids=EXAMPLES)
async def test_an_example_gives_the_result_that_it_shows(name: str, example: toolbox.ToolExample) -> None:
    assert isinstance(example.arguments, dict)
    assert (await call_tool(TOOLS[name], example.arguments)).value == example.result


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
