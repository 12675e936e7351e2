"""The database: migrations, drivers, errors."""

import asyncio
import contextlib
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import pytest
from advanced_alchemy.base import DefaultBase
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

from tests.conftest import execute
from tests.faults.links import Link
from toolbox.database import (
    Database,
    create_engine,
    migrate,
    migrations_folder,
    open_database,
    pooler_warning,
    revisions,
)
from toolbox.definitions import ToolDefinition
from toolbox.errors import DatabaseUnavailable, InvalidRequest
from toolbox.events import Events
from toolbox.queue import Queue
from toolbox.tools.sync import import_tools


async def test_three_replicas_that_migrate_at_once_all_succeed(empty_database_url: str) -> None:
    """As processes of their own: Alembic keeps its state per process."""
    code = "import asyncio, sys; from toolbox.database import migrate; print(asyncio.run(migrate(sys.argv[1])))"
    replicas = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, empty_database_url, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(3)
    ]
    outputs = [await replica.communicate() for replica in replicas]
    assert [replica.returncode for replica in replicas] == [0, 0, 0], outputs
    current, newest = await revisions(empty_database_url)
    assert {stdout.decode().strip() for stdout, _ in outputs} == {newest} == {current}


async def test_every_migration_goes_up_down_and_up_again_with_rows(empty_database_url: str) -> None:
    await migrate(empty_database_url)
    await _fill(empty_database_url)
    _, newest = await revisions(empty_database_url)
    numbers = sorted(path.name.partition("_")[0] for path in (migrations_folder() / "versions").glob("[0-9]*.py"))
    for target in [*reversed(numbers[:-1]), "base"]:
        await migrate(empty_database_url, target=target, downgrade=True)
        await migrate(empty_database_url)
        await _fill(empty_database_url)
        await migrate(empty_database_url, target=target, downgrade=True)
    assert (await revisions(empty_database_url))[0] == ""
    assert await migrate(empty_database_url) == newest


async def _fill(url: str) -> None:
    async with open_database(url, pool_size=2, max_overflow=2, timeout_seconds=5) as database:
        await import_tools(database, [ToolDefinition(name="a_tool", description="does it")], source="import:test")
        await database.execute(
            "insert into calls"
            " (id, tool_name, tool_version, caller, channel, arguments, success, started_at, duration_ms)"
            " values (gen_random_uuid(), 'a', '1', 'c', 'rest', '{}', true, now(), 1)"
        )
        assert await Queue(database, Events(url)).enqueue("a_kind", {"some": "payload"})


async def test_the_models_are_what_the_migrations_make(database_url: str) -> None:
    def is_ours(name: str | None, kind: str, _parents: object) -> bool:
        return kind != "table" or not str(name).startswith("queue_")  # these are PgQueuer's own

    def differences(connection: Connection) -> list[object]:
        opts = {"compare_type": True, "compare_server_default": True, "include_name": is_ours}
        context = MigrationContext.configure(connection, opts=opts)
        return list(compare_metadata(context, DefaultBase.metadata))

    engine = create_engine(database_url)
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg"])
async def test_both_drivers_read_the_usual_urls(database_url: str, scheme: str) -> None:
    url = scheme + database_url.removeprefix("postgresql")
    async with open_database(url, pool_size=1, max_overflow=0, timeout_seconds=5) as database:
        assert (await database.fetch("select 1 as one"))[0]["one"] == 1
    engine = create_engine(url)
    async with engine.connect() as connection:
        assert (await connection.execute(text("select 1"))).scalar() == 1
    await engine.dispose()


async def test_a_database_that_does_not_answer_is_unavailable() -> None:
    with pytest.raises(DatabaseUnavailable, match="PostgreSQL cannot be used"):
        await migrate("postgresql://nobody@127.0.0.1:1/none")


async def test_waiting_for_a_connection_ends(database_url: str) -> None:
    async with open_database(database_url, pool_size=1, max_overflow=0, timeout_seconds=1) as database:
        async with database.connection():
            with pytest.raises(DatabaseUnavailable):
                await database.fetch("select 1")
        assert await database.fetch("select 1")


async def test_a_lost_connection_is_replaced(database_url: str, postgres: str) -> None:
    async with open_database(database_url, pool_size=1, max_overflow=0, timeout_seconds=5) as database:
        await execute(
            postgres, "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'toolbox'"
        )
        with contextlib.suppress(DatabaseUnavailable):  # unless the driver has noticed before
            await database.fetch("select 1")
        assert await database.fetch("select 1")


