"""Tasks on the wire (MCP 2026-07-28, extension io.modelcontextprotocol/tasks, SEP-2663).

A client that declares the extension may get a task instead of the result of tools/call. It looks at the task until
that has ended, and answers what the task asks meanwhile.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from toolbox.definitions import Moment
from toolbox.mcp.messages import METHOD_NOT_FOUND, ProtocolError, read_params
from toolbox.mcp.methods import McpServer
from toolbox.mcp.outputs import Outcome
from toolbox.mcp.peers import StatelessPeer
from toolbox.mcp.shapes import shape_result
from toolbox.mcp.versions import Version
from toolbox.tasks.schemas import Status, Task, TaskError
from toolbox.tasks.service import TaskService
from toolbox.tools.client import MissingTasks

POLL_INTERVAL_MS = 1000
"""How often a client should look."""


class TaskParams(Struct, frozen=True, rename="camel"):
    """What names a task."""

    task_id: str


class UpdateParams(TaskParams, frozen=True):
    """What tasks/update takes."""

    input_responses: dict[str, Raw]


class InlinedResult(Struct, frozen=True, kw_only=True, rename="camel"):
    """The result of tools/call, inside the task that stands for it."""

    result_type: str = "complete"
    content: Raw
    structured_content: Raw | UnsetType
    is_error: bool


class TaskResult(Struct, frozen=True, kw_only=True, rename="camel"):
    """A task, and what belongs to its status."""

    result_type: str
    task_id: str
    status: Status
    status_message: str | UnsetType
    created_at: Moment
    last_updated_at: Moment
    ttl_ms: int
    poll_interval_ms: int = POLL_INTERVAL_MS
    input_requests: dict[str, Raw] | UnsetType = UNSET
    result: InlinedResult | UnsetType = UNSET
    error: TaskError | UnsetType = UNSET
    meta: Raw = msgspec.field(name="_meta")


class Acknowledgement(Struct, frozen=True, kw_only=True, rename="camel"):
    """The result of a method that gives nothing."""

    result_type: str = "complete"
    meta: Raw = msgspec.field(name="_meta")


def show_created(task: Task, meta: Raw) -> TaskResult:
    """A task as the answer to tools/call."""
    return TaskResult(result_type="task", **_base(task), meta=meta)


def show_task(task: Task, version: Version, meta: Raw) -> TaskResult:
    """A task as tasks/get shows it."""
    return TaskResult(
        result_type="complete",
        **_base(task),
        input_requests=task.questions if task.status == "input_required" else UNSET,
        result=UNSET if task.result is None else _inline(Outcome(task.result), version),
        error=task.error or UNSET,
        meta=meta,
    )


def _base(task: Task) -> dict[str, Any]:
    return {
        "task_id": task.id,
        "status": task.status,
        "status_message": task.message or UNSET,
        "created_at": task.created_at,
        "last_updated_at": task.updated_at,
        "ttl_ms": round((task.expires_at - task.created_at).total_seconds() * 1000),
    }


def _inline(outcome: Outcome, version: Version) -> InlinedResult:
    shape = shape_result(outcome, version)
    return InlinedResult(content=shape.content, structured_content=shape.structured, is_error=shape.is_error)


async def _get_task(server: McpServer, params: Raw, peer: StatelessPeer) -> TaskResult:
    wanted = _read(params, TaskParams, "tasks/get", peer)
    return show_task(await _tasks_of(server).get(wanted.task_id, peer.caller.owner), peer.version, server.meta)


async def _update_task(server: McpServer, params: Raw, peer: StatelessPeer) -> Acknowledgement:
    wanted = _read(params, UpdateParams, "tasks/update", peer)
    answers = {key: msgspec.json.decode(answer) for key, answer in wanted.input_responses.items()}
    await _tasks_of(server).answer(wanted.task_id, peer.caller.name, answers)
    return Acknowledgement(meta=server.meta)


async def _cancel_task(server: McpServer, params: Raw, peer: StatelessPeer) -> Acknowledgement:
    wanted = _read(params, TaskParams, "tasks/cancel", peer)
    await _tasks_of(server).cancel(wanted.task_id, peer.caller.name)
    return Acknowledgement(meta=server.meta)


def _tasks_of(server: McpServer) -> TaskService:
    if server.tasks is None:
        raise ProtocolError(METHOD_NOT_FOUND, "there are no tasks here")
    return server.tasks


def _read(params: Raw, wanted: type[Any], method: str, peer: StatelessPeer) -> Any:
    """The parameters of a client that has declared the extension in this request."""
    if not peer.has_tasks:
        raise MissingTasks
    return read_params(params, wanted, method)


TASK_METHODS: Mapping[str, Callable[[McpServer, Raw, StatelessPeer], Awaitable[Struct]]] = {
    "tasks/cancel": _cancel_task,
    "tasks/get": _get_task,
    "tasks/update": _update_task,
}
