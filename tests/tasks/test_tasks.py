"""Tasks beneath MCP: whose they are, when they end, and what becomes of them when things go wrong."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import msgspec
import pytest

from tests.conftest import execute
from toolbox import ToolAnnotations, ToolContext, ToolResult, tool
from toolbox.definitions import ToolDefinition
from toolbox.errors import InvalidDefinition
from toolbox.jobs import delete_old_rows
from toolbox.plugins import Plugins
from toolbox.services import Services, open_services, working
from toolbox.settings import Settings
from toolbox.tasks.repository import TaskRepository
from toolbox.tasks.schemas import NewTask, Task, TaskError, TaskNotFound
from toolbox.tools.function import FunctionTool

CALLER = "ada"


@tool(task="optional")
async def write() -> str:
    """Do what must not be done twice."""
    return "written"


@tool(task="optional", annotations=ToolAnnotations(idempotent_hint=True))
async def put() -> str:
    """Do what may be done twice."""
    return "put"


@tool(task="optional", annotations=ToolAnnotations(read_only_hint=True))
async def look() -> str:
    """Change nothing."""
    return "looked"


@tool(task="optional", timeout_seconds=0.05)
async def linger() -> str:
    """Take longer than it may."""
    await asyncio.Event().wait()
    return "never"


@tool(task="optional")
async def tell_limit(context: ToolContext) -> float:
    """Say how long it may take."""
    return context.timeout_seconds


class Opaque:
    """A tool whose answer is no JSON."""

    definition = ToolDefinition(name="opaque", task="optional")

    async def call(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        """Answer with an object of Python."""
        return ToolResult((), object())


@pytest.fixture
def plugins(make_plugins: Callable[..., Plugins]) -> Plugins:
    return make_plugins(demo=[write, put, look, linger, tell_limit, Opaque()])


@pytest.fixture
async def services(settings: Settings, plugins: Plugins) -> AsyncIterator[Services]:
    """One process; it works the queue only within `working`."""
    async with open_services(settings, plugins) as opened:
        await opened.sync()
        yield opened


@pytest.fixture
def create(services: Services) -> Callable[..., Any]:
    """Creates tasks of a tool."""

    async def make(name: str, **options: Any) -> Task:
        new = NewTask(tool_name=name, arguments={}, caller=CALLER, capabilities={}, answers={}, **options)
        return await services.tasks.create(new)

    return make


async def end_of(services: Services, task: Task) -> Task:
    """The task when it has ended; the test's own time limit bounds it."""
    while (seen := await services.tasks.get(task.id, CALLER)).status == "working":
        await asyncio.sleep(0.02)
    return seen


def text_of(task: Task) -> str:
    assert task.result
    return str(msgspec.to_builtins(task.result.content[0])["text"])


async def test_a_task_belongs_to_its_caller(services: Services, create: Callable[..., Any]) -> None:
    task = await create("demo_write")
    for method in (services.tasks.get, services.tasks.cancel):
        with pytest.raises(TaskNotFound):
            await method(task.id, "eve")
    with pytest.raises(TaskNotFound):
        await services.tasks.answer(task.id, "eve", {})
    assert (await services.tasks.get(task.id, CALLER)).status == "working"


async def test_ids_cannot_be_guessed(create: Callable[..., Any]) -> None:
    ids = {(await create("demo_write")).id for _ in range(20)}
    assert {len(task_id) for task_id in ids} == {32}
    assert len({task_id[:8] for task_id in ids}) == 20


async def test_a_task_waits_for_a_process_that_has_its_tool(services: Services, create: Callable[..., Any]) -> None:
    elsewhere, here = await create("other_tool"), await create("demo_write")
    async with working(services):
        assert text_of(await end_of(services, here)) == "written"
    assert (await services.tasks.get(elsewhere.id, CALLER)).status == "working"
    assert (await services.queue.status()).waiting == 1


async def test_a_task_outlives_the_process_that_created_it(
    settings: Settings, plugins: Plugins, services: Services
) -> None:
    async with open_services(settings, plugins) as first:
        new = NewTask(tool_name="demo_write", arguments={}, caller=CALLER, capabilities={}, answers={})
        task = await first.tasks.create(new)
    async with working(services):
        assert text_of(await end_of(services, task)) == "written"


