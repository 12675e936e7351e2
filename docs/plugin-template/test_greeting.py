"""A tool is a plain function, so its test is a plain test; `toolbox.testing` tests what ToolBox makes of it."""

from typing import Any

import pytest
import toolbox_greeting
from toolbox_greeting import Greeting, greet

import toolbox
from toolbox.testing import call_tool, examples_by_query, find_gaps, tools_by_name

TOOLS = tools_by_name(toolbox_greeting.toolbox_tools())
EXAMPLES = examples_by_query(TOOLS)


def test_somebody_is_greeted_in_french() -> None:
    assert greet("Ada", "fr") == Greeting("Bonjour, Ada!", "fr")


def test_a_number_is_no_name() -> None:
    with pytest.raises(toolbox.ToolError, match="letters"):
        greet("42")


@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_says_all_that_callers_and_search_need(name: str) -> None:
    assert find_gaps(TOOLS[name].definition) == []


@pytest.mark.parametrize(("name", "example"), EXAMPLES.values(), ids=EXAMPLES)
async def test_an_example_gives_the_result_that_it_shows(name: str, example: Any) -> None:
    assert (await call_tool(TOOLS[name], example.arguments)).value == example.result
