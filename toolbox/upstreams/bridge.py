"""One stdio server over streamable HTTP, so that it can be a pod or a machine of its own.

The process is kept as upstreams are: restarted when it dies, with nothing left of it. The HTTP side is the SDK's
server, which speaks both eras.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from toolbox.definitions import Upstream
from toolbox.errors import UpstreamFailed
from toolbox.tools.base import ToolContext
from toolbox.tools.client import (
    CAPABILITIES,
    METHODS,
    SILENT,
    Capability,
    InputRequired,
    LogLevel,
    MissingCapability,
    Question,
)
from toolbox.upstreams.client import ServerError
from toolbox.upstreams.sdk import load_sdk
from toolbox.upstreams.supervised import Supervised
from toolbox.upstreams.supervisor import Supervisor

if TYPE_CHECKING:
    from starlette.applications import Starlette

CALL_SECONDS = 3600.0
"""How long a call may take: whoever asks ends it sooner."""


class _Caller:
    """Who asks over HTTP, as far as the server's questions and news reach them."""

    def __init__(self, context: Any, answers: Mapping[str, Any]) -> None:
        self._context = context
        self._answers = answers
        self._is_modern = context.protocol_version >= "2026"

    def supports(self, _capability: Capability) -> bool:
        """Whoever cannot be asked says so when it is."""
        return True

    async def report_progress(self, progress: float, total: float | None, message: str | None) -> None:
        await self._context.session.report_progress(progress, total, message)

    async def log(self, level: LogLevel, data: Any, logger: str | None) -> None:
        await self._context.session.send_log_message(level, data, logger, related_request_id=self._context.request_id)

    async def release(self, retry_seconds: float) -> None:
        """It stays."""

    async def become_task(self) -> None:
        """It waits for the result."""

    async def ask(self, questions: Mapping[str, Question]) -> Mapping[str, Any]:
        if self._is_modern:
            if questions.keys() <= self._answers.keys():
                return {key: self._answers[key] for key in questions}
            raise InputRequired(questions)
        return {key: await self._ask_one(question) for key, question in questions.items()}

    async def _ask_one(self, question: Question) -> Any:
        import mcp_types
        from mcp import MCPError
        from mcp.shared.message import ServerMessageMetadata

        method, params = METHODS[type(question)], msgspec.to_builtins(question)
        kinds: dict[str, tuple[Any, Any]] = {
            "elicitation/create": (mcp_types.ElicitRequest, mcp_types.ElicitResult),
            "sampling/createMessage": (mcp_types.CreateMessageRequest, mcp_types.CreateMessageResult),
        }
        if method not in kinds:
            raise MissingCapability(CAPABILITIES[type(question)])
        request, result = kinds[method]
        metadata = ServerMessageMetadata(related_request_id=self._context.request_id)
        try:
            answer = await self._context.session.send_request(
                request.model_validate({"method": method, "params": params}), result, metadata=metadata
            )
        except MCPError as error:
            raise MissingCapability(CAPABILITIES[type(question)], error.error.message) from error
        return answer.model_dump(by_alias=True, mode="json", exclude_none=True)


@contextlib.asynccontextmanager
async def open_bridge(upstream: Upstream, *, host: str) -> AsyncIterator["Starlette"]:
    """The application that serves an upstream at /mcp; its process ends with the block.

    Raises:
        UpstreamFailed: It does not start, or the SDK is not installed.
    """
    await load_sdk()
    supervisor = Supervisor(resolve=_as_it_is)
    async with supervisor.running():
        supervisor.configure({upstream.name: upstream})
        supervised = supervisor.get(upstream.name)
        session = await supervised.session()
        assert session.info is not None  # noqa: S101 - it is open
        yield _create_app(supervised, session.info.capabilities, session.info.name or upstream.name, host)


def _create_app(supervised: Supervised, capabilities: Mapping[str, Any], name: str, host: str) -> "Starlette":
    import mcp_types as types
    from mcp.server.lowlevel import Server
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    def forward(method: str, kind: Any) -> Callable[[Any, Any], Awaitable[Any]]:
        return lambda context, params: _forward(supervised, method, kind, context, params)

    handlers: dict[str, Any] = {}
    if "tools" in capabilities:
        handlers["on_list_tools"] = forward("tools/list", types.ListToolsResult)
        handlers["on_call_tool"] = forward("tools/call", types.CallToolResult)
    if "resources" in capabilities:
        handlers["on_list_resources"] = forward("resources/list", types.ListResourcesResult)
        handlers["on_list_resource_templates"] = forward("resources/templates/list", types.ListResourceTemplatesResult)
        handlers["on_read_resource"] = forward("resources/read", types.ReadResourceResult)
    if "prompts" in capabilities:
        handlers["on_list_prompts"] = forward("prompts/list", types.ListPromptsResult)
        handlers["on_get_prompt"] = forward("prompts/get", types.GetPromptResult)
    server: Any = Server(name, **handlers)

    async def health(_request: Any) -> Any:
        return PlainTextResponse(
            "ok" if supervised.is_running else "not running", 200 if supervised.is_running else 503
        )

    app: Starlette = server.streamable_http_app(
        host=host, transport_security=_open_to(host), custom_starlette_routes=[Route("/health", health)]
    )
    return app


def _open_to(host: str) -> Any:
    """On loopback the SDK refuses hosts of others; on another address whoever put it there decides who comes."""
    from mcp.server.transport_security import TransportSecuritySettings

    if host in {"127.0.0.1", "localhost", "::1"}:
        return None
    return TransportSecuritySettings(enable_dns_rebinding_protection=False)


async def _forward(supervised: Supervised, method: str, kind: Any, context: Any, params: Any) -> Any:
    import mcp_types as types
    from mcp import MCPError

    given = params.model_dump(by_alias=True, mode="json", exclude_none=True) if params else {}
    given.pop("_meta", None)
    answers, state = given.pop("inputResponses", {}), given.pop("requestState", None)
    caller = _Caller(context, answers | (json.loads(state) if state else {}))
    call = ToolContext(
        tool_name=method,
        execution_id="",
        caller=str(id(context.session)),
        timeout_seconds=CALL_SECONDS,
        run_blocking=asyncio.to_thread,
        client=caller if method == "tools/call" else SILENT,
    )
    try:
        result = await supervised.request(method, given, call, is_safe=method != "tools/call")
    except InputRequired as error:
        requests = {
            key: {"method": METHODS[type(asked)], "params": msgspec.to_builtins(asked)}
            for key, asked in error.questions.items()
        }
        return types.InputRequiredResult.model_validate(
            {"inputRequests": requests, "requestState": json.dumps(answers)}
        )
    except ServerError as error:
        raise MCPError(error.number, error.message) from error
    except (UpstreamFailed, MissingCapability) as error:
        raise MCPError(types.INTERNAL_ERROR, error.message) from error
    return kind.model_validate(result)


async def _as_it_is(text: str) -> str:
    return text
