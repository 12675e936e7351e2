"""Running the tools of tasks, as jobs of the queue.

A tool that was begun and whose process died is begun again only if it says that this is harmless (`idempotent_hint` or
`read_only_hint`). What a run comes to is kept however long the database is away.
"""

import contextlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial

import msgspec
import stamina
import structlog
from msgspec import UNSET, Raw

from toolbox.auth.callers import Caller
from toolbox.auth.scopes import LIMITED
from toolbox.calls.service import CallRequest, CallResult, CallService
from toolbox.definitions import TextContent, ToolAnnotations, ToolResult
from toolbox.errors import (
    DatabaseUnavailable,
    InvalidArguments,
    Overloaded,
    RateLimited,
    ToolboxError,
    ToolNotHere,
    ToolNotRunnable,
)
from toolbox.queue import Job, Queue
from toolbox.tasks.client import TaskClient
from toolbox.tasks.repository import TaskRepository
from toolbox.tasks.schemas import Run, TaskError
from toolbox.tasks.service import job_kind
from toolbox.tools.client import InputRequired, MissingCapability, to_input_requests
from toolbox.tools.registry import Registry

logger = structlog.get_logger(__name__)

INTERNAL_ERROR = -32603
"""JSON-RPC's code for what is nobody's fault but the server's."""
PATIENCE_SECONDS = 600.0
"""How long what came of a run waits for the database."""


class TaskWorker:
    """Works the jobs of tasks whose tools this process can run."""

    def __init__(self, tasks: TaskRepository, calls: CallService, registry: Registry) -> None:
        self._tasks = tasks
        self._calls = calls
        self._registry = registry
        self._kinds = set[str]()

    def register_jobs(self, queue: Queue) -> None:
        """Tell the queue of each tool that may run as a task, as they are now; other jobs are left to others."""
        kinds = {job_kind(tool.name) for tool in self._registry if tool.definition.task is not UNSET}
        for kind in self._kinds - kinds:
            queue.unregister(kind)
        for kind in kinds - self._kinds:
            queue.register(kind, self._work, on_failure=self._give_up)
        self._kinds = kinds

    async def _work(self, job: Job) -> None:
        """Run the tool of a task once: to its end, or to its next question."""
        task_id, tool_name = _read_job(job)
        tool = self._registry.get(tool_name)
        may_repeat = tool is not None and _is_repeatable(tool.definition.annotations)
        run = await self._tasks.begin_run(task_id, may_repeat=may_repeat)
        if run:
            await self._run(run)
        else:  # the task has ended, and this changes nothing; or the tool was begun before
            await self._tasks.fail(task_id, _lost(tool_name))

    async def _give_up(self, job: Job, reason: str) -> None:
        """End a task whose job failed again and again."""
        task_id, tool_name = _read_job(job)
        logger.error("a task is given up", tool=tool_name, reason=reason)
        message = "the task could not be run: every attempt failed or lost its process; the server's log says why"
        await self._tasks.fail(task_id, TaskError(INTERNAL_ERROR, message))

    async def _run(self, run: Run) -> None:
        try:
            called = await self._calls.call_tool(self._to_request(run), durable=False)
        except InputRequired as required:
            questions = to_input_requests(required.questions)
            await _patiently(lambda: self._tasks.ask(run.task_id, questions))
        except (Overloaded, RateLimited, DatabaseUnavailable):
            await self._tasks.give_back(run.task_id)
            raise
        except (InvalidArguments, ToolNotHere, ToolNotRunnable) as error:  # results of tools/call, too
            await self._complete(run, _failure(error.message))
        except ToolboxError as error:
            failure = _to_task_error(error)
            await _patiently(lambda: self._tasks.fail(run.task_id, failure))
        else:
            await self._complete(run, _result_of(called))

    async def _complete(self, run: Run, result: ToolResult) -> None:
        encoded = _encode(result)
        await _patiently(lambda: self._tasks.complete(run.task_id, encoded))

    def _to_request(self, run: Run) -> CallRequest:
        return CallRequest(
            tool_name=run.tool_name,
            arguments=run.arguments,
            caller=Caller(run.caller, LIMITED, None if run.toolsets is None else frozenset(run.toolsets)),
            toolset=run.toolset,
            channel="mcp",
            timeout_seconds=run.timeout_seconds,
            max_tokens=run.max_tokens,
            asks_before_destructive=run.asks_before_destructive,
            longest_seconds=max((run.expires_at - datetime.now(UTC)).total_seconds(), 0.001),
            execution_id=run.execution_id,
            client=TaskClient(run.capabilities, run.answers, partial(self._report, run.task_id)),
        )

    async def _report(self, task_id: str, message: str) -> None:
        with contextlib.suppress(DatabaseUnavailable):  # progress can be missed
            await self._tasks.report(task_id, message)


def _read_job(job: Job) -> tuple[str, str]:
    """The task, and its tool."""
    return msgspec.json.decode(job.payload, type=str), job.kind.removeprefix(job_kind(""))


def _is_repeatable(annotations: ToolAnnotations) -> bool:
    """Whether a tool says that it is harmless to run it again when nobody knows how far it has come."""
    return bool(annotations.idempotent_hint or annotations.read_only_hint)


async def _patiently(write: Callable[[], Awaitable[None]]) -> None:
    """Write what came of a run: the tool may not be run again for it."""
    retry = stamina.AsyncRetryingCaller(attempts=None, timeout=PATIENCE_SECONDS, wait_max=10.0)
    await retry(DatabaseUnavailable, write)


def _result_of(called: CallResult) -> ToolResult:
    return called.result or _failure(called.outcome.error_message or "the tool failed and did not say why")


def _failure(message: str) -> ToolResult:
    return ToolResult((TextContent(message),), is_error=True)


def _encode(result: ToolResult) -> Raw:
    try:
        return Raw(msgspec.json.encode(result))
    except (TypeError, ValueError, RecursionError, msgspec.EncodeError) as error:
        return Raw(msgspec.json.encode(_failure(f"the tool's answer cannot be written as JSON: {error}")))


def _to_task_error(error: ToolboxError) -> TaskError:
    if isinstance(error, MissingCapability):
        return TaskError(error.jsonrpc_code, error.message, {"requiredCapabilities": error.required})
    return TaskError(error.jsonrpc_code, error.message)


def _lost(tool_name: str) -> TaskError:
    message = (
        f"the process that ran {tool_name} ended before the tool did; the tool was not begun again, because it does "
        "not say that this would be harmless"
    )
    return TaskError(INTERNAL_ERROR, message)
