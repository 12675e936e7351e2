"""Running one tool: arguments checked, time and concurrency limited, whatever it raises made into an answer."""

import asyncio
import contextlib
import contextvars
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any
from uuid import uuid4

import structlog
from msgspec import UNSET, Struct, structs

from toolbox.calls.lanes import Lane, Lanes
from toolbox.calls.results import MAX_RESULT_BYTES, ResultChecker, ResultTooLarge, is_too_large
from toolbox.definitions import TextContent, ToolDefinition, ToolResult
from toolbox.errors import InvalidArguments, ToolError, Violation
from toolbox.request_context import explain
from toolbox.telemetry import is_tracing, span
from toolbox.tools.arguments import MAX_ARGUMENT_BYTES, compile_schema, find_violations, measure
from toolbox.tools.base import InnerCall, ToolContext
from toolbox.tools.client import SILENT, Client, InputRequired, MissingCapability, TaskRequired
from toolbox.tools.registry import RegisteredTool
from toolbox.waiting import TimeLimit, Watched

logger = structlog.get_logger(__name__)

MAX_WAITING = 1000


class Outcome(Struct, frozen=True):
    """What came of running a tool: a result, or why there is none."""

    result: ToolResult | None = None
    error_code: str | None = None
    error_message: str | None = None
    detail: str | None = None
    """With DEBUG, the traceback of a crash: for the answer alone, and never recorded."""


class Executor:
    """Runs tools of any kind under common limits."""

    def __init__(
        self,
        *,
        concurrency: int,
        timeout_seconds: float,
        announce: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        """`announce` tells clients of all replicas that what a tool names has changed."""
        self._announce = announce
        self._timeout_seconds = timeout_seconds
        self._lanes = Lanes(concurrency, queue=MAX_WAITING)
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="tool")
        self._validators = dict[str, tuple[ToolDefinition, Any]]()
        self._results = ResultChecker()

    @property
    def load(self) -> tuple[int, int]:
        """How many calls run, and how many wait for a free slot."""
        return self._lanes.running, self._lanes.waiting

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
        toolset: str | None = None,
        timeout_seconds: float | None = None,
        longest_seconds: float | None = None,
        client: Client = SILENT,
        call: InnerCall | None = None,
        is_inner: bool = False,
    ) -> Outcome:
        """Run a tool once. A tool that fails is an outcome, not an exception.

        The time limit is the shortest of the request's and the tool's own (or `longest_seconds`, or TOOL_TIMEOUT);
        waiting for a place may take as long again. With `call` the tool may call others; such a call `is_inner`, and
        has the place of the one that it is made for.

        Raises:
            InvalidArguments: The arguments do not fit the schema; the tool was not run.
            MissingCapability: The tool asks for what the caller cannot do.
            InputRequired: The caller must answer the tool's questions, and call again.
            TaskRequired: The tool goes on as a task only.
            Overloaded: Too many calls wait already, or this one has waited too long.
        """
        definition = registered.definition
        self.check(definition, arguments)
        own_limit = definition.timeout_seconds or longest_seconds or self._timeout_seconds
        limit = min(timeout_seconds or float("inf"), own_limit)
        threads = list[Future[Any]]()
        context = ToolContext(
            tool_name=definition.name,
            execution_id=execution_id,
            caller=caller,
            toolset=toolset,
            timeout_seconds=limit,
            run_blocking=partial(self._run_blocking, threads),
            client=client,
            announce=self._announce,
            can_become_task=definition.task is not UNSET,
            call=call,
        )
        attempt = _attempt_traced if is_tracing() else _attempt
        if getattr(registered.tool, "limits_itself", False):  # it only waits for others, and takes no place of ours
            return self._hold_to_promise(definition, await attempt(registered, arguments, context, limit))
        lane = Lane(definition.name, is_inner)
        own_concurrency = getattr(registered.tool, "concurrency", None)
        await self._lanes.enter(lane, limit=own_concurrency, patience_seconds=limit)
        try:
            outcome = await attempt(registered, arguments, context, limit)
        finally:
            self._leave(lane, [thread for thread in threads if not thread.done()])
        return self._hold_to_promise(definition, outcome)

    def _leave(self, lane: Lane, threads: list[Future[Any]]) -> None:
        """Give the place back: when the last thread ends, should the call have left some running, as at its time limit.

        Nothing stops a thread from outside, so a tool whose threads hang runs out of its own places, and of no others.
        """
        if not threads:
            self._lanes.leave(lane)
            return
        left, loop = len(threads), asyncio.get_running_loop()

        def ended() -> None:
            nonlocal left
            left -= 1
            if not left:
                self._lanes.leave(lane)

        def tell(_thread: Future[Any]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(ended)

        for thread in threads:
            thread.add_done_callback(tell)

    def _hold_to_promise(self, definition: ToolDefinition, outcome: Outcome) -> Outcome:
        """The outcome, or the failure that it is when the result is not what the tool promises; content stays."""
        if outcome.result is None:
            return outcome
        try:
            if is_too_large(outcome.result):
                raise ResultTooLarge  # noqa: TRY301 - its content, as its value below
            result, problem = self._results.check(definition, outcome.result)
        except ResultTooLarge:
            message = f"the result of {definition.name} is larger than {MAX_RESULT_BYTES:,} bytes; ask for less"
            return Outcome(ToolResult((TextContent(message),), is_error=True), "result_too_large", message)
        if problem is None:
            return outcome if result is outcome.result else structs.replace(outcome, result=result)
        message = f"the result of {definition.name} cannot be given: {problem}"
        failed = ToolResult((*result.content, TextContent(message)), is_error=True)
        return Outcome(failed, "invalid_result", message)

    def find_broken_promise(self, definition: ToolDefinition, result: ToolResult) -> str | None:
        """What of a result is not what its tool promises, if anything."""
        return self._results.check(definition, result)[1]

    def check(self, definition: ToolDefinition, arguments: dict[str, Any]) -> None:
        """Look at the arguments of a call.

        Raises:
            InvalidArguments: They do not fit the schema, or are too large.
        """
        if (size := measure(arguments)) > MAX_ARGUMENT_BYTES:
            said = f"they have {size:,} bytes, and at most {MAX_ARGUMENT_BYTES:,} are taken"
            raise InvalidArguments(definition.name, [Violation("", said)])
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

    async def _run_blocking(self, threads: list[Future[Any]], function: Callable[[], Any]) -> Any:
        """In a thread of our own pool, with the context variables of the call."""
        thread = self._threads.submit(contextvars.copy_context().run, function)
        threads.append(thread)
        return await asyncio.wrap_future(thread)


async def _attempt_traced(
    registered: RegisteredTool, arguments: dict[str, Any], context: ToolContext, limit: float
) -> Outcome:
    """The same as a span (OpenTelemetry, semantic conventions for generative AI, Execute tool span)."""
    attributes = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": context.tool_name,
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": context.execution_id,
    }
    with span(f"execute_tool {context.tool_name}", attributes) as recorded:
        outcome = await _attempt(registered, arguments, context, limit)
        if outcome.error_code:
            recorded.fail(outcome.error_code)
        return outcome


