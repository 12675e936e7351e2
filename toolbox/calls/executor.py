"""Running one tool: arguments checked, time and concurrency limited, whatever it raises made into an answer."""

import asyncio
import contextvars
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import structlog
from msgspec import Struct

from toolbox.definitions import ToolDefinition, ToolResult
from toolbox.errors import InvalidArguments, Overloaded, ToolError
from toolbox.tools.arguments import compile_schema, find_violations
from toolbox.tools.base import ToolContext
from toolbox.tools.registry import RegisteredTool

logger = structlog.get_logger(__name__)

MAX_WAITING = 1000


class Outcome(Struct, frozen=True):
    """What came of running a tool: a result, or why there is none."""

    result: ToolResult | None = None
    error_code: str | None = None
    error_message: str | None = None


class Executor:
    """Runs tools of any kind under common limits."""

    def __init__(self, *, concurrency: int, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._slots = asyncio.Semaphore(concurrency)
        self._waiting = 0
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="tool")
        self._validators = dict[str, tuple[ToolDefinition, Any]]()

    def close(self) -> None:
        """Give the threads back; one that still runs a tool ends when the tool does."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def run(
        self,
        registered: RegisteredTool,
        arguments: dict[str, Any],
        *,
        execution_id: str,
        caller: str,
        timeout_seconds: float | None = None,
    ) -> Outcome:
        """Run a tool once. A tool that fails is an outcome, not an exception.

        The time limit is the shortest of the request's and the tool's own (or TOOL_TIMEOUT).

        Raises:
            InvalidArguments: The arguments do not fit the schema; the tool was not run.
            Overloaded: Too many calls wait already.
        """
        definition = registered.definition
        self._validate(definition, arguments)
        limit = min(timeout_seconds or float("inf"), definition.timeout_seconds or self._timeout_seconds)
        context = ToolContext(
            tool_name=definition.name,
            execution_id=execution_id,
            caller=caller,
            timeout_seconds=limit,
            run_blocking=self._run_blocking,
        )
        async with self._slot():
            return await _attempt(registered, arguments, context, limit)

    def _validate(self, definition: ToolDefinition, arguments: dict[str, Any]) -> None:
        violations = find_violations(self._validator(definition), arguments)
        if violations:
            raise InvalidArguments(definition.name, violations)

    def _validator(self, definition: ToolDefinition) -> Any:
        """Compiled once for each definition; looked up by name, and by identity because a definition may change."""
        compiled_for, validator = self._validators.get(definition.name, (None, None))
        if compiled_for is not definition:
            validator = compile_schema(definition.input_schema)
            self._validators[definition.name] = (definition, validator)
        return validator

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        if self._waiting >= MAX_WAITING:
            raise Overloaded(f"{MAX_WAITING} calls wait for a free slot; try again in a moment")
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._slots.release()

    async def _run_blocking(self, function: Callable[[], Any]) -> Any:
        """In a thread of our own pool, with the context variables of the call."""
        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(self._threads, context.run, function)


async def _attempt(
    registered: RegisteredTool, arguments: dict[str, Any], context: ToolContext, limit: float
) -> Outcome:
    time_limit = asyncio.timeout(limit)
    try:
        async with time_limit:
            result = await registered.tool.call(arguments, context)
    except ToolError as error:
        return Outcome(error_code="tool_failed", error_message=str(error))
    except InvalidArguments:
        raise
    except BaseException as error:
        if time_limit.expired() and isinstance(error, TimeoutError):
            return Outcome(error_code="tool_timeout", error_message=f"{context.tool_name} took longer than {limit:g} s")
        # A tool is foreign code: neither its crash, nor its exit(), nor a stray cancellation takes the server with it.
        if not isinstance(error, Exception | SystemExit) and _comes_from_outside(error):
            raise
        error_id = uuid4().hex
        logger.exception("a tool crashed", tool=context.tool_name, execution_id=context.execution_id, error_id=error_id)
        return Outcome(
            error_code="tool_crashed",
            error_message=f"{context.tool_name} crashed; the log explains it under error_id {error_id}",
        )
    if result.is_error:
        return Outcome(result, "tool_failed", " ".join(getattr(part, "text", "") for part in result.content).strip())
    return Outcome(result)


def _comes_from_outside(error: BaseException) -> bool:
    """Whether the caller or the server is ending, rather than the tool having cancelled itself."""
    task = asyncio.current_task()
    return not isinstance(error, asyncio.CancelledError) or task is None or task.cancelling() > 0
