"""`toolbox worker` is killed in the middle of tasks; another one takes over what may be taken over."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from tests.flows.conftest import TOOLBOX, environment
from toolbox.database import Database, open_database
from toolbox.events import Events
from toolbox.queue import Queue
from toolbox.tasks.schemas import NewTask, Task
from toolbox.tasks.service import TaskService

CALLER = "ada"
PLUGIN = '''
import asyncio
import os
from pathlib import Path

import toolbox

FOLDER = Path(os.environ["RUNS"])


async def run(name: str, context: toolbox.ToolContext) -> str:
    with (FOLDER / name).open("a") as file:
        file.write("began\\n")
    if len((FOLDER / name).read_text().splitlines()) == 1:
        await asyncio.Event().wait()  # the first time, until the process is killed
    return f"{name} was begun again"


@toolbox.tool(task="optional")
async def write(context: toolbox.ToolContext) -> str:
    """Do what must not be done twice."""
    return await run("write", context)


@toolbox.tool(task="required", annotations=toolbox.ToolAnnotations(idempotent_hint=True))
async def put(context: toolbox.ToolContext) -> str:
    """Do what may be done twice."""
    return await run("put", context)


@toolbox.hookimpl
def toolbox_tools():
    return [write, put]
'''


@pytest.fixture
def start_worker(tmp_path: Path, database_url: str) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts `toolbox worker` with the plugin installed, as pip would leave it behind."""
    (tmp_path / "killed_plugin.py").write_text(PLUGIN)
    record = tmp_path / "killed-1.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: killed\nVersion: 1.0\n")
    (record / "entry_points.txt").write_text("[toolbox]\nkilled = killed_plugin\n")
    settings = environment(PYTHONPATH=str(tmp_path), RUNS=str(tmp_path), DATABASE_URL=database_url)
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([TOOLBOX, "worker"], env=settings, stderr=subprocess.DEVNULL))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with open_database(database_url, pool_size=2, max_overflow=0, timeout_seconds=10) as opened:
        yield opened


async def test_a_killed_worker_leaves_to_others_only_what_may_be_done_twice(
    start_worker: Callable[[], subprocess.Popen[bytes]], database: Database, database_url: str, tmp_path: Path
) -> None:
    tasks = TaskService(database, Queue(database, Events(database_url)))
    write, put = [await tasks.create(_new(name)) for name in ("killed_write", "killed_put")]
    first = start_worker()
    while not all((tmp_path / name).exists() for name in ("write", "put")):
        await asyncio.sleep(0.05)
    first.kill()
    first.wait()
    assert {(await tasks.get(task.id, CALLER)).status for task in (write, put)} == {"working"}

    start_worker()
    written, done = [await _end_of(tasks, task) for task in (write, put)]
    assert written.status == "failed"
    assert written.error
    assert "ended before the tool did" in written.error.message
    assert (done.status, done.result and done.result.value) == ("completed", "put was begun again")
    assert [(tmp_path / name).read_text() for name in ("write", "put")] == ["began\n", "began\nbegan\n"]


def _new(name: str) -> NewTask:
    return NewTask(tool_name=name, arguments={}, caller=CALLER, capabilities={}, answers={})


async def _end_of(tasks: TaskService, task: Task) -> Task:
    """The task when it has ended: half a minute later, when the dead worker's heartbeat is missed."""
    while (seen := await tasks.get(task.id, CALLER)).status == "working":
        await asyncio.sleep(0.1)
    return seen