async def _attempt(
    registered: RegisteredTool, arguments: dict[str, Any], context: ToolContext, limit: float
) -> Outcome:
    time_limit = TimeLimit(limit)
    try:
        result = await Watched(registered.tool.call(arguments, context), lambda: time_limit)
    except ToolError as error:
        return Outcome(error_code="tool_failed", error_message=str(error))
    except (InvalidArguments, MissingCapability, InputRequired, TaskRequired):
        raise
    except BaseException as error:
        if time_limit.has_expired and isinstance(error, TimeoutError):
            return Outcome(error_code="tool_timeout", error_message=f"{context.tool_name} took longer than {limit:g} s")
        # A tool is foreign code: neither its crash, nor its exit(), nor a stray cancellation takes the server with it.
        if not isinstance(error, Exception | SystemExit) and _comes_from_outside(error):
            raise
        error_id = uuid4().hex
        logger.exception("a tool crashed", tool=context.tool_name, execution_id=context.execution_id, error_id=error_id)
        return Outcome(
            error_code="tool_crashed",
            error_message=f"{context.tool_name} crashed; the log explains it under error_id {error_id}",
            detail=explain(error),
        )
    if result.is_error:
        return Outcome(result, "tool_failed", " ".join(getattr(part, "text", "") for part in result.content).strip())
    return Outcome(result)


def _comes_from_outside(error: BaseException) -> bool:
    """Whether the caller or the server is ending, rather than the tool having cancelled itself."""
    task = asyncio.current_task()
    return not isinstance(error, asyncio.CancelledError) or task is None or task.cancelling() > 0
