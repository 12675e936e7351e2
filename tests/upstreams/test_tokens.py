"""Upstreams that want a token, and a small authorization server that issues it: ToolBox's own, never a caller's."""

import asyncio
import socket
from base64 import b64decode
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs

import pytest
import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from starlette.requests import Request
from starlette.responses import JSONResponse

from tests.upstreams.test_supervisor import as_it_is, make_context
from toolbox.definitions import ClientCredentials, Upstream
from toolbox.errors import UpstreamFailed
from toolbox.upstreams.supervisor import Supervisor


class Guarded:
    """An MCP server behind tokens, with the authorization server beside it."""

    def __init__(self) -> None:
        server = MCPServer("guarded")

        @server.tool()
        def shown(context: Context[Any, Any]) -> str:
            request = context.request_context.request
            return str(request.headers["authorization"]) if request else ""

        self.app = server.streamable_http_app()
        self.url = ""
        self.advertised = ""
        self.tokens = list[str]()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        answer = await self.answer(request)
        await (answer or self.app)(scope, receive, send)

    async def answer(self, request: Request) -> JSONResponse | None:
        match request.url.path:
            case "/.well-known/oauth-protected-resource/mcp":
                return JSONResponse({"resource": f"{self.url}/mcp", "authorization_servers": [self.advertised]})
            case "/.well-known/oauth-authorization-server":
                known = {
                    "issuer": self.url,
                    "token_endpoint": f"{self.url}/token",
                    "response_types_supported": ["code"],
                }
                return JSONResponse(known | {"authorization_endpoint": f"{self.url}/authorize"})
            case "/token":
                return self.issue(parse_qs((await request.body()).decode()), request.headers.get("authorization", ""))
        if request.headers.get("authorization") != f"Bearer {self.tokens[-1] if self.tokens else None}":
            where = f'Bearer resource_metadata="{self.url}/.well-known/oauth-protected-resource/mcp"'
            return JSONResponse({}, 401, {"www-authenticate": where})
        return None

    def issue(self, form: dict[str, list[str]], shown: str) -> JSONResponse:
        secret = (
            b64decode(shown.removeprefix("Basic ")).decode().partition(":")[2] or form.get("client_secret", [""])[0]
        )
        if form["grant_type"] != ["client_credentials"] or secret != "word":
            return JSONResponse({"error": "invalid_client"}, 401)
        self.tokens.append(f"token{len(self.tokens)}")
        return JSONResponse({"access_token": self.tokens[-1], "token_type": "Bearer", "expires_in": 3600})


@pytest.fixture
async def guarded() -> AsyncIterator[Guarded]:
    app = Guarded()
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        app.url = app.advertised = f"http://127.0.0.1:{listening.getsockname()[1]}"
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        yield app
        server.should_exit = True
        await serving


async def ask(guarded: Guarded, **auth: str) -> str:
    """What the server was shown, on a session of its own."""
    given = ClientCredentials(**{"client_id": "toolbox", "client_secret": "word"} | auth)  # type: ignore[arg-type]
    supervisor = Supervisor(resolve=as_it_is)
    async with supervisor.running():
        upstream = Upstream(name="guarded", transport="http", url=f"{guarded.url}/mcp", auth=given)
        supervisor.configure({"guarded": upstream})
        params: dict[str, Any] = {"name": "shown", "arguments": {}}
        said = await supervisor.get("guarded").request("tools/call", params, make_context())
        if len(guarded.tokens) == 1:  # one that is valid no more is replaced
            guarded.tokens.append("revoked")
            said = await supervisor.get("guarded").request("tools/call", params, make_context())
    return str(said["content"][0]["text"])


async def test_a_token_is_got_by_client_credentials_and_got_anew(guarded: Guarded) -> None:
    assert await ask(guarded) == "Bearer token2"


async def test_a_wrong_secret_fails(guarded: Guarded) -> None:
    with pytest.raises(UpstreamFailed):
        await ask(guarded, client_secret="wrong")
    assert guarded.tokens == []


async def test_the_secret_goes_to_no_server_that_only_the_upstream_names(guarded: Guarded) -> None:
    with pytest.raises(UpstreamFailed):
        await ask(guarded, issuer="https://login.example.org")
    assert guarded.tokens == []
