"""What a task is, to the client that follows it and to the worker that runs it."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from msgspec import UNSET, Raw, Struct, UnsetType

from toolbox.definitions import ToolResult
from toolbox.errors import NotFound

TTL_SECONDS = 24 * 3600
"""How long a task can be followed, and may run, from when it was created."""

Status = Literal["working", "input_required", "completed", "failed", "cancelled"]
"""The last three are final."""


class TaskNotFound(NotFound):
    """No task of this caller has this id, or it has expired."""

    code = "task_not_found"

    def __init__(self, task_id: str) -> None:
        super().__init__(f"there is no task {task_id[:100]!r}, or it has expired")


class TaskError(Struct, frozen=True):
    """Why a task failed, as an error of JSON-RPC. A tool that fails by itself is a result instead."""

    code: int
    message: str
    data: Any | UnsetType = UNSET


class NewTask(Struct, frozen=True, kw_only=True):
    """A call that is to become a task."""

    tool_name: str
    arguments: dict[str, Any]
    caller: str
    toolset: str | None = None
    """The toolset through which it is called."""
    toolsets: tuple[str, ...] | None = None
    """Those to which its caller is limited; None: all tools."""
    timeout_seconds: float | None = None
    max_tokens: int | None = None
    asks_before_destructive: bool = False
    capabilities: dict[str, Raw]
    """What its client can be asked, as it declared it."""
    answers: dict[str, Any]
    """What the client has answered already, by key."""


class Task(Struct, frozen=True, kw_only=True):
    """A task as its client sees it."""

    id: str
    status: Status
    message: str | None
    """How far it has come, or why it ended."""
    questions: dict[str, Raw]
    """What it waits for, by key: an InputRequest, encoded."""
    result: ToolResult | None
    error: TaskError | None
    created_at: datetime
    updated_at: datetime
    expires_at: datetime


class Run(Struct, frozen=True, kw_only=True):
    """One run of a task's tool."""

    task_id: str
    tool_name: str
    arguments: dict[str, Any]
    caller: str
    toolset: str | None
    toolsets: list[str] | None
    execution_id: UUID
    timeout_seconds: float | None
    max_tokens: int | None
    asks_before_destructive: bool
    capabilities: dict[str, Raw]
    answers: dict[str, Any]
    expires_at: datetime
