"""MCP's SDK: loaded when first needed, and what passes between its words and ours.

It takes the better part of a second to load, and only upstreams need it.
"""

import asyncio
import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from toolbox.errors import UpstreamFailed
from toolbox.tools.client import Elicitation, ListRoots, Question, Sampling

if TYPE_CHECKING:
    import mcp
    from mcp_types import ErrorData

INVALID_REQUEST = -32600


def is_modern(protocol_version: str) -> bool:
    """Whether a version belongs to the stateless era."""
    return protocol_version >= "2026"


class ServerInfo(Struct, frozen=True):
    """What a server said of itself when it was connected to."""

    protocol_version: str
    name: str
    version: str
    instructions: str | None
    capabilities: dict[str, Any]

    @property
    def is_modern(self) -> bool:
        """Whether it speaks the stateless era."""
        return is_modern(self.protocol_version)


async def load_sdk() -> None:
    """Load the SDK off the event loop, once.

    Raises:
        UpstreamFailed: It is not installed.
    """
    if not _loaded:
        try:
            await asyncio.to_thread(_load)
        except ImportError as error:
            raise UpstreamFailed(
                "MCP's SDK is not installed: pip install 'toolbox-registry[upstreams]'", is_lasting=True
            ) from error


_loaded = list[bool]()


def _load() -> None:
    import toolbox.upstreams.transports  # noqa: F401 - it loads everything that is needed

    _loaded.append(True)


@functools.cache
def requests_by_method() -> Mapping[str, Callable[[Mapping[str, Any]], tuple[Any, Any]]]:
    """How the SDK writes each method that we send, and that its result is taken as it comes."""
    import mcp_types
    from pydantic import TypeAdapter

    anything = TypeAdapter(dict[str, Any])

    def make(request: Any, params: Any) -> Callable[[Mapping[str, Any]], tuple[Any, Any]]:
        def build(given: Mapping[str, Any]) -> tuple[Any, Any]:
            return request(params=params.model_validate(dict(given)) if given else None), anything

        return build

    paging = mcp_types.PaginatedRequestParams
    return {
        "tools/list": make(mcp_types.ListToolsRequest, paging),
        "prompts/list": make(mcp_types.ListPromptsRequest, paging),
        "resources/list": make(mcp_types.ListResourcesRequest, paging),
        "resources/templates/list": make(mcp_types.ListResourceTemplatesRequest, paging),
        "tools/call": make(mcp_types.CallToolRequest, mcp_types.CallToolRequestParams),
        "prompts/get": make(mcp_types.GetPromptRequest, mcp_types.GetPromptRequestParams),
        "resources/read": make(mcp_types.ReadResourceRequest, mcp_types.ReadResourceRequestParams),
        "ping": make(mcp_types.PingRequest, mcp_types.RequestParams),
    }


def describe_server(client: "mcp.Client") -> ServerInfo:
    """What the server said of itself."""
    info = client.server_info
    return ServerInfo(
        protocol_version=client.protocol_version,
        name=info.name if info else "",
        version=info.version if info else "",
        instructions=client.instructions,
        capabilities=client.server_capabilities.model_dump(by_alias=True, mode="json", exclude_none=True),
    )


_QUESTIONS: Mapping[str, type[Question]] = {
    "elicitation/create": Elicitation,
    "sampling/createMessage": Sampling,
    "roots/list": ListRoots,
}


def to_question(request: Any) -> Question:
    """A question of a server's in our own form.

    Raises:
        UpstreamFailed: It is none.
    """
    method = request.get("method") if isinstance(request, dict) else None
    kind = _QUESTIONS.get(method or "")
    if kind is None:
        raise UpstreamFailed(f"it asks for {method!r}, which nobody here can answer")
    try:
        return msgspec.convert(request.get("params") or {}, kind)
    except msgspec.ValidationError as error:
        raise UpstreamFailed(f"its question ({method}) is not what MCP says: {error}") from error


def to_answer(method: str, answer: dict[str, Any]) -> Any:
    """The answer to a question as the SDK writes it."""
    import mcp_types

    model = mcp_types.ElicitResult if method == "elicitation/create" else mcp_types.CreateMessageResult
    return model.model_validate(answer)


def to_refusal(why: str) -> "ErrorData":
    """An error instead of an answer."""
    from mcp_types import ErrorData

    return ErrorData(code=INVALID_REQUEST, message=why)


def without_nothing(answer: Any) -> Any:
    """An answer without members that say nothing, which servers may refuse."""
    return {key: value for key, value in answer.items() if value is not None} if isinstance(answer, dict) else answer


def innermost_reason(error: BaseException) -> str:
    """The innermost of what the SDK's task groups wrap."""
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    said = str(error) or type(error).__name__
    return f"{type(error).__name__}: {said}" if type(error).__name__ in {"ConnectError", "ReadError"} else said
