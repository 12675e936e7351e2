"""The plugin as ToolBox sees it: every tool is described in full, and its examples are run and compared."""

from typing import Any

import pytest
from msgspec import UNSET

import toolbox
import toolbox_time
from toolbox.testing import call_tool, examples_by_query, find_gaps, tools_by_name

TOOLS = tools_by_name(toolbox_time.toolbox_tools())
EXAMPLES = examples_by_query(TOOLS)
PURE = toolbox.ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)


async def call(name: str, arguments: dict[str, Any]) -> Any:
    return (await call_tool(TOOLS[name], arguments)).value


def test_tools_have_short_names_because_toolbox_puts_the_plugin_before_them() -> None:
    assert list(TOOLS) == ["now", "convert", "difference", "add", "parse", "format", "calendar_facts", "list_zones"]


@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_says_all_that_callers_and_search_need(name: str) -> None:
    definition = TOOLS[name].definition
    assert find_gaps(definition) == []
    assert (definition.category, definition.annotations) == ("time", PURE)
    assert definition.output_schema


@pytest.mark.parametrize(("name", "example"), EXAMPLES.values(), ids=EXAMPLES)
async def test_an_example_gives_the_result_that_it_shows(name: str, example: toolbox.ToolExample) -> None:
    assert isinstance(example.arguments, dict)
    result = await call(name, example.arguments)
    if example.result is UNSET:  # it depends on the clock
        assert name == "now" or "at" not in example.arguments
        assert result
    else:
        assert result == example.result


async def test_a_duration_is_a_text_or_its_parts() -> None:
    by_text = await call("add", {"time": "2026-01-01", "duration": "P1DT1H"})
    by_parts = await call("add", {"time": "2026-01-01", "duration": {"days": 1, "hours": 1}})
    assert by_text == by_parts
    for wrong in ({"day": 1}, {"days": 10**13}, {"days": 1.5}, 5, "P" + "1" * 100 + "D"):
        with pytest.raises(Exception, match="do not fit its schema"):
            await call("add", {"time": "2026-01-01", "duration": wrong})
