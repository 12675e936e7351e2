"""What the methods of MCP do, whatever the version: listing tools and calling them.

How a request comes in and how its answer is written belongs to the eras (handshake, stateless).
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Raw, Struct, structs

from toolbox.auth.callers import Caller
from toolbox.calls.service import CallRequest, CallService
from toolbox.definitions import TextContent, ToolResult
from toolbox.errors import (
    InvalidArguments,
    InvalidRequest,
    NotFound,
    Overloaded,
    RateLimited,
    ToolNotFound,
    ToolNotHere,
    ToolNotRunnable,
)
from toolbox.mcp.conversations import Conversations
from toolbox.mcp.identity import encode_meta
from toolbox.mcp.listening import Endpoint
from toolbox.mcp.listing import ToolPage
from toolbox.mcp.messages import INVALID_PARAMS, ProtocolError, read_params
from toolbox.mcp.mirroring import Mirrored
from toolbox.mcp.offers import Offers
from toolbox.mcp.outputs import Outcome
from toolbox.mcp.peers import Peer
from toolbox.mcp.results import READ_RESULT, read_result
from toolbox.mcp.schemas import (
    CallToolArguments,
    DescribedTool,
    DescribeToolArguments,
    FindToolArguments,
    FoundTool,
    FoundTools,
    ListedTool,
    ListedTools,
    ListToolsArguments,
    ReadResultArguments,
)
from toolbox.mcp.tools import MetaTool, create_meta_tools, create_read_result
from toolbox.mcp.versions import Version
from toolbox.mcp.views import View, WholeView
from toolbox.request_context import REQUEST
from toolbox.search.schemas import FindRequest
from toolbox.search.service import SearchService, ToolMatch
from toolbox.settings import Settings
from toolbox.tasks.schemas import NewTask, Task
from toolbox.tasks.service import TaskService
from toolbox.tools.client import MissingTasks, TaskRequired
from toolbox.tools.registry import Registry
from toolbox.tools.repository import StoredTool, ToolFilter, ToolRepository
from toolbox.tools.schemas import shown_metadata

CAPABILITIES: dict[str, dict[str, Any]] = {"logging": {}, "tools": {"listChanged": True}}

A = TypeVar("A", bound=Struct)


class ListToolsParams(Struct, frozen=True):
    """What tools/list takes."""

    cursor: str | None = None


class CallToolParams(Struct, frozen=True):
    """What tools/call takes."""

    name: str
    arguments: Raw = Raw(b"null")


class TaskCreated(Exception):
    """The answer to tools/call is a task."""

    def __init__(self, task: Task) -> None:
        super().__init__(task.id)
        self.task = task


class McpServer:
    """Gives MCP clients the catalogue: a few tools to list, all of them to call."""

    def __init__(
        self,
        search: SearchService,
        calls: CallService,
        tools: ToolRepository,
        registry: Registry,
        settings: Settings,
        conversations: Conversations,
        offers: Offers | None = None,
        *,
        tasks: TaskService | None = None,
        view: View | None = None,
        toolset: str | None = None,
        max_tokens: int | None = None,
        asks_before_destructive: bool = False,
    ) -> None:
        """Show the whole catalogue, or what `view` shows of it; calls go through `toolset`, if there is one.

        `max_tokens` takes the place of RESULT_MAX_TOKENS; without `tasks`, no call becomes one.
        """
        self.tasks = tasks
        self.conversations = conversations
        self.offers = offers or Offers()
        self._search = search
        self._calls = calls
        self._tools = tools
        self._registry = registry
        self._settings = settings
        self._max_tokens = max_tokens or settings.result_max_tokens or None
        self._toolset = toolset
        self._asks_before_destructive = asks_before_destructive
        meta_tools = create_meta_tools(settings)
        self._view = view or WholeView(meta_tools, settings.pinned_tools, registry, tools)
        self.info = self._view.info
        self.meta = encode_meta(self.info)
        """What each result of the stateless era says of where it comes from."""
        self._read_result = _run(create_read_result(), self._run_read_result)
        self._meta_tools: dict[str, Callable[[Raw, Peer], Awaitable[ToolResult]]] = {}
        if self._view.has_meta_tools:
            self._meta_tools = {
                "find_tool": _run(meta_tools.find, self._find_tool),
                "describe_tool": _run(meta_tools.describe, self._describe_tool),
                "call_tool": _run(meta_tools.call, self._call_tool),
                "list_tools": _run(meta_tools.list, self._list_tools),
            }

    @property
    def endpoint(self) -> Endpoint:
        """What listeners are connected to."""
        return Endpoint(self._view.key, self._view.read_all)

    @property
    def instructions(self) -> str:
        """What a model is told of the endpoint as a whole."""
        return self._view.instructions

    @property
    def capabilities(self) -> dict[str, dict[str, Any]]:
        """What clients are told that there is."""
        return CAPABILITIES | self.offers.capabilities

    async def list_tools(self, params: Raw, version: Version) -> ToolPage:
        """tools/list.

        Raises:
            ProtocolError: The parameters are wrong.
            InvalidRequest: The cursor is none of ours.
        """
        return await self._view.read_page(read_params(params, ListToolsParams, "tools/list").cursor, version)

    def forget_listing(self) -> None:
        """The catalogue has changed: list it anew."""
        self._view.forget_stored()

    async def find_mirrored(self, tool_name: str) -> tuple[Mirrored, ...]:
        """The arguments of a tool that clients repeat in headers."""
        return await self._view.find_mirrored(tool_name)

    async def call_tool(self, params: Raw, peer: Peer) -> Outcome:
        """tools/call, for the meta-tools and for every other tool under its own name.

        Whatever goes wrong inside the tool, or with its arguments, is a result that the model can read.

        Raises:
            ProtocolError: The parameters are wrong.
            ToolNotFound: No active tool has this name.
            MissingCapability: The tool asks for what the client cannot do.
            InputRequired: The client must answer first, and call again.
            TaskCreated: The client gets a task instead.
            DatabaseUnavailable: PostgreSQL does not answer.
        """
        wanted = read_params(params, CallToolParams, "tools/call")
        arguments = _read_object(wanted.arguments)
        run = self._meta_tools.get(wanted.name)
        if wanted.name == READ_RESULT and self._registry.get(READ_RESULT) is None:
            run = self._read_result
        if run:
            if facts := REQUEST.get():
                facts.tool = wanted.name
            return Outcome(await run(arguments, peer))
        named = read_params(arguments, dict[str, Any], "tools/call")
        return await self._call(CallToolArguments(wanted.name, named), peer)

    async def _find_tool(self, arguments: FindToolArguments, peer: Peer) -> ToolResult:
        query = FindRequest(
            query=arguments.query,
            limit=arguments.limit,
            threshold=arguments.threshold,
            category=arguments.category,
            tags=arguments.tags,
        ).to_query(self._settings, peer.caller)
        found = await self._search.find_tools(structs.replace(query, filter=self._view.narrow(query.filter)))
        is_full = arguments.detail == "schema"
        return _answer(FoundTools([self._to_found(match, is_full) for match in found.matches], found.is_degraded))

    def _to_found(self, match: ToolMatch, is_full: bool) -> FoundTool:
        tool = match.tool
        return FoundTool(
            name=tool.name,
            description=tool.description,
            category=tool.category,
            tags=tool.tags,
            similarity=match.similarity,
            runnable=self._is_runnable(tool),
            input_schema=tool.input_schema if is_full else UNSET,
            metadata=shown_metadata(tool) if is_full else UNSET,
        )

    async def _describe_tool(self, arguments: DescribeToolArguments, peer: Peer) -> ToolResult:
        await self._require_seen(arguments.tool_name, peer.caller)
        tool = await self._tools.get_tool(arguments.tool_name, within=peer.caller.within)
        if tool is None:
            raise await self._not_found(arguments.tool_name, peer.caller)
        stored = {name: getattr(tool, name) for name in _DESCRIBED}
        return _answer(DescribedTool(**stored, runnable=self._is_runnable(tool)))

    async def _call_tool(self, arguments: CallToolArguments, peer: Peer) -> ToolResult:
        if arguments.tool_name == READ_RESULT and self._registry.get(READ_RESULT) is None:
            wanted = _READ_RESULT.read_arguments(Raw(msgspec.json.encode(arguments.arguments)))
            return await self._run_read_result(wanted, peer, arguments.max_tokens)
        if arguments.tool_name in self._meta_tools and self._registry.get(arguments.tool_name) is None:
            return _failure(f"{arguments.tool_name} is not called through call_tool: call it directly")
        return (await self._call(arguments, peer)).result

    async def _list_tools(self, arguments: ListToolsArguments, peer: Peer) -> ToolResult:
        asked = ToolFilter(category=arguments.category, tags=tuple(arguments.tags), within=peer.caller.within)
        wanted = self._view.narrow(asked)
        page = await self._tools.list_tools(wanted, limit=arguments.limit, offset=arguments.offset)
        end = arguments.offset + len(page.tools)
        listed = [ListedTool(tool.name, tool.description, tool.category, tool.tags) for tool in page.tools]
        return _answer(ListedTools(listed, page.total, end if listed and end < page.total else None))

    async def _run_read_result(
        self, arguments: ReadResultArguments, peer: Peer, max_tokens: int | None = None
    ) -> ToolResult:
        budget = arguments.max_tokens or max_tokens or self._max_tokens
        return await read_result(self._calls, arguments.uri, peer.caller.owner, budget)

    async def _require_seen(self, tool_name: str, caller: Caller) -> None:
        if not await self._view.holds(tool_name):
            raise await self._not_found(tool_name, caller)

    async def _not_found(self, tool_name: str, caller: Caller) -> ToolNotFound:
        toolset_id = self._view.narrow(ToolFilter()).toolset_id
        near = await self._tools.near_names(tool_name, toolset_id=toolset_id, within=caller.within)
        if self._view.has_meta_tools:
            return ToolNotFound(tool_name, near, "find_tool searches by meaning")
        return ToolNotFound(tool_name, near, "tools/list names all that there are here")

    async def _call(self, wanted: CallToolArguments, peer: Peer) -> Outcome:
        peer.caller.require("tools:call")
        await self._require_seen(wanted.tool_name, peer.caller)
        request = CallRequest(
            tool_name=wanted.tool_name,
            arguments=wanted.arguments,
            caller=peer.caller,
            channel="mcp",
            timeout_seconds=wanted.timeout_seconds,
            client=peer,
            max_tokens=wanted.max_tokens or self._max_tokens,
            toolset=self._toolset,
            asks_before_destructive=self._asks_before_destructive,
        )
        try:
            await self._become_task(request, peer)
            called = await self._calls.call_tool(request, durable=False)
        except TaskRequired as required:
            raise TaskCreated(await self._create_task(request, required)) from None
        except ToolNotFound:
            raise await self._not_found(wanted.tool_name, peer.caller) from None
        except InvalidArguments as error:
            registered = self._registry.get(wanted.tool_name)
            return Outcome(_explain(error, registered.definition.input_schema if registered else {}))
        except (ToolNotRunnable, ToolNotHere, Overloaded, RateLimited) as error:
            return Outcome(_failure(error.message))
        failed = called.outcome
        result = called.result or _failure(failed.error_message or "the tool failed and did not say why", failed.detail)
        return Outcome(result, called.tool.definition)

    async def _become_task(self, request: CallRequest, peer: Peer) -> None:
        """Let a call of a tool be a task from its start, if the tool wants that."""
        tool = self._registry.get(request.tool_name)
        mode = tool.definition.task if tool else UNSET
        if tool and (mode == "required" or (mode == "optional" and peer.has_tasks and self.tasks)):
            await self._calls.require_access(peer.caller, request.tool_name, self._toolset)
            self._calls.check_arguments(tool, request.arguments)  # a mistake is better answered at once
            await peer.become_task()

    async def _create_task(self, request: CallRequest, required: TaskRequired) -> Task:
        if self.tasks is None:
            raise MissingTasks
        return await self.tasks.create(
            NewTask(
                tool_name=request.tool_name,
                arguments=request.arguments,
                caller=request.caller.name,
                toolset=request.toolset,
                toolsets=request.caller.within,
                timeout_seconds=request.timeout_seconds,
                max_tokens=request.max_tokens,
                asks_before_destructive=request.asks_before_destructive,
                capabilities=dict(required.capabilities),
                answers=dict(required.answers),
            )
        )

    def _is_runnable(self, tool: StoredTool) -> bool:
        return self._registry.can_run(tool.name, tool.kind)


_READ_RESULT = create_read_result()
_DESCRIBED = [name for name in DescribedTool.__struct_fields__ if name != "runnable"]


def _run(
    tool: MetaTool[A], function: Callable[[A, Peer], Awaitable[ToolResult]]
) -> Callable[[Raw, Peer], Awaitable[ToolResult]]:
    """A meta-tool that answers every mistake of its caller as a result."""

    async def run(arguments: Raw, peer: Peer) -> ToolResult:
        try:
            return await function(tool.read_arguments(arguments), peer)
        except InvalidArguments as error:
            return _explain(error, tool.definition.input_schema)
        except (InvalidRequest, NotFound) as error:
            return _failure(error.message)

    return run


def _read_object(arguments: Raw) -> Raw:
    start = bytes(memoryview(arguments)[:1])
    if start == b"n":  # null, which some clients write for "none"
        return Raw(b"{}")
    if start != b"{":
        raise ProtocolError(INVALID_PARAMS, "params of tools/call: arguments must be an object")
    return arguments


def _answer(answer: Struct) -> ToolResult:
    """A result that says the same to models that read text and to clients that read structures."""
    encoded = msgspec.json.encode(answer)
    return ToolResult((TextContent(encoded.decode()),), Raw(encoded))


def _failure(message: str, detail: str | None = None) -> ToolResult:
    said = (message,) if detail is None else (message, detail)
    return ToolResult(tuple(TextContent(text) for text in said), is_error=True)


def _explain(error: InvalidArguments, schema: dict[str, Any]) -> ToolResult:
    """What is wrong, and the schema, so that a model can correct itself."""
    return _failure(f"{error.message}\n\nThe input schema is:\n{msgspec.json.encode(schema).decode()}")
