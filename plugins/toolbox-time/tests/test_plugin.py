"""The plugin as ToolBox sees it: every tool is described in full, and its examples are run and compared."""

from typing import Any

import pytest
from msgspec import UNSET

import toolbox
import toolbox_time
from toolbox.testing import call_tool
from toolbox.tools.function import FunctionTool

TOOLS = {tool.definition.name: tool for tool in map(FunctionTool, toolbox_time.toolbox_tools())}
READ_ONLY = toolbox.ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)


async def call(name: str, arguments: dict[str, Any]) -> Any:
    return (await call_tool(TOOLS[name], arguments)).value


def test_tools_have_short_names_because_toolbox_puts_the_plugin_before_them() -> None:
    assert list(TOOLS) == ["now", "convert", "difference", "add", "parse", "format", "calendar_facts", "list_zones"]


@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_says_all_that_callers_and_search_need(name: str) -> None:
    definition = TOOLS[name].definition
    parameters = definition.input_schema["properties"]
    assert definition.title
    assert 50 <= len(definition.description) <= 160
    assert definition.category == "time"
    assert len(definition.tags) >= 3
    assert 2 <= len(definition.examples) <= 3
    assert definition.annotations == READ_ONLY
    assert definition.output_schema
    assert [parameter for parameter in parameters if not parameters[parameter].get("description")] == []


@pytest.mark.parametrize(
    ("name", "example"),
    [(name, example) for name, tool in TOOLS.items() for example in tool.definition.examples],
    ids=lambda value: value.query if isinstance(value, toolbox.ToolExample) else value,
)
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
