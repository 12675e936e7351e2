"""One application for the tests of a module, where keys exist."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import msgspec
import pytest
from litestar.testing import AsyncTestClient

from tests.conftest import BASE_URL
from toolbox import ToolContext, tool
from toolbox.app import create_app
from toolbox.settings import Secret, Settings

ADMIN_KEY = "the operator's own key"


@tool(tags=["shared"])
async def shout(text: str) -> str:
    """Say a text loudly."""
    return text.upper()


@tool(tags=["hidden"])
async def whisper(text: str) -> str:
    """Say a text quietly."""
    return text.lower()


@tool(task="required")
async def ponder(text: str) -> str:
    """Think about a text for long."""
    return text.upper()


@tool
async def crash() -> None:
    """Fail with a secret inside."""
    raise RuntimeError("crash-swordfish")


@tool
async def count(context: ToolContext) -> str:
    """Count up to one, and say so on the way."""
    await context.report_progress(1, 1)
    return "counted"


def showing(secret: str) -> dict[str, str]:
    """The header that shows a key."""
    return {"Authorization": f"Bearer {secret}"}


ADMIN = showing(ADMIN_KEY)

Issue = Callable[..., Awaitable[dict[str, str]]]


@pytest.fixture
def settings(database_url: str) -> Settings:
    return Settings(database_url=Secret(database_url), api_key=Secret(ADMIN_KEY), rate_limit_enabled=False)


@pytest.fixture
async def client(settings: Settings, make_plugins: Callable[..., Any]) -> AsyncIterator[AsyncTestClient[Any]]:
    app = create_app(settings, make_plugins(demo=[shout, whisper, ponder, crash, count]))
    async with AsyncTestClient(app, base_url=BASE_URL) as opened:
        while (await opened.get("/health/ready")).status_code != 200:
            pass
        yield opened


@pytest.fixture
def issue(client: AsyncTestClient[Any]) -> Issue:
    """Issues keys over REST, and gives back the header that shows each."""

    async def make(name: str, *scopes: str, **more: Any) -> dict[str, str]:
        new = {"name": name, "scopes": scopes or ("tools:read", "tools:call")} | more
        answer = await client.post("/admin/keys", json=new, headers=ADMIN)
        assert answer.status_code == 201, answer.text
        return showing(answer.json()["secret"])

    return make


def mcp_request(method: str, params: Any = None) -> tuple[bytes, dict[str, str]]:
    """A request of the stateless era: its body, and its headers."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {"extensions": {"io.modelcontextprotocol/tasks": {}}},
    }
    message = {"jsonrpc": "2.0", "id": 7, "method": method, "params": {"_meta": meta} | (params or {})}
    headers = {"content-type": "application/json", "mcp-protocol-version": "2026-07-28", "mcp-method": method}
    if params and (named := params.get("name") or params.get("uri") or params.get("taskId")):
        headers["mcp-name"] = named
    return msgspec.json.encode(message), headers


async def ask(client: httpx.AsyncClient, key: dict[str, str], method: str, params: Any = None) -> httpx.Response:
    """Send a request of the stateless era."""
    body, headers = mcp_request(method, params)
    return await client.post("/mcp", content=body, headers=headers | key)
