"""One process runs PostgreSQL, and nothing goes wrong."""

import threading
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest
from sqlalchemy import text

from tests.embedded.conftest import (
    COUNT_ROWS,
    FOR_ANOTHER_SERVER,
    IS_ROOT,
    SECONDS,
    execute,
    files,
    open_to_anyone,
    postmaster,
    run_cheaply,
)
from toolbox.database import create_engine, open_database
from toolbox.embedded.owner import default_data_dir, run_postgres
from toolbox.embedded.waiting import wait_until


@pytest.mark.parametrize("version", [18, 16])
async def test_a_cold_start_gives_an_empty_database_with_pgvector(data_dir: Path, version: int) -> None:
    with run_cheaply(data_dir, version=version) as database_url:
        major = int(await execute(database_url, "SHOW server_version_num")) // 10_000
        where = await execute(database_url, "SELECT current_user || '@' || current_database()")
        lowered = await execute(database_url, "SELECT lower('ÄÖÜ')")
        distance = await execute(
            database_url, "CREATE EXTENSION vector", "SELECT '[1,2,3]'::halfvec(3) <-> '[1,2,5]'::halfvec(3)"
        )
    assert (major, where, lowered, distance) == (version, "toolbox@toolbox", "äöü", 2.0)


async def test_a_warm_start_keeps_the_rows(data_dir: Path) -> None:
    with run_postgres(data_dir, command="serve") as database_url:
        await execute(database_url, "CREATE TABLE rows (number int)", "INSERT INTO rows VALUES (1)")
    with run_postgres(data_dir, command="serve") as database_url:
        assert await execute(database_url, COUNT_ROWS) == 1


async def test_only_the_user_who_runs_it_can_reach_it(data_dir: Path) -> None:
    with run_cheaply(data_dir) as database_url:
        assert await execute(database_url, "SHOW listen_addresses") == ""
        assert (data_dir / "socket").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", ["plain", "a b%20ü&c", "with,comma", "x" * 100])
async def test_the_url_works_for_both_drivers_whatever_the_path(data_dir: Path, name: str) -> None:
    """Where the path is too long for a socket, or clients would misread it, the socket is under the temp dir."""
    with run_cheaply(open_to_anyone(data_dir) / name) as database_url:
        assert await execute(database_url, "SELECT 1") == 1
        engine = create_engine(database_url)
        async with engine.connect() as connection:
            assert await connection.scalar(text("SELECT 1")) == 1
        await engine.dispose()
        folder = Path(parse_qs(urlsplit(database_url).query)["host"][0])
        assert folder.is_relative_to(data_dir) == (name in ("plain", "a b%20ü&c"))
    assert files(folder.parent, folder.name) == []


async def test_the_settings_of_other_postgres_programs_do_not_leak_in(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in FOR_ANOTHER_SERVER.items():
        monkeypatch.setenv(name, value)
    with run_cheaply(data_dir) as database_url:
        assert await execute(database_url, "SHOW timezone") == "UTC"
        assert await execute(database_url, "SELECT current_user || '@' || current_database()") == "toolbox@toolbox"


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"])
async def test_no_sslmode_of_another_server_leaks_in(
    database_url: str, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setenv("PGSSLMODE", mode)
    async with open_database(database_url, pool_size=1, max_overflow=0, timeout_seconds=5) as database:
        assert await database.fetch("SELECT 1")
    engine = create_engine(database_url)
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT 1")) == 1
    await engine.dispose()


async def test_the_server_outlives_the_thread_that_asked_for_it(data_dir: Path) -> None:
    """Linux would end it with the thread that forked it."""
    with ExitStack() as held:
        urls: list[str] = []
        thread = threading.Thread(target=lambda: urls.append(held.enter_context(run_cheaply(data_dir))))
        thread.start()
        thread.join()
        started = postmaster(data_dir)
        assert await execute(urls[0], "SELECT 1") == 1
        assert postmaster(data_dir) == started


async def test_the_log_is_bounded(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolbox.embedded.server._LOG_BYTES", 10_000)
    with run_cheaply(data_dir) as database_url:
        with pytest.raises(asyncpg.PostgresError):
            await execute(database_url, f"SELECT '{'x' * 20_000}'::int")
        assert wait_until((data_dir / "postgres.log.1").exists, SECONDS)
        assert wait_until(lambda: (data_dir / "postgres.log").stat().st_size < 10_000, SECONDS)


def test_root_keeps_its_data_where_postgresql_s_user_can_reach_it() -> None:
    assert (default_data_dir() == Path("/var/lib/toolbox")) == IS_ROOT
