"""What was called after a search lifts that tool for searches like it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from msgspec import structs

from tests.conftest import running
from toolbox import ToolError
from toolbox.app import create_app
from toolbox.auth.callers import Caller
from toolbox.auth.scopes import ALL
from toolbox.calls.service import CallRequest
from toolbox.index.embeddings import register_model
from toolbox.jobs import delete_old_rows
from toolbox.learning.vectors import embed_uses
from toolbox.plugins import Plugins
from toolbox.search.explanation import Stage
from toolbox.search.ranking import Ranking
from toolbox.search.service import SearchQuery, SearchService, ToolMatch
from toolbox.services import Services, open_services
from toolbox.settings import Secret, Settings
from toolbox.tools.repository import ToolFilter

QUERY = "what should I wear tomorrow"
LIKE_IT = "tell me what to put on tomorrow morning"


async def forecast() -> str:
    """Give the weather of the next days."""
    return "rain"


async def wardrobe() -> str:
    """List the clothes that somebody has, to wear them."""
    return "a coat"


async def closed() -> str:
    """Say what is worn in the theatre tomorrow."""
    raise ToolError("it is closed")


TOOLS = [forecast, wardrobe, closed]


@pytest.fixture
def plugins(make_plugins: Callable[..., Plugins]) -> Plugins:
    minilm = __import__("toolbox_minilm")
    return make_plugins(demo=TOOLS, minilm=minilm)


@pytest.fixture
def start(settings: Settings, plugins: Plugins) -> Callable[..., Any]:
    """Services whose background writers run while a block does: what happened is in the database when it ends."""

    @asynccontextmanager
    async def started(**changed: Any) -> AsyncIterator[Services]:
        async with open_services(structs.replace(settings, **changed), plugins) as services:
            await services.sync()
            yield services

    return started


async def find(services: Services, text: str, caller: str | None = "ada", **more: Any) -> list[ToolMatch]:
    query = SearchQuery(text, 5, caller=caller, **more)
    return (await services.search.find_tools(query)).matches


async def call(services: Services, name: str, caller: str = "ada") -> None:
    await services.calls.call_tool(
        CallRequest(tool_name=name, arguments={}, caller=Caller(caller, ALL), channel="rest")
    )


async def use(start: Callable[..., Any], name: str, *callers: str, query: str = QUERY) -> None:
    """Let callers search and then call a tool, and let it be written down."""
    async with start() as services:
        for caller in callers:
            await find(services, query, caller)
            await call(services, name, caller)


def lift_of(matches: list[ToolMatch], name: str) -> float:
    (lift,) = [match.scores.lift for match in matches if match.tool.name == name]
    return lift


async def test_what_was_used_comes_first_for_searches_like_it(start: Callable[..., Any]) -> None:
    async with start() as services:
        before = [match.tool.name for match in await find(services, "what is worn tomorrow evening", caller=None)]
    assert before[0] == "demo_closed"
    await use(start, "demo_forecast", "ada", query="what is worn tomorrow")
    async with start() as services:
        after = await find(services, "what is worn tomorrow evening")
        assert after[0].tool.name == "demo_forecast"
        assert lift_of(after, "demo_forecast") > 0
        assert after[0].similarity > 0.5
        assert (await find(services, "list my clothes"))[0].tool.name == "demo_wardrobe"


async def test_one_caller_alone_lifts_nothing_for_others_but_two_do(start: Callable[..., Any]) -> None:
    await use(start, "demo_forecast", "ada")
    async with start() as services:
        assert lift_of(await find(services, LIKE_IT, "bob"), "demo_forecast") == 0
    await use(start, "demo_forecast", "eve")
    async with start() as services:
        assert lift_of(await find(services, LIKE_IT, "bob"), "demo_forecast") > 0


async def test_one_callers_wrong_uses_count_no_more_than_what_a_second_confirms(start: Callable[..., Any]) -> None:
    await use(start, "demo_forecast", "ada", query="sort these numbers")
    async with start() as services:
        confirmed_by_one = lift_of(await find(services, LIKE_IT, "bob"), "demo_forecast")
    await use(start, "demo_forecast", "mallory", query=LIKE_IT)
    async with start() as services:
        assert lift_of(await find(services, LIKE_IT, "bob"), "demo_forecast") <= confirmed_by_one


async def use_over_rest(client: httpx.AsyncClient, query: str, key: str | None) -> None:
    headers = {"X-API-Key": key} if key else {}
    found = await client.post("/mcp/find_tool", json={"query": query}, headers=headers)
    assert "demo_forecast" in [match["name"] for match in found.json()]
    called = await client.post("/mcp/call_tool", json={"tool_name": "demo_forecast", "arguments": {}}, headers=headers)
    assert called.json()["success"]


async def lift_over_rest(client: httpx.AsyncClient, key: str | None) -> float:
    headers = {"X-API-Key": key} if key else {}
    found = await client.post("/mcp/find_tool", json={"query": LIKE_IT, "explain": True}, headers=headers)
    (match,) = [match for match in found.json() if match["name"] == "demo_forecast"]
    lift: float = match["explanation"]["use"]["adds"]
    return lift


async def test_strangers_teach_nothing_and_profit_from_what_others_have_used(
    settings: Settings, plugins: Plugins, start: Callable[..., Any]
) -> None:
    async with running(create_app(settings, plugins)) as client:  # no key was ever made: all are this machine's owner
        await use_over_rest(client, QUERY, None)
    async with running(create_app(settings, plugins)) as client:
        assert await lift_over_rest(client, None) > 0

    public = structs.replace(settings, api_key=Secret("the key of the operator"), allow_anonymous=True)
    async with running(create_app(public, plugins)) as client:
        assert await lift_over_rest(client, None) == 0  # the owner had no other name
        for query in (QUERY, LIKE_IT):
            await use_over_rest(client, query, None)
    async with start() as services:
        assert len(await services.database.fetch("select * from uses")) == 1
    async with running(create_app(public, plugins)) as client:
        assert await lift_over_rest(client, None) == 0
        assert await lift_over_rest(client, "the key of the operator") == 0
        await use_over_rest(client, QUERY, "the key of the operator")
    async with running(create_app(public, plugins)) as client:
        assert await lift_over_rest(client, None) > 0


async def test_a_call_that_failed_teaches_nothing(start: Callable[..., Any]) -> None:
    await use(start, "demo_closed", "ada")
    async with start() as services:
        assert await services.database.fetch("select * from uses") == []
        assert len(await services.database.fetch("select * from searches")) == 1


async def test_a_call_belongs_to_the_latest_search_that_showed_its_tool(start: Callable[..., Any]) -> None:
    async with start() as services:
        for text in ("weather yesterday", "weather today"):
            await find(services, text)
        query = SearchQuery("clothes", 1, caller="ada")
        assert [match.tool.name for match in (await services.search.find_tools(query)).matches] == ["demo_wardrobe"]
        await find(services, "weather of bob", "bob")
        await call(services, "demo_forecast")
    async with start() as services:
        rows = await services.database.fetch("select query, caller from uses")
        assert [tuple(row) for row in rows] == [("weather today", "ada")]


async def test_a_search_of_more_than_ten_minutes_ago_has_nothing_to_do_with_a_call(start: Callable[..., Any]) -> None:
    async with start() as services:
        await find(services, QUERY)
    async with start() as services:
        await services.database.execute("update searches set created_at = created_at - interval '11 minutes'")
        await call(services, "demo_forecast")
    async with start() as services:
        assert await services.database.fetch("select * from uses") == []


async def test_a_call_on_another_replica_belongs_to_the_search(start: Callable[..., Any]) -> None:
    async with start() as first:
        await find(first, QUERY)
    async with start() as second:
        await call(second, "demo_forecast")
    async with start() as services:
        assert len(await services.database.fetch("select * from uses")) == 1


async def test_only_the_newest_uses_of_a_caller_are_kept(start: Callable[..., Any]) -> None:
    async with start() as services:
        for number in range(25):
            await find(services, f"weather number {number}")
            await call(services, "demo_forecast")
    async with start() as services:
        rows = await services.database.fetch("select query from uses order by created_at desc")
        assert [row["query"] for row in rows] == [f"weather number {number}" for number in range(24, 19, -1)]


async def test_the_same_use_again_only_makes_it_newer(start: Callable[..., Any]) -> None:
    await use(start, "demo_forecast", "ada", "ada")
    async with start() as services:
        assert len(await services.database.fetch("select * from uses")) == 1


async def test_an_old_use_fades_and_is_forgotten_at_last(start: Callable[..., Any]) -> None:
    await use(start, "demo_forecast", "ada")
    async with start() as services:
        fresh = lift_of(await find(services, LIKE_IT), "demo_forecast")
        await services.database.execute("update uses set created_at = created_at - interval '90 days'")
        assert lift_of(await find(services, LIKE_IT), "demo_forecast") < fresh
        await services.database.execute("update uses set created_at = created_at - interval '300 days'")
        await delete_old_rows(services.database, call_retention_days=30)
        assert await services.database.fetch("select * from uses") == []


async def test_nothing_is_remembered_or_lifted_where_learning_is_off(start: Callable[..., Any]) -> None:
    async with start(learn_from_use=False) as services:
        await find(services, QUERY)
        await call(services, "demo_forecast")
    async with start() as services:
        assert await services.database.fetch("select * from searches") == []
        assert await services.database.fetch("select * from uses") == []


async def test_the_stage_can_be_left_out(start: Callable[..., Any]) -> None:
    await use(start, "demo_forecast", "ada")
    async with start() as services:
        without = SearchService(services.database, services.embed, Ranking(uses=0))
        query = SearchQuery(LIKE_IT, 5, caller="ada")
        assert {match.scores.lift for match in (await without.find_tools(query)).matches} == {0}


async def test_an_explanation_shows_what_use_adds(start: Callable[..., Any]) -> None:
    await use(start, "demo_forecast", "ada")
    async with start() as services:
        (match,) = [one for one in await find(services, LIKE_IT, explain=True) if one.tool.name == "demo_forecast"]
        assert match.explanation is not None
        assert match.explanation.use
        assert match.explanation.use.adds == pytest.approx(match.scores.lift, abs=1e-3)
        assert match.explanation.use.rank == 1
        (match,) = [one for one in await find(services, LIKE_IT, explain=True) if one.tool.name == "demo_closed"]
        assert match.explanation
        assert match.explanation.use == Stage(None, None, 0)


async def test_a_filter_keeps_uses_of_other_tools_out(start: Callable[..., Any]) -> None:
    await use(start, "demo_forecast", "ada")
    async with start() as services:
        found = await find(services, LIKE_IT, filter=ToolFilter(tags=("none",)))
        assert found == []


class _Other:
    """A second model, of another dimension."""

    name = "another-model"
    dimensions = 3

    async def embed(self, texts: list[str], _kind: str) -> Any:
        """The same vector for everything."""
        import numpy

        return numpy.tile(numpy.array([1, 0, 0], dtype=numpy.float32), (len(texts), 1))


async def test_what_was_learned_outlives_a_change_of_models(start: Callable[..., Any]) -> None:
    await use(start, "demo_forecast", "ada")
    async with start() as services:
        model = await register_model(services.database, _Other())  # type: ignore[arg-type]
        assert await embed_uses(services.database, model, _Other()) == 1  # type: ignore[arg-type]
        assert await embed_uses(services.database, model, _Other()) == 0  # type: ignore[arg-type]
        rows = await services.database.fetch("select model_id from use_embeddings")
        assert len(rows) == 2
