"""Several processes want one PostgreSQL: who runs it, who attaches to it, and who waits or is refused."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.embedded.conftest import SECONDS, SERVER_URL, Holder, execute, postmaster, processes_in, run_cheaply
from toolbox.embedded.owner import Owner, attach_or_run, find_owner
from toolbox.embedded.waiting import wait_until


def test_a_second_server_is_refused_and_told_what_to_do(data_dir: Path, hold: Callable[..., Holder]) -> None:
    first = hold("run_postgres", command="serve", server_url=SERVER_URL, durable=False)
    first.database_url()
    second = hold("run_postgres", command="serve", server_url="http://127.0.0.1:8001")
    complaint = second.wait()
    assert second.process.returncode == 1
    assert f"`toolbox serve` (process {first.process.pid}, {SERVER_URL})" in complaint
    assert "stop that first, use another DATA_DIR, or set DATABASE_URL" in complaint


async def test_a_command_uses_the_server_s_database(data_dir: Path, hold: Callable[..., Holder]) -> None:
    server = hold("run_postgres", command="serve", server_url=SERVER_URL, durable=False)
    database_url = server.database_url()
    with attach_or_run(data_dir, command="tools list") as attached_url:
        assert await execute(attached_url, "SELECT 1") == 1
    owner = find_owner(data_dir)
    assert owner == Owner(server.process.pid, "serve", owner.started_at, database_url, SERVER_URL) if owner else False
    assert attached_url == database_url
    assert server.process.poll() is None


async def test_a_command_runs_the_database_when_no_server_does(data_dir: Path, hold: Callable[..., Holder]) -> None:
    command = hold("attach_or_run", command="tools list")
    assert await execute(command.database_url(), "SELECT 1") == 1
    command.let_go()
    command.wait()
    assert command.process.returncode == 0
    assert find_owner(data_dir) is None
    assert processes_in(data_dir) == []


async def test_a_command_that_ends_waits_for_those_that_attached_to_it(
    data_dir: Path, hold: Callable[..., Holder]
) -> None:
    owner = hold("attach_or_run", command="tools list")
    database_url = owner.database_url()
    with attach_or_run(data_dir, command="import") as attached_url:
        owner.let_go()
        assert owner.said().startswith("other commands still use this PostgreSQL")
        assert await execute(attached_url, "SELECT 1") == 1
    owner.wait()
    assert owner.process.returncode == 0
    assert attached_url == database_url


async def test_a_server_waits_for_a_command_that_runs_the_database(data_dir: Path, hold: Callable[..., Holder]) -> None:
    def serve() -> int:
        with run_cheaply(data_dir, server_url=SERVER_URL):
            return postmaster(data_dir)

    command = hold("attach_or_run", command="tools list")
    command.database_url()
    before = postmaster(data_dir)
    with ThreadPoolExecutor(1) as threads:
        server = threads.submit(serve)
        assert wait_until(server.running, SECONDS)
        command.let_go()
        assert server.result(SECONDS) != before


async def test_commands_that_start_together_share_one_database(data_dir: Path, hold: Callable[..., Holder]) -> None:
    commands = [hold("attach_or_run", command="tools list") for _ in range(3)]
    assert len({command.database_url() for command in commands}) == 1
    for command in commands:
        command.let_go()
    for command in commands:
        command.wait()
    assert [command.process.returncode for command in commands] == [0, 0, 0]


def test_ctrl_c_in_the_terminal_does_not_reach_the_server(data_dir: Path, hold: Callable[..., Holder]) -> None:
    owner = hold("run_postgres", command="serve", durable=False)
    owner.database_url()
    assert os.getsid(postmaster(data_dir)) != os.getsid(owner.process.pid)
