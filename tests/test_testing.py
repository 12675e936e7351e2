"""What plugins test themselves with."""

import msgspec
import pytest
from msgspec import Struct

import toolbox
from toolbox.errors import InvalidArguments
from toolbox.testing import call_tool, examples_by_query, find_gaps, tools_by_name


class Greeting(Struct):
    text: str


@toolbox.tool(
    title="Greet",
    tags=["text", "politeness"],
    annotations=toolbox.ToolAnnotations(read_only_hint=True),
    examples=[
        toolbox.ToolExample("say hello to Ada", {"name": "Ada"}, {"text": "Hello, Ada!"}),
        toolbox.ToolExample("say hello to Bob", {"name": "Bob"}, {"text": "Hello, Bob!"}),
    ],
)
def greet(name: str) -> Greeting:
    """Greet somebody by name, as politely as the language allows it.

    Args:
        name: Who is greeted.
    """
    return Greeting(f"Hello, {name}!")


def bare(name: str) -> str:
    """Greet."""
    return name


TOOLS = tools_by_name([greet, bare])


def test_a_definition_s_gaps_are_named() -> None:
    assert list(TOOLS) == ["greet", "bare"]
    assert find_gaps(TOOLS["greet"].definition) == []
    assert find_gaps(TOOLS["bare"].definition) == [
        "a title",
        "a description of 50 to 160 characters",
        "two tags",
        "two examples",
        "annotations.read_only_hint",
        "a description of name",
    ]


async def test_examples_are_called_as_a_caller_would() -> None:
    examples = examples_by_query(TOOLS)
    assert list(examples) == ["greet: say hello to Ada", "greet: say hello to Bob"]
    for name, example in examples.values():
        assert example.arguments is not msgspec.UNSET
        assert (await call_tool(TOOLS[name], example.arguments)).value == example.result
    with pytest.raises(InvalidArguments, match="it is required"):
        await call_tool(greet, {})
