"""Results, held to what their tools promise, however the tool is called."""

import math
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from msgspec import UNSET, Struct

from toolbox import TextContent, ToolContext, ToolDefinition, ToolResult
from toolbox.auth.callers import Caller
from toolbox.auth.scopes import ALL
from toolbox.calls.results import ResultChecker
from toolbox.calls.service import CallRequest, CallResult
from toolbox.plugins import Plugins
from toolbox.services import Services, open_services
from toolbox.settings import Settings


class Point(Struct):
    """A place on a line."""

    x: float


async def promise_text() -> str:
    """Break a promise."""
    return 5  # type: ignore[return-value]


async def measure() -> dict[str, list[Point]]:
    """Measure what cannot be measured."""
    return {"a/b": [Point(1.0), Point(math.nan)]}


async def nothing() -> dict[str, float | None]:
    """Give a null that is meant."""
    return {"none": None, "some": 1.5}


class Custom:
    """A tool that is no function."""

    definition = ToolDefinition(name="custom", description="Give a value that no schema describes.")

    def __init__(self, structured: Any) -> None:
        self.structured = structured

    async def call(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        """Give it."""
        return ToolResult((TextContent("here"),), self.structured)


@pytest.fixture
async def services(settings: Settings, make_plugins: Callable[..., Plugins]) -> AsyncIterator[Services]:
    async with open_services(settings, make_plugins(demo=[promise_text, measure, nothing])) as opened:
        yield opened


async def call(services: Services, name: str) -> CallResult:
    return await services.calls.call_tool(
        CallRequest(tool_name=name, arguments={}, caller=Caller("c", ALL), channel="rest")
    )


def check(structured: Any, output_schema: dict[str, Any] | None) -> tuple[ToolResult, str | None]:
    result = ToolResult((TextContent("a"),), structured)
    return ResultChecker().check(ToolDefinition(name="t", output_schema=output_schema), result)


async def test_a_broken_promise_is_a_failure_that_keeps_the_content_and_is_remembered(services: Services) -> None:
    done = await call(services, "demo_promise_text")
    assert not done.success
    assert done.outcome.error_code == "invalid_result"
    assert done.outcome.error_message == (
        "the result of demo_promise_text cannot be given: it is not what its output schema promises: "
        'its value: 5 is not of type "string"'
    )
    assert done.result is not None
    assert done.result.content[0] == TextContent("5")
    stored = await services.history.read(done.execution_id, "c")
    assert stored is not None
    assert stored.error_code == "invalid_result"


async def test_a_number_that_json_does_not_know_is_a_failure_that_says_where(services: Services) -> None:
    done = await call(services, "demo_measure")
    assert (done.outcome.error_code, done.outcome.error_message) == (
        "tool_failed",
        "the result cannot be given: /a~1b/1/x is NaN or infinite, unknown to JSON",
    )
    meant = await call(services, "demo_nothing")
    assert meant.outcome.result is not None
    assert meant.outcome.result.value == {"none": None, "some": 1.5}


@pytest.mark.parametrize(
    ("structured", "said"),
    [
        (math.inf, "its value is NaN or infinite"),
        ([1, {"a": -math.inf}], "/1/a is NaN or infinite"),
        (object(), "cannot be written as JSON"),
    ],
)
async def test_a_value_that_is_no_json_is_a_failure(
    settings: Settings, make_plugins: Callable[..., Plugins], structured: Any, said: str
) -> None:
    async with open_services(settings, make_plugins(demo=[Custom(structured)])) as services:
        done = await call(services, "demo_custom")
    assert done.outcome.error_code == "invalid_result"
    assert said in (done.outcome.error_message or "")


def test_a_result_that_fits_passes_as_it_is() -> None:
    result, problem = check(5, {"type": "integer"})
    assert (result.structured, problem) == (5, None)
    assert check("five", None)[1] is None


def test_content_is_the_value_where_there_is_no_other() -> None:
    result, problem = check(UNSET, {"type": "array"})
    assert (result.structured, problem) == ([{"type": "text", "text": "a"}], None)
    assert check(UNSET, None)[0].structured is UNSET
    assert check(UNSET, {"type": "integer"})[1]


def test_few_of_many_broken_places_are_named() -> None:
    _, problem = check(list(range(1000)), {"type": "array", "items": {"type": "string"}})
    assert problem is not None
    assert problem.count("is not of type") == 3


def test_a_failure_promises_nothing() -> None:
    result = ToolResult((TextContent("no"),), is_error=True)
    definition = ToolDefinition(name="t", output_schema={"type": "integer"})
    assert ResultChecker().check(definition, result) == (result, None)


def test_a_new_definition_under_an_old_name_is_checked_by_its_own_schema() -> None:
    checker, result = ResultChecker(), ToolResult.of(5)
    old = ToolDefinition(name="t", output_schema={"type": "integer"})
    new = ToolDefinition(name="t", output_schema={"type": "string"})
    assert checker.check(old, result)[1] is None
    assert checker.check(new, result)[1] is not None
