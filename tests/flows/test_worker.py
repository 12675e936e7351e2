"""`toolbox worker`, as a process beside the server."""

import asyncio
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.flows.conftest import STOP_SECONDS, TOOLBOX, Server, environment, run_toolbox
from toolbox.database import open_database
from toolbox.embedded.owner import find_owner
from toolbox.events import Events
from toolbox.queue import Queue

Serve = Callable[..., Server]
Work = Callable[..., "subprocess.Popen[str]"]

OLD_CALL = """
    insert into calls (id, tool_name, tool_version, caller, channel, arguments, success, started_at, duration_ms)
    values (gen_random_uuid(), 'a', '1', 'c', 'rest', '{}', true, now() - interval '90 days', 1)
"""


@pytest.fixture
def work() -> Iterator[Work]:
    """Starts workers, and waits until each says that it works."""
    started: list[subprocess.Popen[str]] = []

    def start(**settings: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen([TOOLBOX, "worker"], env=environment(**settings), stderr=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stderr is not None
        for line in process.stderr:
            if "worker: works embed, " in line:
                return process
        raise AssertionError(f"the worker ended with {process.wait()}")

    yield start
    for process in started:
        process.kill()
        process.communicate()


async def test_a_worker_beside_the_server_works_its_jobs(serve: Serve, work: Work, data_dir: Path) -> None:
    server = serve(DATA_DIR=str(data_dir))
    worker = work(DATA_DIR=str(data_dir))
    owner = find_owner(data_dir)
    assert owner
    server.process.send_signal(signal.SIGSTOP)  # its PostgreSQL goes on: only the worker can work the job
    try:
        await _let_old_calls_be_deleted(owner.database_url)
    finally:
        server.process.send_signal(signal.SIGCONT)
    worker.terminate()
    _, said = worker.communicate(timeout=STOP_SECONDS)
    assert (worker.returncode, "has ended" in said) == (0, True)
    assert server.stop() in {0, -signal.SIGTERM}


def test_a_worker_names_the_tools_whose_tasks_it_runs(database_url: str, install: Callable[..., str]) -> None:
    code = 'import toolbox\n@toolbox.tool(task="optional")\ndef slow() -> str:\n    """Take long."""\n    return ""\n'
    folder = install("lazy", code + "@toolbox.hookimpl\ndef toolbox_tools():\n    return [slow]\n")
    process = subprocess.Popen(
        [TOOLBOX, "worker"],
        env=environment(DATABASE_URL=database_url, PYTHONPATH=folder),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    said = next(line for line in process.stderr if "worker: works" in line)
    process.terminate()
    process.communicate(timeout=STOP_SECONDS)
    assert " jobs and the tasks of lazy_slow in the database that DATABASE_URL names; " in said


async def test_a_worker_works_where_database_url_says_and_ends_on_ctrl_c(work: Work, database_url: str) -> None:
    worker = work(DATABASE_URL=database_url)
    worker.send_signal(signal.SIGHUP)  # it reads its plugins anew, and goes on
    await _let_old_calls_be_deleted(database_url)
    worker.send_signal(signal.SIGINT)
    _, said = worker.communicate(timeout=STOP_SECONDS)
    assert (worker.returncode, "has ended" in said, "Traceback" in said) == (0, True, False)


async def _let_old_calls_be_deleted(url: str) -> None:
    async with open_database(url, pool_size=1, max_overflow=0, timeout_seconds=10) as database:
        await database.execute(OLD_CALL)
        await Queue(database, Events(url)).enqueue("retention")
        while await database.fetch("select from calls"):  # bounded by the time limit of the test
            await asyncio.sleep(0.05)


def test_a_worker_without_a_server_says_what_to_do(data_dir: Path) -> None:
    refused = run_toolbox("worker", DATA_DIR=str(data_dir))
    assert refused.returncode == 1
    assert "toolbox serve" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_help_says_what_a_worker_is() -> None:
    said = run_toolbox("worker", "--help")
    assert (said.returncode, "Work the queue" in said.stdout) == (0, True)