async def test_a_tool_that_was_begun_is_not_begun_again(services: Services, create: Callable[..., Any]) -> None:
    task = await create("demo_write")
    await TaskRepository(services.database).begin_run(task.id, may_repeat=False)  # and then its process dies
    async with working(services):
        failed = await end_of(services, task)
    assert failed.status == "failed"
    assert failed.error
    assert "ended before the tool did" in failed.error.message
    assert failed.message == failed.error.message


@pytest.mark.parametrize("name", ["demo_put", "demo_look"])
async def test_a_tool_that_may_run_twice_is_begun_again(
    services: Services, create: Callable[..., Any], name: str
) -> None:
    task = await create(name)
    lost = await TaskRepository(services.database).begin_run(task.id, may_repeat=True)
    async with working(services):
        assert (await end_of(services, task)).status == "completed"
    again = await services.database.fetch_row("select execution_id from tasks")
    assert lost
    assert again
    assert lost.execution_id != again["execution_id"]  # the history knows two calls


async def test_nothing_changes_a_task_that_has_ended(services: Services, create: Callable[..., Any]) -> None:
    task, tasks = await create("demo_put"), TaskRepository(services.database)
    async with working(services):
        done = await end_of(services, task)
    await tasks.fail(task.id, TaskError(1, "late"))
    await tasks.ask(task.id, {})
    await tasks.report(task.id, "late")
    await services.tasks.answer(task.id, CALLER, {"late": {}})
    await services.tasks.cancel(task.id, CALLER)
    assert await tasks.begin_run(task.id, may_repeat=True) is None
    assert await services.tasks.get(task.id, CALLER) == done


async def test_a_task_cancelled_before_its_turn_is_never_begun(services: Services, create: Callable[..., Any]) -> None:
    task = await create("demo_write")
    await services.tasks.cancel(task.id, CALLER)
    assert (await services.queue.status()).waiting == 0
    assert (await services.tasks.get(task.id, CALLER)).status == "cancelled"


async def test_an_expired_task_is_gone_and_is_deleted(
    services: Services, create: Callable[..., Any], database_url: str
) -> None:
    expired, kept = await create("demo_write"), await create("demo_write")
    await execute(database_url, f"update tasks set expires_at = now() - interval '1 s' where id = '{expired.id}'")
    with pytest.raises(TaskNotFound):
        await services.tasks.get(expired.id, CALLER)
    await delete_old_rows(services.database, call_retention_days=0)
    assert [row["id"] for row in await services.database.fetch("select id from tasks")] == [kept.id]


async def test_a_tool_without_a_limit_may_run_until_its_task_expires(
    services: Services, create: Callable[..., Any]
) -> None:
    async with working(services):
        free = await end_of(services, await create("demo_tell_limit"))
        wanted = await end_of(services, await create("demo_tell_limit", timeout_seconds=7.0))
        own = await end_of(services, await create("demo_linger"))
    assert 86_000 < float(text_of(free)) <= 86_400
    assert float(text_of(wanted)) == 7
    assert "took longer than 0.05 s" in text_of(own)


async def test_an_answer_that_is_no_json_is_a_failure_that_says_so(
    services: Services, create: Callable[..., Any]
) -> None:
    async with working(services):
        done = await end_of(services, await create("demo_opaque"))
    assert done.status == "completed"
    assert done.result
    assert done.result.is_error


async def test_a_job_that_is_given_up_ends_its_task(
    services: Services, create: Callable[..., Any], database_url: str
) -> None:
    task = await create("demo_put")
    await execute(database_url, "update queue_jobs set attempts = 3")  # it has killed what worked it three times
    async with working(services):
        failed = await end_of(services, task)
    assert (failed.status, failed.error and failed.error.code) == ("failed", -32603)


async def test_every_change_of_a_task_is_told(
    services: Services, create: Callable[..., Any], database_url: str
) -> None:
    heard = asyncio.Queue[str]()
    ear = await asyncpg.connect(database_url)
    await ear.add_listener("toolbox_tasks", lambda _ear, _process, _channel, payload: heard.put_nowait(payload))
    try:
        task = await create("demo_put")
        assert await heard.get() == task.id
        await services.tasks.cancel(task.id, CALLER)
        assert await heard.get() == task.id
    finally:
        await ear.close()


async def test_a_mode_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InvalidDefinition, match="task"):
        tool(task="sometimes")(put)  # type: ignore[call-overload]


def test_tools_without_tasks_have_the_fingerprint_that_they_had() -> None:
    async def plain() -> str:
        return ""

    definition = FunctionTool(plain).definition
    assert b"task" not in msgspec.json.encode(definition)
    assert FunctionTool(put).definition.task == "optional"
