"""call: find the tool, run it, remember it."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from msgspec import Struct

from toolbox.calls.executor import Executor, Outcome
from toolbox.calls.history import CallRecord, History
from toolbox.definitions import ToolResult
from toolbox.errors import ToolNotFound, ToolNotHere, ToolNotRunnable
from toolbox.tools.registry import RegisteredTool, Registry
from toolbox.tools.repository import ToolRepository
from toolbox.tools.sync import PLUGIN_SOURCE


class CallRequest(Struct, frozen=True, kw_only=True):
    """What to call, for whom, and how the wish came in (rest, mcp or cli)."""

    tool_name: str
    arguments: dict[str, Any]
    caller: str
    channel: str
    timeout_seconds: float | None = None


class CallResult(Struct, frozen=True, kw_only=True):
    """What came of a call."""

    execution_id: UUID
    tool: RegisteredTool
    outcome: Outcome
    duration_ms: float

    @property
    def success(self) -> bool:
        """Whether the tool did what was asked."""
        return self.outcome.error_code is None

    @property
    def result(self) -> ToolResult | None:
        """What the tool gave back, if it came to that."""
        return self.outcome.result


class CallService:
    """Calls tools by name."""

    def __init__(self, registry: Registry, repository: ToolRepository, executor: Executor, history: History) -> None:
        self._registry = registry
        self._repository = repository
        self._executor = executor
        self._history = history

    async def call_tool(self, request: CallRequest, *, durable: bool = True) -> CallResult:
        """Call a tool once and record it; with `durable`, the record is on disk before this returns.

        Raises:
            ToolNotFound: No active tool has this name.
            ToolNotRunnable: The tool came without an implementation.
            ToolNotHere: Its plugin is not installed on this replica.
            InvalidArguments: The arguments do not fit its schema.
            Overloaded: Too many calls wait already.
        """
        tool = self._registry.get(request.tool_name) or await self._explain_absence(request.tool_name)
        execution_id = uuid4()
        started_at, start = datetime.now(UTC), time.perf_counter()

        def record(outcome: Outcome) -> CallRecord:
            return CallRecord(
                id=execution_id,
                tool_name=tool.name,
                tool_version=tool.definition.version,
                caller=request.caller,
                channel=request.channel,
                arguments=request.arguments,
                success=outcome.error_code is None,
                result=outcome.result.value if outcome.result else None,
                error_code=outcome.error_code,
                error_message=outcome.error_message,
                started_at=started_at,
                duration_ms=round((time.perf_counter() - start) * 1000, 3),
            )

        try:
            outcome = await self._executor.run(
                tool,
                request.arguments,
                execution_id=str(execution_id),
                caller=request.caller,
                timeout_seconds=request.timeout_seconds,
            )
        except asyncio.CancelledError:
            self._history.record(record(Outcome(error_code="cancelled", error_message="the caller gave up")))
            raise
        done = record(outcome)
        if durable:
            await self._history.write(done)
        else:
            self._history.record(done)
        return CallResult(execution_id=execution_id, tool=tool, outcome=outcome, duration_ms=done.duration_ms)

    async def _explain_absence(self, name: str) -> RegisteredTool:
        stored = await self._repository.get_tool(name)
        if stored is None:
            raise ToolNotFound(name, await self._repository.near_names(name))
        if stored.source.startswith(PLUGIN_SOURCE):
            plugin = stored.source.removeprefix(PLUGIN_SOURCE)
            raise ToolNotHere(
                f"{name!r} belongs to the plugin {plugin!r}, which this replica has not loaded; a plugin that was "
                "installed meanwhile is loaded when the server starts again"
            )
        raise ToolNotRunnable(
            f"{name!r} has no implementation: it came from {stored.source} as a description only, so it can be found "
            "but not called"
        )
