"""The plugin as ToolBox sees it: every tool is described in full, and its examples are run and compared."""

from typing import Any

import pytest

import toolbox
import toolbox_data
from toolbox.testing import call_tool, examples_by_query, find_gaps, tools_by_name

TOOLS = tools_by_name(toolbox_data.toolbox_tools())
EXAMPLES = examples_by_query(TOOLS)
PURE = toolbox.ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)


async def call(name: str, arguments: dict[str, Any]) -> Any:
    return (await call_tool(TOOLS[name], arguments)).value


def test_tools_have_short_names_because_toolbox_puts_the_plugin_before_them() -> None:
    assert list(TOOLS) == [
        "json_to_csv",
        "csv_to_json",
        "json_to_yaml",
        "yaml_to_json",
        "toml_to_json",
        "format_json",
        "validate_json",
        "flatten",
        "unflatten",
        "query",
        "query_pointer",
        "diff_json",
        "merge",
    ]


@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_says_all_that_callers_and_search_need(name: str) -> None:
    definition = TOOLS[name].definition
    assert find_gaps(definition) == []
    assert (definition.category, definition.annotations) == ("data", PURE)


@pytest.mark.parametrize(("name", "example"), EXAMPLES.values(), ids=EXAMPLES)
async def test_an_example_gives_the_result_that_it_shows(name: str, example: toolbox.ToolExample) -> None:
    assert isinstance(example.arguments, dict)
    assert await call(name, example.arguments) == example.result


async def test_text_over_the_limit_is_refused_by_the_schema() -> None:
    with pytest.raises(Exception, match="longer than 500000"):
        await call("toml_to_json", {"text": " " * 500_001})


async def test_a_separator_that_paths_use_themselves_is_refused_by_the_schema() -> None:
    for separator in ("[", "]", "\\", "", ".."):
        with pytest.raises(Exception, match="do not fit its schema"):
            await call("flatten", {"value": {"a": 1}, "separator": separator})
