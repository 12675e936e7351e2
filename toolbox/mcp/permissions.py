"""Which scope each method of MCP needs. Pure module: no I/O.

tools/call is the way to the meta-tools too, of which all but call_tool only read.
"""

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from toolbox.auth.callers import Caller
from toolbox.auth.scopes import Scope
from toolbox.mcp.messages import Message, Request
from toolbox.rate_limiting.limiter import Category

METHOD_SCOPES: Mapping[str, Scope] = {
    "completion/complete": "tools:read",
    "initialize": "tools:read",
    "logging/setLevel": "tools:read",
    "ping": "tools:read",
    "prompts/get": "tools:read",
    "prompts/list": "tools:read",
    "resources/directory/read": "tools:read",
    "resources/list": "tools:read",
    "resources/read": "tools:read",
    "resources/subscribe": "tools:read",
    "resources/templates/list": "tools:read",
    "resources/unsubscribe": "tools:read",
    "server/discover": "tools:read",
    "skills/get": "tools:read",
    "skills/list": "tools:read",
    "subscriptions/listen": "tools:read",
    "tasks/cancel": "tools:call",
    "tasks/get": "tools:read",
    "tasks/update": "tools:call",
    "tools/call": "tools:call",
    "tools/list": "tools:read",
}
"""A method that is not here is not answered to anybody: a test finds it missing."""

STREAM_SCOPE: Scope = "tools:read"
"""What it takes to open a stream by GET, and to send what is no request."""

READING_TOOLS = frozenset({"describe_tool", "find_tool", "list_tools", "read_result"})


class _Named(Struct):
    name: str = ""


def find_missing_scope(caller: Caller, request: Request) -> str | None:
    """The scope that a request needs and its caller lacks; of a method that is unknown, that which reading needs."""
    needed = METHOD_SCOPES.get(request.method, STREAM_SCOPE)
    if needed in caller.scopes:
        return None
    if request.method == "tools/call" and "tools:read" in caller.scopes and _read_name(request) in READING_TOOLS:
        return None  # where such a name is that of a tool that does something, calling it asks again
    return needed


def find_category(message: Message) -> Category:
    """What a message is counted as: running tools is not searching for them."""
    if isinstance(message, Request) and message.method == "tools/call" and _read_name(message) not in READING_TOOLS:
        return "call"
    return "search"


def _read_name(request: Request) -> str:
    try:
        return msgspec.json.decode(request.params, type=_Named).name
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