@pytest.fixture
async def link(database_url: str) -> AsyncIterator[Link]:
    """A way to the test's database that can fall silent."""
    (folder,) = parse_qs(urlsplit(database_url).query)["host"]
    async with Link(f"{folder}/.s.PGSQL.5432").open() as opened:
        yield opened


@pytest.fixture
async def linked(link: Link, database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    """The database at the other end; nobody is patient."""
    monkeypatch.setattr("toolbox.database.ANSWER_SECONDS", 0.5)
    monkeypatch.setattr("toolbox.database.STATEMENT_SECONDS", 0.5)
    monkeypatch.setattr("toolbox.database.RELEASE_SECONDS", 0.2)
    url = f"postgresql://toolbox@127.0.0.1:{link.port}{urlsplit(database_url).path}?sslmode=disable"
    async with open_database(url, pool_size=1, max_overflow=0, timeout_seconds=5) as database:
        yield database


async def test_a_connection_that_falls_silent_is_given_up_and_replaced(link: Link, linked: Database) -> None:
    await linked.fetch("select 1")
    link.is_silent = True
    with pytest.raises(DatabaseUnavailable, match="it did not answer in time"):
        await linked.fetch("select 1")
    link.heal()
    assert await linked.execute("select 1") == "SELECT 1"
    with pytest.raises(DatabaseUnavailable):
        await _write_into_silence(link, linked)
    link.heal()
    assert await linked.fetch("select 1")


async def test_a_pool_that_is_used_up_is_told_from_a_database_that_does_not_answer(database_url: str) -> None:
    async with open_database(database_url, pool_size=1, max_overflow=0, timeout_seconds=5) as database:
        async with database.connection():
            database._timeout_seconds = 0.05  # only now: on a busy machine the first connection takes longer
            with pytest.raises(DatabaseUnavailable, match=r"^no connection of the pool became free"):
                await database.fetch("select 1")
        database._timeout_seconds = 5
        assert await database.fetch("select 1")


async def _write_into_silence(link: Link, database: Database) -> None:
    async with database.transaction() as connection:
        link.is_silent = True
        await connection.execute("select 1")


async def test_the_system_looks_whether_the_other_end_is_there(linked: Database) -> None:
    async with linked.connection() as connection:
        found = connection._con._transport.get_extra_info("socket")
        assert found.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert found.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 20_000


async def test_a_character_that_cannot_be_stored_is_the_callers_fault(database_url: str) -> None:
    async with open_database(database_url, pool_size=1, max_overflow=0, timeout_seconds=5) as database:
        with pytest.raises(InvalidRequest, match="NUL"):
            await database.fetch("select $1::text", "a\0b")


async def test_a_direct_connection_is_no_pooler(database_url: str) -> None:
    assert await pooler_warning(database_url) is None


@pytest.mark.parametrize("kind", ["lock", "share"])
async def test_a_lock_whose_connection_is_lost_is_unavailable_as_all_else(database_url: str, kind: str) -> None:
    async with open_database(database_url, pool_size=2, max_overflow=0, timeout_seconds=5) as database:

        async def hold_and_lose() -> None:
            async with database.lock(1) if kind == "lock" else database.share(1, 1, wait=True):
                ended = await database.fetch(
                    "select pg_terminate_backend(l.pid, 5000) as has_ended "
                    "from pg_locks l join pg_database d on d.oid = l.database "
                    "where locktype = 'advisory' and datname = current_database()"
                )
                assert [row["has_ended"] for row in ended] == [True]

        with pytest.raises(DatabaseUnavailable):
            await hold_and_lose()


async def test_a_lock_makes_the_second_wait_for_the_first(database_url: str) -> None:
    order = []
    async with open_database(database_url, pool_size=2, max_overflow=2, timeout_seconds=5) as database:
        held = asyncio.Event()

        async def first() -> None:
            async with database.lock(1):
                held.set()
                await database.execute("select pg_sleep(0.05)")
                order.append("first")

        async def second() -> None:
            await held.wait()
            async with database.lock(1):
                order.append("second")

        await asyncio.gather(first(), second())
    assert order == ["first", "second"]
