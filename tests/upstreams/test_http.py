"""Servers over HTTP, by the official SDK, in both eras."""

import asyncio
from typing import Any

import pytest

from tests.upstreams.test_supervisor import Asked, as_it_is, make_context
from toolbox.definitions import Upstream
from toolbox.errors import UpstreamFailed
from toolbox.tools.client import InputRequired
from toolbox.upstreams.client import ServerError
from toolbox.upstreams.supervised import Supervised
from toolbox.upstreams.supervisor import Supervisor
from toolbox.upstreams.tool import to_result

LEGS = [("http", "modern"), ("http", "legacy"), ("sse", "auto")]


@pytest.fixture
async def supervisor() -> Any:
    supervisor = Supervisor(resolve=as_it_is)
    async with supervisor.running():
        yield supervisor


def connect(supervisor: Supervisor, url: str, transport: str = "http", era: str = "auto", **options: Any) -> Supervised:
    path = "/sse" if transport == "sse" else "/mcp"
    upstream = Upstream(name="sdk", transport=transport, url=url + path, era=era, **options)  # type: ignore[arg-type]
    supervisor.configure({"sdk": upstream})
    return supervisor.get("sdk")


async def call(supervised: Supervised, name: str, context: Any = None, **arguments: Any) -> dict[str, Any]:
    return await supervised.request("tools/call", {"name": name, "arguments": arguments}, context or make_context())


@pytest.mark.parametrize(("transport", "era"), LEGS)
async def test_calls_and_lists_over_every_transport(
    supervisor: Supervisor, sdk_url: str, transport: str, era: str
) -> None:
    supervised = connect(supervisor, sdk_url, transport, era)
    session = await supervised.session()
    assert session.info is not None
    assert session.info.is_modern is (era != "legacy")
    assert (await call(supervised, "add", a=2, b=3))["structuredContent"] == {"result": 5}
    assert [tool["name"] for tool in await session.list_all("tools/list", "tools")][:2] == ["add", "count"]
    assert [each["uri"] for each in await session.list_all("resources/list", "resources")] == ["memo://today"]
    listener = Asked()
    await call(supervised, "count", make_context(listener), to=3)
    assert listener.heard([1.0, 2.0, 3.0])


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_a_question_reaches_the_caller_over_a_shared_session(
    supervisor: Supervisor, sdk_url: str, era: str
) -> None:
    supervised = connect(supervisor, sdk_url, era=era)
    ada, bob = (Asked({"action": "accept", "content": {"name": name}}) for name in ("Ada", "Bob"))
    for client, name in ((ada, "Ada"), (bob, "Bob")):
        result = await call(supervised, "greet", make_context(client))
        assert result["content"][0]["text"] == f"Hello, {name}!"
        assert len(client.questions) == 1


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_a_caller_who_is_asked_by_ending_the_run_is(supervisor: Supervisor, sdk_url: str, era: str) -> None:
    supervised = connect(supervisor, sdk_url, era=era)
    with pytest.raises(InputRequired):
        await call(supervised, "greet", make_context(Asked(raises=InputRequired({}))))


@pytest.mark.parametrize(("transport", "era"), LEGS)
async def test_a_server_is_told_of_a_call_that_was_given_up(
    supervisor: Supervisor, sdk_url: str, transport: str, era: str
) -> None:
    supervised, listener, name = connect(supervisor, sdk_url, transport, era), Asked(), f"{transport} {era}"
    lingering = asyncio.create_task(call(supervised, "linger", make_context(listener), label=name))
    while not listener.progress:
        await asyncio.sleep(0.01)
    lingering.cancel()
    await asyncio.gather(lingering, return_exceptions=True)
    while name not in (await call(supervised, "ended"))["structuredContent"]["result"]:
        await asyncio.sleep(0.01)


async def test_nothing_that_a_server_says_is_lost(supervisor: Supervisor, sdk_url: str) -> None:
    result = to_result(await call(connect(supervisor, sdk_url), "link"), "sdk")
    text, link = result.content
    assert text.annotations == {"audience": ["user"], "priority": 0.5}
    assert (link.uri, link.size) == ("upstream://sdk/memo%3A%2F%2Ftoday", 5)  # type: ignore[union-attr]
    assert link.meta == {"a": 1, "toolbox/uri": "memo://today"}
    assert result.structured == {"seen": True}
    assert result.metadata["example/trace"] == "abc"


async def test_headers_are_the_upstreams_own(supervisor: Supervisor, sdk_url: str) -> None:
    supervised = connect(supervisor, sdk_url, headers={"X-Team": "red", "Authorization": "Bearer own"})
    seen = (await call(supervised, "headers"))["structuredContent"]
    assert (seen["x-team"], seen["authorization"]) == ("red", "Bearer own")


async def test_arguments_that_travel_as_headers_too_do(supervisor: Supervisor, sdk_url: str) -> None:
    result = await call(connect(supervisor, sdk_url, era="modern"), "region", where="north")
    assert result["content"][0]["text"] == "in north"


async def test_an_error_of_the_server_is_an_answer(supervisor: Supervisor, sdk_url: str) -> None:
    supervised = connect(supervisor, sdk_url)
    with pytest.raises(ServerError):
        await supervised.request("prompts/get", {"name": "nothing"}, make_context())
    assert supervised.status().errors == 0


async def test_a_wrong_address_fails_at_once_and_a_closed_port_is_tried_again(
    supervisor: Supervisor, sdk_url: str, requests_seen: tuple[str, list[str]]
) -> None:
    wrong = connect(supervisor, sdk_url + "/nothing")
    with pytest.raises(UpstreamFailed, match="HTTP 404") as caught:
        await call(wrong, "add", a=1, b=1)
    assert caught.value.is_lasting
    assert wrong.status().state == "failed"
    closed = connect(supervisor, "http://127.0.0.1:9")
    with pytest.raises(UpstreamFailed) as caught:
        await call(closed, "add", a=1, b=1)
    assert not caught.value.is_lasting
    assert closed.status().state == "waiting"
