"""call: find the tool, run it, remember it."""

import asyncio
import time
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from msgspec import Struct, structs

from toolbox.auth.callers import Caller
from toolbox.calls.consent import ask_for_consent, needs_consent
from toolbox.calls.excerpts import Excerpt, More, fits, make_excerpt
from toolbox.calls.executor import Executor, Outcome
from toolbox.calls.handles import Handle
from toolbox.calls.history import CallRecord, History
from toolbox.calls.results_store import Document, ReadPage, ResultStore
from toolbox.definitions import ToolResult
from toolbox.errors import DatabaseUnavailable, ToolboxError, ToolError
from toolbox.ids import new_id
from toolbox.learning.recorder import UseRecorder
from toolbox.metrics import CALL_SECONDS, CALLS
from toolbox.request_context import REQUEST
from toolbox.telemetry import current_trace_id
from toolbox.tools.client import SILENT, Client, InputRequired, MissingCapability, TaskRequired
from toolbox.tools.loading import ToolLoader
from toolbox.tools.registry import RegisteredTool
from toolbox.toolsets.access import Access
from toolbox.toolsets.directory import ToolsetDirectory
from toolbox.toolsets.limits import Limits

logger = structlog.get_logger(__name__)

PATIENCE_SECONDS = 60.0
"""How long a call waits for a place in its toolset, if it says nothing of time."""
MAX_DEPTH = 8
"""How deep tools may call each other."""

NO_TOOL = "(none)"
"""What metrics call a tool that does not exist: anybody may make up names."""


class CallRequest(Struct, frozen=True, kw_only=True):
    """What to call, for whom, and how the wish came in (rest, mcp, cli or composed)."""

    tool_name: str
    arguments: dict[str, Any]
    caller: Caller
    channel: str
    timeout_seconds: float | None = None
    longest_seconds: float | None = None
    """The time limit of tools that have none of their own, instead of TOOL_TIMEOUT."""
    execution_id: UUID | None = None
    """Under which the call is recorded; a new one if it is not given."""
    client: Client = SILENT
    """Whom the tool may ask, and who hears how far it has come."""
    max_tokens: int | None = None
    """How long the result may be; one that is longer comes as an excerpt. None: as long as it is."""
    asks_before_destructive: bool = False
    """Whether the user is asked before a tool runs that says it may destroy something; a toolset may want it anyway."""
    has_consent: bool = False
    """Whether a caller who cannot be asked says that the user was, and said yes: to the call, and to those it makes."""
    toolset: str | None = None
    """The toolset through which it is called: it must have the tool, whose limits and secrets count. None: that of a
    caller who is limited to some, if any."""
    made_by: tuple[str, ...] = ()
    """The tools that make this call for the caller, the outermost one first."""


class CallResult(Struct, frozen=True, kw_only=True):
    """What came of a call."""

    execution_id: UUID
    tool: RegisteredTool
    outcome: Outcome
    duration_ms: float
    excerpt: Excerpt | None = None
    """What is given instead of a result that is too long."""
    is_recorded: bool = True
    """False: it could not be written in time, and waits in memory to be."""

    @property
    def success(self) -> bool:
        """Whether the tool did what was asked."""
        return self.outcome.error_code is None

    @property
    def result(self) -> ToolResult | None:
        """What the tool gave back, if it came to that, or an excerpt of it."""
        return self.excerpt.result if self.excerpt else self.outcome.result

    @property
    def value(self) -> Any:
        """What callers get who take the value alone."""
        if self.excerpt:
            return self.excerpt.value
        return self.outcome.result.value if self.outcome.result else None

    @property
    def more(self) -> More | None:
        """What the excerpt does not show."""
        return self.excerpt.more if self.excerpt else None


