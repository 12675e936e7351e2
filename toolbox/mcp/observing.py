"""What metrics, traces and the log say of one request of MCP, in either era.

Methods that do not exist are all one: anybody may make up names. (OpenTelemetry, semantic conventions for MCP.)
"""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct

from toolbox.mcp.messages import Request
from toolbox.metrics import MCP
from toolbox.request_context import REQUEST
from toolbox.telemetry import Span, span

UNKNOWN = "(unknown)"
CANCELLED = "cancelled"
"""Instead of ok, where the client went before there was an answer."""


class _Meta(Struct, frozen=True):
    traceparent: str | None = None
    tracestate: str | None = None


class _Params(Struct, frozen=True):
    meta: _Meta = msgspec.field(default=_Meta(), name="_meta")


def note_method(method: str) -> None:
    """Let the log line of the HTTP request say which method it was."""
    if facts := REQUEST.get():
        facts.method = method


def count(method: str, version: str, status: str | int) -> None:
    """A request has been answered: ok, with the code of an error, or CANCELLED."""
    MCP[method, version, status].inc()


@contextlib.contextmanager
def traced(request: Request, method: str, version: str) -> Iterator[Span]:
    """The span of a request: of the trace that its `_meta` names (SEP-414), or of that of its HTTP request."""
    attributes: dict[str, Any] = {
        "mcp.method.name": method,
        "mcp.protocol.version": version,
        "jsonrpc.request.id": str(request.id)[:100],
    }
    with span(method, attributes, kind="server", carrier=_read_carrier(request.params)) as recorded:
        yield recorded
        facts = REQUEST.get()
        if facts and facts.tool:
            recorded.rename(f"{method} {facts.tool}")
            recorded.set("gen_ai.tool.name", facts.tool)
            recorded.set("gen_ai.operation.name", "execute_tool")


def _read_carrier(params: Raw) -> Mapping[str, str]:
    try:
        meta = msgspec.json.decode(params, type=_Params).meta
    except msgspec.DecodeError:
        return {}
    return {name: value for name in meta.__struct_fields__ if isinstance(value := getattr(meta, name), str)}
