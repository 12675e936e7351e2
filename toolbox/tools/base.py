"""What every kind of tool is: a definition and a way to run it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, ParamSpec, Protocol, TypeAlias, TypeVar, cast, runtime_checkable

import msgspec
from msgspec import UNSET

from toolbox.definitions import TextContent, ToolDefinition, ToolResult
from toolbox.errors import ToolError
from toolbox.tools.arguments import compile_schema, find_violations
from toolbox.tools.client import (
    SILENT,
    Answer,
    Capability,
    Client,
    Elicitation,
    Elicited,
    ListRoots,
    LogLevel,
    Question,
    Root,
    Roots,
    Sampled,
    Sampling,
    SamplingMessage,
    read_answer,
)

P = ParamSpec("P")
T = TypeVar("T")
A = TypeVar("A", Elicited, Sampled, Roots)


InnerCall: TypeAlias = Callable[[str, dict[str, Any], float | None], Awaitable[ToolResult]]
"""Calls another tool by its name, with arguments and a time limit; raises ToolError where that fails."""


class ToolContext:
    """What a tool may know of the call it serves.

    ToolBox makes one for each call. A tool that wants it names a parameter with this type; callers never see that one.
    """

    def __init__(
        self,
        *,
        tool_name: str,
        execution_id: str,
        caller: str,
        timeout_seconds: float,
        run_blocking: Callable[[Callable[[], Any]], Awaitable[Any]],
        toolset: str | None = None,
        client: Client = SILENT,
        announce: Callable[[str], Awaitable[None]] | None = None,
        can_become_task: bool = False,
        call: "InnerCall | None" = None,
    ) -> None:
        self.tool_name = tool_name
        self.execution_id = execution_id
        """The id under which the call is recorded."""
        self.caller = caller
        """Who is calling, as shown in the history: a key's name, or "anonymous"."""
        self.toolset = toolset
        """The toolset through which the tool is called, whose own secrets count; None if through none."""
        self.timeout_seconds = timeout_seconds
        """The whole time that the call may take; when it is over, the call is cancelled."""
        self._run_blocking = run_blocking
        self._client = client
        self._announce = announce or _tell_nobody
        self._can_become_task = can_become_task
        self._call = call

    async def run_blocking(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking function in ToolBox's own threads, so that other calls go on meanwhile."""
        result: T = await self._run_blocking(lambda: function(*args, **kwargs))
        return result

    async def call(
        self, tool_name: str, arguments: dict[str, Any], *, timeout_seconds: float | None = None
    ) -> ToolResult:
        """Call another tool for the same caller, who must be allowed to; the call is recorded as any other.

        Raises:
            ToolError: It failed, or cannot be called; says why.
        """
        if self._call is None:
            raise ToolError(f"{tool_name} cannot be called from here")
        return await self._call(tool_name, arguments, timeout_seconds)

    def supports(self, capability: Capability) -> bool:
        """Whether the client can be asked: "elicitation" for `elicit`, "sampling" for `sample`, "roots"."""
        return self._client.supports(capability)

    async def report_progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        """Tell a client that wants to know how far the call has come; each `progress` is more than the last one."""
        await asyncio.sleep(0)  # a tool that does nothing else would let nobody else run, nor its client read
        await self._client.report_progress(progress, total, message)

    async def log(self, level: LogLevel, data: Any, logger: str | None = None) -> None:
        """Send a line, or anything that is JSON, to the client's log."""
        await asyncio.sleep(0)
        await self._client.log(level, data, logger)

    async def release_client(self, retry_seconds: float = 1.0) -> None:
        """Let a client hang up that can come back for the answer, as one of MCP 2025-11-25 can; others wait on."""
        await self._client.release(retry_seconds)

    async def become_task(self) -> None:
        """Go on as a task: the client gets a handle at once, and a worker runs the tool to its end.

        The tool runs again from its start there, with the answers that it has got; in a task this does nothing. What
        the tool does before must be harmless to do twice. Needs `@tool(task=...)`.

        Raises:
            MissingTasks: The client cannot follow a task; the tool may go on without, if it is quick.
        """
        if not self._can_become_task:
            raise RuntimeError(f"{self.tool_name} asks to become a task, but is not declared with @tool(task=...)")
        await self._client.become_task()

    async def announce_change(self, kind: Literal["tools", "prompts", "resources"]) -> None:
        """Tell all clients that listen, on every replica, that a list is not what it was."""
        await self._announce(kind)

    async def announce_resource(self, uri: str) -> None:
        """Tell all clients that have subscribed to a resource, on every replica, that its content has changed."""
        await self._announce(f"resource:{uri}")

    async def elicit(self, key: str, message: str, schema: dict[str, Any]) -> Elicited:
        """Ask the person who uses the client to fill in a form.

        `key` names the question within this tool. A tool may run again from its start when an answer has come, so that
        what it does before it asks must be harmless to do twice; a key that is answered is not asked again.

        Raises:
            MissingCapability: The client has no such form.
        """
        return await self._ask_one(key, Elicitation(message=message, requested_schema=schema), Elicited)

    async def sample(
        self,
        key: str,
        messages: str | tuple[SamplingMessage, ...],
        *,
        max_tokens: int,
        system_prompt: str | None = None,
    ) -> Sampled:
        """Ask the client's model; a text is one message of the user. See `elicit` for `key`.

        Raises:
            MissingCapability: The client lends its model to nobody.
        """
        if isinstance(messages, str):
            messages = (SamplingMessage("user", TextContent(messages)),)
        question = Sampling(messages=messages, max_tokens=max_tokens, system_prompt=system_prompt or UNSET)
        return await self._ask_one(key, question, Sampled)

    async def list_roots(self, key: str = "roots") -> tuple[Root, ...]:
        """Ask for the folders that the client works in. See `elicit` for `key`.

        Raises:
            MissingCapability: The client names none.
        """
        return (await self._ask_one(key, ListRoots(), Roots)).roots

    async def ask(self, questions: Mapping[str, Question]) -> dict[str, Answer]:
        """Ask several things at once; the answers come by key. See `elicit` for keys.

        Raises:
            MissingCapability: The client cannot be asked one of them.
        """
        answers = await self._client.ask(questions)
        return {key: _read(key, question, answers[key]) for key, question in questions.items()}

    async def _ask_one(self, key: str, question: Question, _kind: type[A]) -> A:
        return cast("A", (await self.ask({key: question}))[key])


async def _tell_nobody(_change: str) -> None:
    """Where there are no other clients."""


def _read(key: str, question: Question, answer: Any) -> Answer:
    try:
        read = read_answer(question, answer)
    except msgspec.ValidationError as error:
        raise ToolError(f"the client's answer to {key!r} is none: {error}") from error
    if isinstance(question, Elicitation) and isinstance(read, Elicited) and read.action == "accept":
        return _check_form(key, question, read)
    return read


def _check_form(key: str, question: Elicitation, filled: Elicited) -> Elicited:
    """What was filled in, if it is what the form asks for: nobody but us looks at it before the tool believes it."""
    if question.requested_schema is UNSET:
        return filled
    violations = find_violations(compile_schema(question.requested_schema), filled.content)
    if violations:
        wrong = "; ".join(f"{violation.path}: {violation.message}" for violation in violations)
        raise ToolError(f"the client's answer to {key!r} is not what was asked for: {wrong}")
    return filled


@runtime_checkable
class Tool(Protocol):
    """A tool of any kind. The executor knows nothing more of it."""

    @property
    def definition(self) -> ToolDefinition:
        """What callers see; it does not change while the tool is registered."""
        ...

    async def call(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        """Run the tool once, with arguments that already fit its input schema.

        Raises:
            ToolError: The call failed for a reason that the caller should read.
        """
        ...
