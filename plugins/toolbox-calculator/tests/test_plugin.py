"""The plugin as ToolBox sees it: its tools are well described, and their examples are true."""

import pytest

import toolbox
import toolbox_calculator
from toolbox.testing import call_tool, examples_by_query, find_gaps, tools_by_name

TOOLS = tools_by_name(toolbox_calculator.toolbox_tools())
EXAMPLES = examples_by_query(TOOLS)
PURE = toolbox.ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)


@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_says_all_that_callers_and_search_need(name: str) -> None:
    definition = TOOLS[name].definition
    assert find_gaps(definition) == []
    assert (definition.category, definition.annotations) == ("math", PURE)
    assert definition.output_schema


@pytest.mark.parametrize(("name", "example"), EXAMPLES.values(), ids=EXAMPLES)
async def test_an_example_gives_the_result_that_it_shows(name: str, example: toolbox.ToolExample) -> None:
    assert isinstance(example.arguments, dict)
    assert (await call_tool(TOOLS[name], example.arguments)).value == example.result


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
