"""Tasks as clients use them: created by a call, looked at, answered, cancelled; on any replica."""

from collections.abc import Mapping
from typing import Any

from toolbox.database import Database
from toolbox.queue import Queue
from toolbox.tasks.repository import TaskRepository, new_task_id
from toolbox.tasks.schemas import NewTask, Task, TaskNotFound


class TaskService:
    """Keeps tasks; those who run them are workers (`toolbox.tasks.worker`)."""

    def __init__(self, database: Database, queue: Queue) -> None:
        self._database = database
        self._queue = queue
        self._tasks = TaskRepository(database)

    async def create(self, task: NewTask) -> Task:
        """Keep a call as a task, and have it worked: both are on disk when this returns."""
        task_id = new_task_id()
        async with self._database.transaction() as connection:
            job_id = await self._queue.enqueue(job_kind(task.tool_name), task_id, connection=connection)
            return await self._tasks.create(connection, task_id, task, _require(job_id))

    async def get(self, task_id: str, owner: str | None) -> Task:
        """A task of this caller; None: of anybody.

        Raises:
            TaskNotFound: There is none with this id, or no longer.
        """
        task = await self._tasks.read(task_id, owner)
        if task is None:
            raise TaskNotFound(task_id)
        return task

    async def answer(self, task_id: str, caller: str, answers: Mapping[str, Any]) -> None:
        """Give a task answers; it goes on when it has all. Answers to what it does not ask are ignored.

        Raises:
            TaskNotFound: There is none with this id, or no longer.
        """
        await self.get(task_id, caller)
        async with self._database.transaction() as connection:
            waiting = await self._tasks.lock_waiting(connection, task_id, caller)
            given = {key: answers[key] for key in waiting.questions if key in answers} if waiting else {}
            if not waiting or not given:
                return
            still_open = {key: question for key, question in waiting.questions.items() if key not in given}
            await self._tasks.keep_answers(connection, task_id, waiting.answers | given, still_open)
            if not still_open:
                job_id = await self._queue.enqueue(job_kind(waiting.tool_name), task_id, connection=connection)
                await self._tasks.go_on(connection, task_id, _require(job_id))

    async def cancel(self, task_id: str, caller: str) -> None:
        """End a task that has not ended yet, and stop its tool wherever it runs.

        Raises:
            TaskNotFound: There is none with this id, or no longer.
        """
        await self.get(task_id, caller)
        job_id = await self._tasks.cancel(task_id, caller)
        if job_id is not None:
            await self._queue.cancel(job_id)


def job_kind(tool_name: str) -> str:
    """The kind of the jobs that run a tool: one of its own, so that only processes that have the tool take them."""
    return f"task:{tool_name}"


def _require(job_id: int | None) -> int:
    assert job_id is not None  # noqa: S101 - only a job with a key can be there already
    return job_id
