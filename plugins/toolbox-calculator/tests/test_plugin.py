"""The plugin as ToolBox sees it: its tools are well described, and their examples are true."""

import pytest

import toolbox
import toolbox_calculator
from toolbox.testing import call_tool
from toolbox.tools.function import FunctionTool

TOOLS = {tool.definition.name: tool for tool in map(FunctionTool, toolbox_calculator.toolbox_tools())}


@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_says_all_that_callers_and_search_need(name: str) -> None:
    definition = TOOLS[name].definition
    assert definition.title
    assert len(definition.description) > 15
    assert definition.category == "math"
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
        "evaluate",
        "round_number",
        "statistics",
        "percentage",
        "percentage_change",
        "convert_unit",
        "list_units",
        "compound_interest",
        "loan_payment",
        "solve_quadratic",
        "greatest_common_divisor",
        "factorize",
        "convert_base",
    ]
