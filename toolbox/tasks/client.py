"""The client of a task, as the task's tool meets it: it is not connected, and reads what was left for it."""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from msgspec import Raw

from toolbox.tools.client import Capability, LogLevel, Question, require_answers

REPORT_SECONDS = 1.0
"""Progress is written at most so often; clients do not look more often either."""


class TaskClient:
    """A client that is asked by ending the run of a tool, and answers before the next one."""

    def __init__(
        self, capabilities: Mapping[str, Raw], answers: Mapping[str, Any], report: Callable[[str], Awaitable[None]]
    ) -> None:
        self._capabilities = capabilities
        self._answers = answers
        self._report = report
        self._reported_at = float("-inf")

    def supports(self, capability: Capability) -> bool:
        """Whether the request that created the task declared that it can be asked this."""
        return capability in self._capabilities

    async def report_progress(self, progress: float, total: float | None, message: str | None) -> None:
        """Leave a message for whoever looks at the task."""
        now = time.monotonic()
        if now - self._reported_at < REPORT_SECONDS:
            return
        self._reported_at = now
        await self._report(message or (f"{progress:g}" if total is None else f"{progress:g} of {total:g}"))

    async def log(self, level: LogLevel, data: Any, logger: str | None) -> None:
        """Nobody listens: MCP has no log lines of tasks."""

    async def release(self, retry_seconds: float) -> None:
        """It has gone already."""

    async def ask(self, questions: Mapping[str, Question]) -> Mapping[str, Any]:
        """The answers that the task has got.

        Raises:
            MissingCapability: The client did not declare what one of the questions needs.
            InputRequired: Some are missing.
        """
        return require_answers(questions, self._answers, self._capabilities)

    async def become_task(self) -> None:
        """It is one."""
