"""Composed tools: steps over other tools."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from toolbox import ToolError
from toolbox.auth.callers import LOCAL
from toolbox.calls.service import CallRequest
from toolbox.definitions import ToolDefinition
from toolbox.errors import InvalidDefinition
from toolbox.plugins import Plugins
from toolbox.services import Services, open_services
from toolbox.settings import Settings
from toolbox.tools.composed import ComposedKind
from toolbox.tools.repository import write_tools

OPEN = {"type": "object", "additionalProperties": True}
both_run = asyncio.Event()
running: set[str] = set()
stopped: list[str] = []


async def search(query: str, limit: int = 2) -> dict[str, Any]:
    """Find items."""
    return {"items": [{"id": f"{query}{number}", "price": number} for number in range(limit)]}


async def look(item_id: str) -> dict[str, Any]:
    """Look at an item."""
    return {"title": item_id.upper()}


async def say(text: str) -> str:
    """Say it."""
    return f"said {text}"


async def fail(text: str = "no") -> None:
    """Fail."""
    raise ToolError(text)


async def wait(name: str, seconds: float = 60) -> None:
    """Wait until two run."""
    running.add(name)
    if len(running) == 2:
        both_run.set()
    try:
        await asyncio.wait_for(both_run.wait(), seconds)
    except asyncio.CancelledError:
        stopped.append(name)
        raise


@pytest.fixture
async def services(settings: Settings, make_plugins: Callable[..., Plugins]) -> AsyncIterator[Services]:
    plugins = make_plugins(demo=[search, look, say, fail, wait])
    async with open_services(settings, plugins) as opened:
        await opened.sync()
        yield opened


@pytest.fixture(autouse=True)
def nobody_runs() -> None:
    both_run.clear()
    running.clear()
    stopped.clear()


async def store(services: Services, name: str, *steps: dict[str, Any], **implementation: Any) -> None:
    definition = ToolDefinition(name=name, input_schema=OPEN)
    given = {"kind": "composed", "steps": list(steps), **implementation}
    services.kinds.check_implementation(definition, given)
    async with services.database.transaction() as connection:
        await write_tools(connection, [definition], source="admin:t", source_version="", implementations={name: given})


async def call(services: Services, tool_name: str, /, **arguments: Any) -> Any:
    request = CallRequest(tool_name=tool_name, arguments=arguments, caller=LOCAL, channel="rest")
    return await services.calls.call_tool(request)


def step(name: str, tool: str, **given: Any) -> dict[str, Any]:
    return {"name": name, "tool": f"demo_{tool}", **given}


def found(expression: str) -> dict[str, str]:
    return {"$from": expression}


async def test_steps_hand_their_results_on(services: Services) -> None:
    await store(
        services,
        "routine",
        step("search", "search", arguments={"query": found("input.query"), "limit": 3}),
        step("look", "look", arguments={"item_id": found("steps.search.items[-1].id")}),
        step("say", "say", arguments={"text": found("join(' ', [steps.look.title, input.query])")}),
        result={
            "title": found("steps.look.title"),
            "said": found("steps.say"),
            "prices": found("steps.search.items[].price"),
        },
    )
    done = await call(services, "routine", query="a")
    assert done.value == {"title": "A2", "said": "said A2 a", "prices": [0, 1, 2]}
    await call(services, "demo_say", text="x")
    rows = await services.database.fetch("select tool_name, channel from calls order by started_at")
    assert [(row["tool_name"], row["channel"]) for row in rows] == [
        ("routine", "rest"),
        ("demo_search", "composed"),
        ("demo_look", "composed"),
        ("demo_say", "composed"),
        ("demo_say", "rest"),
    ]


async def test_the_last_result_is_the_result(services: Services) -> None:
    await store(services, "routine", step("say", "say", arguments={"text": "hi"}))
    assert (await call(services, "routine")).value == "said hi"


async def test_steps_that_need_nothing_of_each_other_run_side_by_side(services: Services) -> None:
    await store(
        services, "routine", step("a", "wait", arguments={"name": "a"}), step("b", "wait", arguments={"name": "b"})
    )
    assert (await call(services, "routine")).success


async def test_a_step_waits_for_those_that_it_is_after(services: Services) -> None:
    later = step("b", "wait", arguments={"name": "b", "seconds": 0.01}, after=["a"])
    await store(services, "routine", step("a", "wait", arguments={"name": "a", "seconds": 0.01}), later)
    done = await call(services, "routine")
    assert done.outcome.error_message.startswith("step 1, a: demo_wait")
    assert running == {"a"}


async def test_a_failure_stops_the_others_and_says_where(services: Services) -> None:
    await store(
        services,
        "routine",
        step("slow", "wait", arguments={"name": "slow"}),
        step("broken", "fail", arguments={"text": "not today"}),
        step("never", "say", arguments={"text": found("steps.broken")}),
    )
    done = await call(services, "routine")
    assert (done.outcome.error_code, done.outcome.error_message) == (
        "tool_failed",
        "step 2, broken: demo_fail: not today",
    )
    assert stopped == ["slow"]


CANNOT: list[tuple[dict[str, Any], str]] = [
    (step("a", "wait", arguments={"name": "a"}, timeout_seconds=0.05), "a: demo_wait: demo_wait took longer"),
    (step("a", "nothing"), "a: demo_nothing: there is no tool"),
    (step("a", "say", arguments={"text": found("input.text")}), "a: demo_say: arguments of 'demo_say'"),
    (step("a", "say", arguments={"text": found("join(',', input.text)")}), "a: "),
    ({"name": "a", "tool": "other"}, "a: other: step 1, b: tools go in circles: routine4 > other > routine4"),
]


async def test_a_step_that_cannot_be_made_says_why(services: Services) -> None:
    await store(services, "other", {"name": "b", "tool": "routine4"})
    for number, (given, complaint) in enumerate(CANNOT):
        await store(services, f"routine{number}", given)
        message = (await call(services, f"routine{number}")).outcome.error_message
        assert message.startswith(f"step 1, {complaint}")


@pytest.mark.parametrize(
    ("steps", "complaint"),
    [
        ([], "implementation/steps"),
        ([step("a", "say"), step("a", "say")], "implementation/steps/1/name"),
        ([step("a b", "say")], "implementation/steps/0/name"),
        ([{"name": "a", "tool": "no tool"}], "implementation/steps/0/tool"),
        ([{"name": "a", "tool": "t"}], "a step of itself"),
        ([step("a", "say", after=["b"])], "implementation/steps/0/after"),
        ([step("a", "say", arguments={"x": found("steps.b.c")})], "there is no step 'b' before"),
        ([step("a", "say", arguments={"x": [found("steps.a")]})], "there is no step 'a' before"),
        ([step("a", "say", arguments={"x": found("a[")})], "implementation/steps/0/arguments/x/$from"),
        ([step("a", "say", arguments={"x": {"$from": 5}})], "a JMESPath is expected"),
        ([step("a", "say", timeout_seconds=0)], "implementation/steps/0/timeout_seconds"),
        ([step(f"s{number}", "say") for number in range(51)], "implementation/steps"),
        ([step("a", "say", evil=1)], "there is no field `evil`"),
    ],
)
def test_wrong_steps_are_refused_with_their_path(steps: list[dict[str, Any]], complaint: str) -> None:
    with pytest.raises(InvalidDefinition) as refused:
        ComposedKind().check(ToolDefinition(name="t"), {"kind": "composed", "steps": steps})
    assert complaint in refused.value.message


def test_an_expression_that_may_see_all_steps_waits_for_all() -> None:
    steps = [step("a", "say"), step("b", "say"), step("c", "say", arguments={"x": found("values(steps)")})]
    tool = ComposedKind().create(ToolDefinition(name="t"), {"kind": "composed", "steps": steps})
    assert tool._before == {"a": frozenset(), "b": frozenset(), "c": frozenset({"a", "b"})}
