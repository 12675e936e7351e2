"""MCP over a catalogue of a few tools with every kind of answer."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any, cast

import pytest
from httpx import ASGITransport, AsyncClient, Response
from litestar import Litestar
from litestar.types import ASGIApp, Receive, Scope, Send
from msgspec import Meta, Struct

from toolbox import (
    AudioContent,
    ImageContent,
    ResourceLink,
    TextContent,
    ToolAnnotations,
    ToolContext,
    ToolDefinition,
    ToolError,
    ToolResult,
    tool,
)
from toolbox.auth.callers import LOCAL, Caller
from toolbox.mcp.conversations import Conversations
from toolbox.mcp.methods import McpServer
from toolbox.mcp.offers import Offers
from toolbox.mcp.routes import create_mcp_router
from toolbox.plugins import Plugins
from toolbox.seals import Sealer
from toolbox.services import Services, open_services
from toolbox.settings import Settings

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


class Sum(Struct):
    """An object as a result."""

    total: int


@tool(title="Add numbers", annotations=ToolAnnotations(read_only_hint=True))
async def add(a: int, b: int) -> Sum:
    """Add two numbers.

    Args:
        a: the first
        b: the second
    """
    return Sum(a + b)


@tool(tags=["text"])
async def reverse(text: str) -> str:
    """Reverse a text, character by character."""
    return text[::-1]


@tool(category="failures")
async def refuse() -> str:
    """Fail in its own words."""
    raise ToolError("it is closed on Sundays")


@tool(category="failures")
async def crash() -> str:
    """Fail with a secret inside."""
    raise RuntimeError("the secret is swordfish")


@tool(category="media")
async def show() -> list[Any]:
    """Answer with media."""
    return [
        TextContent("see"),
        ImageContent("aW1hZ2U=", "image/png"),
        AudioContent("c291bmQ=", "audio/wav"),
        ResourceLink("file:///a.txt", "a.txt"),
    ]


@tool(category="routing")
async def route(region: Annotated[str, Meta(extra_json_schema={"x-mcp-header": "Region"})] = "") -> str:
    """Say where a request goes."""
    return region


@tool(category="media")
async def paint() -> ImageContent:
    """Answer with an image alone."""
    return ImageContent("aW1hZ2U=", "image/png")


@tool(category="failures")
async def wait() -> str:
    """Never end."""
    await asyncio.Event().wait()
    return "never"


class Liar:
    """A tool that promises a number and answers with what its caller wants."""

    definition = ToolDefinition(
        name="lie",
        description="Promise a number, and answer with something else.",
        output_schema={"type": "object", "properties": {"number": {"type": "integer"}}, "required": ["number"]},
    )

    async def call(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        """Answer with the arguments."""
        return ToolResult((TextContent("here"),), arguments)


class Opaque:
    """A tool whose answer is no JSON."""

    definition = ToolDefinition(name="opaque", description="Answer with something that cannot be written down.")

    async def call(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        """Answer with an object of Python."""
        return ToolResult((TextContent("here"),), object())


TOOLS = [add, reverse, refuse, crash, show, paint, route, wait, Liar(), Opaque()]


class Client:
    """Sends MCP messages by hand."""

    def __init__(self, http: AsyncClient) -> None:
        self.http = http

    async def send(self, body: Any, headers: dict[str, str] | None = None) -> Response:
        """POST a body: bytes as they are, everything else as JSON."""
        given = {"content-type": "application/json"} | (headers or {})
        if isinstance(body, bytes):
            return await self.http.post("/mcp", content=body, headers=given)
        return await self.http.post("/mcp", json=body, headers=given)

    async def handshake(self, method: str, params: Any = None, version: str | None = "2025-11-25") -> Response:
        """A request of the handshake era."""
        message = {"jsonrpc": "2.0", "id": 1, "method": method} | ({} if params is None else {"params": params})
        return await self.send(message, {"mcp-protocol-version": version} if version else {})

    async def stateless(self, method: str, params: Any = None, **headers: str) -> Response:
        """A request of the stateless era; headers are those that it needs, and those that are given instead."""
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"_meta": META} | (params or {})}
        given = {"mcp-protocol-version": "2026-07-28", "mcp-method": method}
        if params and "name" in params:
            given["mcp-name"] = params["name"]
        return await self.send(message, given | {name.replace("_", "-"): value for name, value in headers.items()})

    async def call(self, name: str, /, **arguments: Any) -> Any:
        """The result of a call in the stateless era."""
        answer = await self.stateless("tools/call", {"name": name, "arguments": arguments})
        return answer.json()["result"]


def sent_by(caller: Caller, app: ASGIApp) -> ASGIApp:
    """An application to which one caller sends everything."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {}).update(caller=caller, challenge=lambda *_: None)
        await app(scope, receive, send)

    return serve


@pytest.fixture
def plugins(make_plugins: Callable[..., Plugins]) -> Plugins:
    return make_plugins(demo=TOOLS)


@pytest.fixture
async def services(settings: Settings, plugins: Plugins) -> AsyncIterator[Services]:
    async with open_services(settings, plugins) as opened:
        await opened.sync()
        yield opened


@pytest.fixture
def offers(services: Services) -> Offers:
    """What the plugins offer beside tools."""
    plugins = services.plugins
    return Offers((), plugins.resources, plugins.prompts, skills=plugins.skills)


@pytest.fixture
def make_server(services: Services, offers: Offers) -> Callable[[Settings], McpServer]:
    """Servers over the same catalogue, with other settings."""

    def make(settings: Settings) -> McpServer:
        return McpServer(
            services.search,
            services.calls,
            services.tools,
            services.registry,
            settings,
            Conversations(Sealer(b"a secret of tests"), services.database, services.events, max_streams=10),
            offers=offers,
        )

    return make


@pytest.fixture
def connect(make_server: Callable[[Settings], McpServer]) -> Callable[[Settings], Client]:
    """Clients of servers with other settings."""

    def make(settings: Settings) -> Client:
        server = make_server(settings)
        router = create_mcp_router(settings, lambda _: server)
        app = sent_by(LOCAL, Litestar([router], request_max_body_size=settings.max_request_size, logging_config=None))
        # In the loop of the services, whose connections belong to it.
        return Client(AsyncClient(transport=ASGITransport(cast("Any", app)), base_url="http://127.0.0.1:8000"))

    return make


@pytest.fixture
def mcp(connect: Callable[[Settings], Client], settings: Settings) -> Client:
    """A client of a server with the default settings."""
    return connect(settings)