class CallService:
    """Calls tools by name."""

    def __init__(
        self,
        loader: ToolLoader,
        executor: Executor,
        history: History,
        results: ResultStore,
        recorder: UseRecorder | None = None,
        *,
        access: Access,
        toolsets: ToolsetDirectory,
        limits: Limits,
    ) -> None:
        """With `recorder`, search learns from what is called."""
        self._access = access
        self._toolsets = toolsets
        self._limits = limits
        self._recorder = recorder
        self._loader = loader
        self._executor = executor
        self._history = history
        self._results = results

    @property
    def load(self) -> tuple[int, int]:
        """How many calls run in this process, and how many wait for a free slot."""
        return self._executor.load

    async def call_tool(self, request: CallRequest, *, durable: bool = True) -> CallResult:
        """Call a tool once and record it; with `durable`, the record is on disk before this returns, or it says so.

        Raises:
            ToolNotFound: No active tool has this name, or the caller may not see it.
            ToolNotRunnable: The tool came without an implementation, or with one that cannot be used.
            ToolNotHere: Its plugin is not installed on this replica.
            InvalidArguments: The arguments do not fit its schema.
            MissingCapability: The tool asks for what this caller cannot do.
            InputRequired: The caller must answer first, and call again; nothing is recorded yet.
            TaskRequired: The call goes on as a task; nothing is recorded yet.
            Overloaded: Too many calls wait already.
            RateLimited: Its toolset was called too often lately.
        """
        tool = None
        try:
            toolset = await self._access.require(request.caller, request.tool_name, request.toolset)
            tool = await self._loader.find(request.tool_name)
            if toolset is None or request.made_by:
                return await self._call(tool, request, toolset, durable=durable)
            async with self._limits.passing(toolset, request.timeout_seconds or PATIENCE_SECONDS):
                return await self._call(tool, request, toolset, durable=durable)
        except ToolboxError as error:
            if not isinstance(error, MissingCapability):  # which is recorded
                CALLS[tool.name if tool else NO_TOOL, error.code].inc()
            raise

    async def _call(
        self, tool: RegisteredTool, request: CallRequest, toolset: str | None, *, durable: bool
    ) -> CallResult:
        execution_id = request.execution_id or new_id()
        started_at, start = datetime.now(UTC), time.perf_counter()
        trace_id = current_trace_id()
        if facts := REQUEST.get():
            facts.caller, facts.tool = request.caller.name, tool.name

        def record(outcome: Outcome) -> CallRecord:
            return CallRecord(
                id=execution_id,
                tool_name=tool.name,
                tool_version=tool.definition.version,
                caller=request.caller.name,
                channel=request.channel,
                arguments=request.arguments,
                success=outcome.error_code is None,
                result=outcome.result.value if outcome.result else None,
                error_code=outcome.error_code,
                error_message=outcome.error_message,
                started_at=started_at,
                duration_ms=round((time.perf_counter() - start) * 1000, 3),
                trace_id=trace_id,
                schemas=(tool.definition.input_schema, tool.definition.output_schema),
            )

        try:
            outcome = await self._ask_first(tool, request, toolset) or await self._executor.run(
                tool,
                request.arguments,
                execution_id=str(execution_id),
                caller=request.caller.name,
                toolset=toolset,
                timeout_seconds=request.timeout_seconds,
                longest_seconds=request.longest_seconds,
                client=request.client,
                call=partial(self._call_inner, request),
                is_inner=bool(request.made_by),
            )
        except asyncio.CancelledError:
            cancelled = record(Outcome(error_code="cancelled", error_message="the caller gave up"))
            _count(cancelled)
            self._history.record(cancelled)
            raise
        except MissingCapability as error:
            refused = record(Outcome(error_code=error.code, error_message=error.message))
            _count(refused)
            self._history.record(refused)
            raise
        done = record(outcome)
        _count(done)
        excerpt = await self._shorten(tool, request, outcome, execution_id)
        if excerpt and any(document.id == execution_id for document in excerpt.documents):
            done = structs.replace(done, result=None)  # it is kept whole already, and read from there
        if self._recorder and done.success and request.caller.learner:
            self._recorder.called(request.caller.learner, tool.name)
        is_recorded = True
        if durable:
            is_recorded = await self._history.write(done)
        else:
            self._history.record(done)
        return CallResult(
            execution_id=execution_id,
            tool=tool,
            outcome=outcome,
            duration_ms=done.duration_ms,
            excerpt=excerpt,
            is_recorded=is_recorded,
        )

    async def require_access(self, caller: Caller, tool_name: str, toolset: str | None) -> None:
        """Refuse a tool that this caller may not see, or not in this toolset.

        Raises:
            ToolNotFound: It does not exist for this caller.
        """
        await self._access.require(caller, tool_name, toolset)

    async def read_result(self, handle: Handle, owner: str | None, *, max_tokens: int | None = None) -> ReadPage:
        """A page of the result of an earlier call of this caller; None: of anybody.

        Raises:
            NotFound: There is no such result, or no such part of it.
        """
        return await self._results.read_page(handle, owner, max_tokens=max_tokens)

    async def _call_inner(
        self, outer: CallRequest, tool_name: str, arguments: dict[str, Any], timeout_seconds: float | None
    ) -> ToolResult:
        """A call that a tool makes for its own caller: looked at and recorded as if the caller had made it.

        Raises:
            ToolError: It failed, or cannot be made.
        """
        made_by = (*outer.made_by, outer.tool_name)
        if tool_name in made_by:
            raise ToolError(f"tools go in circles: {' > '.join((*made_by, tool_name))}")
        if len(made_by) > MAX_DEPTH:
            raise ToolError(f"tools call each other more than {MAX_DEPTH} deep: {' > '.join((*made_by, tool_name))}")
        request = CallRequest(
            tool_name=tool_name,
            arguments=arguments,
            caller=outer.caller,
            channel="composed",
            timeout_seconds=timeout_seconds,
            client=outer.client,
            toolset=outer.toolset,
            asks_before_destructive=outer.asks_before_destructive,
            has_consent=outer.has_consent,
            made_by=made_by,
        )
        try:
            called = await self.call_tool(request, durable=False)
        except (MissingCapability, InputRequired, TaskRequired):
            raise
        except ToolboxError as error:
            raise ToolError(f"{tool_name}: {error.for_callers}") from error
        if called.result is None or not called.success:
            raise ToolError(f"{tool_name}: {called.outcome.error_message or 'it failed and did not say why'}")
        return called.result

    async def _ask_first(self, tool: RegisteredTool, request: CallRequest, toolset: str | None) -> Outcome | None:
        """What came of asking the user, unless the tool may run."""
        if request.has_consent or not needs_consent(tool.definition):
            return None
        through = await self._toolsets.find(toolset) if toolset else None
        if not request.asks_before_destructive and not (through and through.definition.asks_before_destructive):
            return None
        self._executor.check(tool.definition, request.arguments)  # nobody is asked about a call that cannot be made
        return await ask_for_consent(request.client, tool.definition, request.arguments)

    async def _shorten(
        self, tool: RegisteredTool, request: CallRequest, outcome: Outcome, execution_id: UUID
    ) -> Excerpt | None:
        """An excerpt of a result that is too long. Where it cannot be kept, the result is given whole."""
        result, max_tokens = outcome.result, request.max_tokens
        if result is None or max_tokens is None:
            return None
        try:
            if fits(result, max_tokens):
                return None
            excerpt = await asyncio.to_thread(
                make_excerpt,
                result,
                max_tokens,
                execution_id,
                check=lambda cut: self._executor.find_broken_promise(tool.definition, cut),
                hide=partial(self._hide, tool),
            )
        except (TypeError, ValueError, RecursionError):  # no JSON; whoever writes the answer says so
            return None
        try:
            await self._results.write(excerpt.documents, caller=request.caller.name, tool_name=tool.name)
        except DatabaseUnavailable as error:
            logger.warning("a long result is given whole: it cannot be kept", tool=tool.name, reason=error.message)
            return None
        return excerpt

    def _hide(self, tool: RegisteredTool, document: Document) -> Document:
        """What is kept of a result: as little of its secrets as of one that is short. This takes a while."""
        schema = tool.definition.output_schema if document.kind == "value" else None
        return structs.replace(document, value=self._history.hide_result(document.value, schema))

    def check_arguments(self, tool: RegisteredTool, arguments: dict[str, Any]) -> None:
        """Look at the arguments of a call that is made later.

        Raises:
            InvalidArguments: They do not fit the tool's schema.
        """
        self._executor.check(tool.definition, arguments)


def _count(done: CallRecord) -> None:
    CALLS[done.tool_name, done.error_code or "ok"].inc()
    CALL_SECONDS[(done.channel,)].observe(done.duration_ms / 1000)
