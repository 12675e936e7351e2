"""A typed function becomes a tool."""

import datetime
import enum
from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta, Struct

from toolbox import ImageContent, TextContent, ToolAnnotations, ToolContext, ToolExample, ToolResult, tool
from toolbox.errors import InvalidArguments, InvalidDefinition
from toolbox.tools.function import FunctionTool, as_tool


class Place(Struct):
    """Where something is."""

    city: str
    country: str = "FR"


class Node(Struct):
    """A tree."""

    name: str
    children: "list[Node]" = []


class Unit(enum.Enum):
    METRIC = "metric"
    IMPERIAL = "imperial"


@tool(
    title="Weather forecast",
    tags=["weather"],
    annotations=ToolAnnotations(read_only_hint=True),
    examples=[ToolExample("will it rain", {"place": {"city": "Paris"}})],
    timeout_seconds=5,
)
async def forecast(
    place: Place,
    context: ToolContext,
    days: Annotated[int, Meta(ge=1, le=14)] = 3,
    unit: Unit = Unit.METRIC,
    style: Literal["short", "long"] = "short",
    since: datetime.date | None = None,
    tags: list[str] = [],  # noqa: B006 - what plugin authors write
) -> Place:
    """Tell the weather.

    With more words
    behind it.

    Args:
        place: Where to look,
            in any country.
        days: How far ahead.
    """
    tags.append(context.tool_name)
    return Place(f"{place.city} {days} {unit.value} {style} {since} {','.join(tags)}", place.country)


async def run_blocking(function: Callable[[], Any]) -> Any:
    return function()


def context(name: str = "demo") -> ToolContext:
    return ToolContext(
        tool_name=name, execution_id="1", caller="somebody", timeout_seconds=1, run_blocking=run_blocking
    )


def test_everything_that_a_function_says_is_in_its_definition() -> None:
    definition = FunctionTool(forecast).definition
    assert (definition.name, definition.title, definition.tags) == ("forecast", "Weather forecast", ("weather",))
    assert definition.description == "Tell the weather."
    assert definition.long_description == "With more words\nbehind it."
    assert definition.timeout_seconds == 5
    assert definition.annotations == ToolAnnotations(read_only_hint=True)
    assert definition.input_schema["required"] == ["place"]
    assert definition.input_schema["additionalProperties"] is False
    properties = definition.input_schema["properties"]
    assert "context" not in properties
    assert properties["days"] == {
        "description": "How far ahead.",
        "type": "integer",
        "minimum": 1,
        "maximum": 14,
        "default": 3,
    }
    assert properties["style"] == {"type": "string", "enum": ["long", "short"], "default": "short"}
    assert definition.input_schema["$defs"]["Place"]["required"] == ["city"]
    assert definition.output_schema is not None
    assert definition.output_schema["properties"].keys() == {"city", "country"}


async def test_arguments_arrive_with_their_types_and_defaults_are_not_shared() -> None:
    forecast_tool = FunctionTool(forecast)
    for _ in range(2):
        result = await forecast_tool.call({"place": {"city": "Paris"}, "since": "2026-01-02"}, context())
        assert result.structured == {"city": "Paris 3 metric short 2026-01-02 demo", "country": "FR"}


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ({"place": {"city": 1}}, "/place/city"),
        ({"place": {"city": "x"}, "days": 99}, "/days"),
        ({"place": {"city": "x"}, "tags": ["a", 2]}, "/tags/1"),
        ({}, ""),
        ({"place": {"city": "x"}, "more": 1}, ""),
    ],
)
async def test_arguments_that_do_not_fit_are_named_with_their_path(arguments: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidArguments) as raised:
        await FunctionTool(forecast).call(arguments, context())
    assert raised.value.violations[0].path == path


@pytest.mark.parametrize(
    "returns",
    [
        Any,
        list,
        list[Any],
        tuple[Any, ...],
        ImageContent,
        ImageContent | None,
        list[TextContent | ImageContent],
        Annotated[TextContent, "x"],
        ToolResult,
    ],
)
def test_a_return_type_that_says_nothing_of_a_value_promises_nothing(returns: Any) -> None:
    def show() -> None:
        """Show something."""

    show.__annotations__["return"] = returns
    assert FunctionTool(show).definition.output_schema is None


@pytest.mark.parametrize(
    ("returns", "schema"),
    [(list[int], {"type": "array", "items": {"type": "integer"}}), (dict[str, Any], {"type": "object"})],
)
def test_a_return_type_that_says_something_is_promised(returns: Any, schema: dict[str, Any]) -> None:
    def show() -> None:
        """Show something."""

    show.__annotations__["return"] = returns
    assert FunctionTool(show).definition.output_schema == schema


def test_the_function_stays_a_function() -> None:
    @tool(name="other")
    def double(number: int) -> int:
        """Double it."""
        return number * 2

    assert double(2) == 4
    assert FunctionTool(double).definition.name == "other"


async def test_a_recursive_type_keeps_its_definition() -> None:
    def grow(root: Node) -> Node:
        """Give a tree back."""
        return root

    grow_tool = FunctionTool(grow)
    assert grow_tool.definition.output_schema is not None
    assert "Node" in grow_tool.definition.output_schema["$defs"]
    tree = {"name": "a", "children": [{"name": "b", "children": []}]}
    assert (await grow_tool.call({"root": tree}, context())).structured == tree


@pytest.mark.parametrize(
    ("value", "structured", "text"),
    [
        ("words", "words", "words"),
        (1.5, 1.5, "1.5"),
        ((1, 2), [1, 2], "[1,2]"),
        (None, None, "null"),
        ({"a": Place("Rome")}, {"a": {"city": "Rome", "country": "FR"}}, '{"a":{"city":"Rome","country":"FR"}}'),
    ],
)
def test_a_value_becomes_json_and_text(value: Any, structured: Any, text: str) -> None:
    result = ToolResult.of(value)
    assert result.structured == structured
    assert result.content == (TextContent(text),)
    assert result.value == structured


def without_hint(a) -> None:  # type: ignore[no-untyped-def]
    """No hint."""


def with_star(*rest: int) -> None:
    """Star."""


def with_unknown_name(a: "Nowhere") -> None:  # type: ignore[name-defined]  # noqa: F821
    """A type that is not there."""


def with_strange_type(a: Callable[[], int]) -> None:
    """A type without a JSON form."""


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (without_hint, "no type hint"),
        (with_star, "cannot be passed by name"),
        (with_unknown_name, "cannot be read"),
        (with_strange_type, "no JSON form"),
        (42, "neither"),
    ],
)
def test_what_cannot_be_a_tool_is_refused_with_the_reason(function: Any, said: str) -> None:
    with pytest.raises(InvalidDefinition, match=said):
        as_tool(function)


def test_options_of_a_wrong_type_are_refused() -> None:
    with pytest.raises(InvalidDefinition, match="timeout_seconds"):
        tool(timeout_seconds="soon")(forecast)  # type: ignore[call-overload]


def test_a_fingerprint_changes_with_any_part_and_only_then() -> None:
    definition = FunctionTool(forecast).definition
    assert definition.fingerprint() == FunctionTool(forecast).definition.fingerprint()
    for changed in ({"description": "x"}, {"tags": ()}, {"version": "2"}, {"metadata": {"a": 1}}):
        assert msgspec.structs.replace(definition, **changed).fingerprint() != definition.fingerprint()
