"""Somebody is killed, the owner or PostgreSQL or both: no row is lost, and what is left behind does not matter."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.embedded.conftest import (
    COUNT_ROWS,
    IS_ROOT,
    SECONDS,
    SERVER_URL,
    Holder,
    execute,
    files,
    insert_rows,
    postmaster,
    processes_in,
    run_cheaply,
)
from toolbox.embedded.account import choose_account
from toolbox.embedded.owner import find_owner, run_postgres
from toolbox.embedded.programs import find_programs
from toolbox.embedded.server import read_postmaster, server_settings
from toolbox.embedded.waiting import wait_until


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM])
async def test_a_killed_owner_takes_the_server_with_it_and_loses_no_row(
    data_dir: Path, hold: Callable[..., Holder], by: signal.Signals
) -> None:
    owner = hold("run_postgres", command="serve", server_url=SERVER_URL)
    acknowledged = await insert_rows(owner.database_url(), kill=lambda: owner.process.send_signal(by))
    owner.wait()
    if sys.platform == "linux":
        assert wait_until(lambda: not processes_in(data_dir), SECONDS)
        assert find_owner(data_dir) is None
    again = hold("run_postgres", command="serve", server_url=SERVER_URL)
    assert await execute(again.database_url(), COUNT_ROWS) in (acknowledged, acknowledged + 1)
    again.let_go()
    again.wait()


async def test_a_start_right_after_the_owner_was_killed_waits_for_its_server(
    data_dir: Path, hold: Callable[..., Holder]
) -> None:
    owner = hold("run_postgres", command="serve", server_url=SERVER_URL)
    await execute(owner.database_url(), "CREATE TABLE rows (number int)", "INSERT INTO rows VALUES (1)")
    owner.process.kill()
    again = hold("run_postgres", command="serve", server_url=SERVER_URL)
    assert await execute(again.database_url(), COUNT_ROWS) == 1
    again.let_go()
    again.wait()


async def test_a_killed_server_is_started_again_and_loses_no_row(
    data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with run_postgres(data_dir, command="serve") as database_url:
        killed = postmaster(data_dir)
        acknowledged = await insert_rows(database_url, kill=lambda: os.kill(killed, signal.SIGKILL))
        assert wait_until(lambda: "PostgreSQL runs again" in caplog.text, SECONDS)
        assert await execute(database_url, COUNT_ROWS) in (acknowledged, acknowledged + 1)
        assert postmaster(data_dir) != killed
    assert "PostgreSQL ended with status -9" in caplog.text


async def test_owner_and_server_killed_together_lose_no_row(data_dir: Path, hold: Callable[..., Holder]) -> None:
    owner = hold("run_postgres", command="serve", server_url=SERVER_URL)
    database_url = owner.database_url()

    def kill_both() -> None:
        os.kill(postmaster(data_dir), signal.SIGKILL)
        owner.process.kill()

    acknowledged = await insert_rows(database_url, kill=kill_both)
    again = hold("run_postgres", command="serve", server_url=SERVER_URL)
    assert await execute(again.database_url(), COUNT_ROWS) in (acknowledged, acknowledged + 1)
    again.let_go()
    again.wait()


def test_a_server_without_an_owner_is_stopped_and_replaced(data_dir: Path) -> None:
    """macOS does not tell a child that its parent has died."""
    with run_cheaply(data_dir):
        pass
    cluster = data_dir / "postgres"
    account = choose_account(cluster)
    programs = find_programs(data_dir, 18, account)
    settings = server_settings(cluster, durable=False)
    command = programs.command("postgres", "-D", str(cluster), *settings, death_signal=0)
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd="/", env={}) as orphan:
        assert wait_until(lambda: read_postmaster(cluster) == (orphan.pid, "ready"), SECONDS)
        with run_cheaply(data_dir):
            assert postmaster(data_dir) != orphan.pid
            assert orphan.wait(SECONDS) == 0


async def test_an_interrupted_first_start_leaves_no_half_made_cluster(
    data_dir: Path, hold: Callable[..., Holder]
) -> None:
    first = hold("run_postgres", command="serve")
    assert wait_until(lambda: any(data_dir.glob("postgres.new-*/global/*")), SECONDS)
    first.kill()
    assert not (data_dir / "postgres").exists()
    second = hold("run_postgres", command="serve")
    assert await execute(second.database_url(), "SELECT 1") == 1
    assert files(data_dir, "postgres.new-*") == []
    second.let_go()
    second.wait()


# What a crash leaves behind.


def test_a_process_that_got_the_dead_server_s_pid_is_neither_believed_nor_ended(data_dir: Path) -> None:
    with run_cheaply(data_dir):
        record = (data_dir / "postgres.json").read_bytes()
        left_over = (data_dir / "postgres" / "postmaster.pid").read_text().splitlines()
    cluster = (data_dir / "postgres").stat()
    user: dict[str, Any] = {"user": cluster.st_uid, "group": cluster.st_gid, "extra_groups": []} if IS_ROOT else {}
    with subprocess.Popen(["sleep", "600"], **user) as stranger:
        pid_file = data_dir / "postgres" / "postmaster.pid"
        pid_file.write_text("\n".join([str(stranger.pid), *left_over[1:], ""]))
        os.chown(pid_file, cluster.st_uid, cluster.st_gid)
        (data_dir / "postgres.json").write_bytes(record)
        assert find_owner(data_dir) is None
        with run_cheaply(data_dir):
            assert postmaster(data_dir) != stranger.pid
        assert stranger.poll() is None
        stranger.kill()


async def test_socket_files_and_an_empty_pid_file_do_not_matter(data_dir: Path) -> None:
    with run_cheaply(data_dir):
        pass
    (data_dir / "postgres" / "postmaster.pid").touch()
    (data_dir / "socket").mkdir(mode=0o700)
    (data_dir / "socket" / ".s.PGSQL.5432").touch()
    (data_dir / "socket" / ".s.PGSQL.5432.lock").write_text(f"{os.getpid()}\n")
    with run_cheaply(data_dir) as database_url:
        assert await execute(database_url, "SELECT 1") == 1
