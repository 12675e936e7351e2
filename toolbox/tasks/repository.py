"""Tasks in PostgreSQL. Each statement says from which status it leads, so that nothing changes a final one.

A trigger tells the events channel `tasks` the id of every task that has changed.
"""

import re
import secrets
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import msgspec
from msgspec import Raw, Struct

from toolbox.database import Connection, Database
from toolbox.definitions import ToolResult
from toolbox.tasks.schemas import TTL_SECONDS, NewTask, Run, Status, Task, TaskError
from toolbox.tools.client import InputRequest

_ID = re.compile(r"[A-Za-z0-9_-]{32}")
_TASK = "id, status, message, questions, result, error, created_at, updated_at, expires_at"
_RUN = """
    id as task_id, tool_name, arguments, caller, toolset, toolsets, execution_id, timeout_seconds, max_tokens,
    asks_before_destructive, capabilities, answers, expires_at
"""


class Waiting(Struct, frozen=True):
    """What a task waits for, and what it knows."""

    tool_name: str
    questions: dict[str, Raw]
    answers: dict[str, Any]


def new_task_id() -> str:
    """An id that nobody can guess."""
    return secrets.token_urlsafe(24)


class TaskRepository:
    """Reads and writes of tasks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, connection: Connection, task_id: str, task: NewTask, job_id: int) -> Task:
        """Keep a new task, and the job that works it."""
        row = await connection.fetchrow(
            f"""
            insert into tasks (
                id, tool_name, arguments, caller, timeout_seconds, max_tokens, asks_before_destructive, capabilities,
                answers, questions, execution_id, job_id, expires_at, toolset, toolsets
            ) values (
                $1, $2, $3, $4, $5, $6, $7, $8, $9, '{{}}', $10, $11, now() + make_interval(secs => $12), $13, $14
            )
            returning {_TASK}
            """,
            task_id,
            task.tool_name,
            task.arguments,
            task.caller,
            task.timeout_seconds,
            task.max_tokens,
            task.asks_before_destructive,
            task.capabilities,
            task.answers,
            uuid4(),
            job_id,
            TTL_SECONDS,
            task.toolset,
            task.toolsets,
        )
        return _to_task(row)

    async def read(self, task_id: str, owner: str | None) -> Task | None:
        """A task of this caller; None: of anybody."""
        if not _ID.fullmatch(task_id):
            return None
        row = await self._database.fetch_row(
            f"select {_TASK} from tasks where id = $1 and ($2::text is null or caller = $2) and expires_at > now()",
            task_id,
            owner,
        )
        return _to_task(row) if row else None

    async def lock_waiting(self, connection: Connection, task_id: str, caller: str) -> Waiting | None:
        """What a task waits for, if it does; until the transaction ends, nobody else changes it."""
        row = await connection.fetchrow(
            """
            select tool_name, questions, answers from tasks
            where id = $1 and caller = $2 and status = 'input_required' and expires_at > now() for update
            """,
            task_id,
            caller,
        )
        if row is None:
            return None
        return Waiting(row["tool_name"], _read_parts(row["questions"]), msgspec.json.decode(row["answers"]))

    async def keep_answers(
        self, connection: Connection, task_id: str, answers: Mapping[str, Any], questions: Mapping[str, Raw]
    ) -> None:
        """Keep all answers so far, and the questions that are still open."""
        await connection.execute(
            "update tasks set answers = $2, questions = $3, updated_at = now() where id = $1",
            task_id,
            answers,
            questions,
        )

    async def go_on(self, connection: Connection, task_id: str, job_id: int) -> None:
        """Let a task be worked again that has its answers."""
        await connection.execute("update tasks set status = 'working', job_id = $2 where id = $1", task_id, job_id)

    async def cancel(self, task_id: str, caller: str) -> int | None:
        """End a task that has not ended: its job, or None where there is nothing to end."""
        row = await self._database.fetch_row(
            """
            update tasks set status = 'cancelled', message = 'its client cancelled it', questions = '{}',
                updated_at = now()
            where id = $1 and caller = $2 and status in ('working', 'input_required') and expires_at > now()
            returning job_id
            """,
            task_id,
            caller,
        )
        return int(row["job_id"]) if row else None

    async def begin_run(self, task_id: str, *, may_repeat: bool) -> Run | None:
        """Begin to run a task's tool, unless the task has ended, or an earlier run did not and must not be repeated.

        A run that is repeated is a call of its own: the history may know the earlier one.
        """
        row = await self._database.fetch_row(
            f"""
            update tasks set is_running = true,
                execution_id = case when is_running then gen_random_uuid() else execution_id end
            where id = $1 and status = 'working' and expires_at > now() and ($2 or not is_running) returning {_RUN}
            """,
            task_id,
            may_repeat,
        )
        return _to_run(row) if row else None

    async def give_back(self, task_id: str) -> None:
        """Say that the tool has not been run after all."""
        await self._database.execute("update tasks set is_running = false where id = $1", task_id)

    async def report(self, task_id: str, message: str) -> None:
        """Say how far a task has come."""
        await self._database.execute(
            "update tasks set message = $2, updated_at = now() where id = $1 and status = 'working'", task_id, message
        )

    async def ask(self, task_id: str, questions: Mapping[str, InputRequest]) -> None:
        """End a run with questions to the client."""
        await self._end_run(task_id, "input_required", questions=questions)

    async def complete(self, task_id: str, result: Raw) -> None:
        """End a task with a result: a ToolResult, encoded."""
        await self._end_run(task_id, "completed", result=result)

    async def fail(self, task_id: str, error: TaskError) -> None:
        """End a task without a result."""
        await self._end_run(task_id, "failed", message=error.message, error=error)

    async def _end_run(
        self,
        task_id: str,
        status: Status,
        *,
        message: str | None = None,
        questions: Mapping[str, InputRequest] | None = None,
        result: Raw | None = None,
        error: TaskError | None = None,
    ) -> None:
        await self._database.execute(
            """
            update tasks set status = $2, message = $3, questions = $4, result = $5, error = $6, is_running = false,
                updated_at = now()
            where id = $1 and status = 'working'
            """,
            task_id,
            status,
            message,
            questions or {},
            result,
            error,
        )


async def delete_expired_tasks(database: Database, limit: int) -> int:
    """Delete tasks that nobody can follow any more, at most so many; gives back how many."""
    tag = await database.execute(
        "delete from tasks where id in (select id from tasks where expires_at < now() limit $1)", limit
    )
    return int(tag.rpartition(" ")[2])


def _to_task(row: Any) -> Task:
    fields = dict(row)
    fields["questions"] = _read_parts(fields["questions"])
    fields["result"] = msgspec.json.decode(fields["result"], type=ToolResult) if fields["result"] else None
    fields["error"] = msgspec.json.decode(fields["error"], type=TaskError) if fields["error"] else None
    return Task(**fields)


def _to_run(row: Any) -> Run:
    fields = dict(row)
    fields["capabilities"] = _read_parts(fields["capabilities"])
    fields["arguments"] = msgspec.json.decode(fields["arguments"])
    fields["answers"] = msgspec.json.decode(fields["answers"])
    return Run(**fields)


def _read_parts(value: Raw) -> dict[str, Raw]:
    return msgspec.json.decode(value, type=dict[str, Raw])
