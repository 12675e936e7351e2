"""What pages of others may do, and what ours allow."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from litestar.testing import AsyncTestClient
from msgspec import structs

from tests.auth.conftest import ADMIN, ask, crash, shout, showing
from tests.conftest import BASE_URL, wait_until_ready
from toolbox.app import create_app
from toolbox.settings import Settings

PAGE = "https://inspector.example.com"


@pytest.fixture
async def client(settings: Settings, make_plugins: Callable[..., Any]) -> AsyncIterator[AsyncTestClient[Any]]:
    """A server that one page of others may call."""
    changed = structs.replace(settings, cors_origins=(PAGE,), debug=True)
    async with AsyncTestClient(create_app(changed, make_plugins(demo=[shout, crash])), base_url=BASE_URL) as opened:
        await wait_until_ready(opened)
        yield opened


async def test_a_page_that_is_allowed_can_speak_mcp(client: AsyncTestClient[Any]) -> None:
    wanted = "authorization,content-type,mcp-protocol-version,mcp-method,mcp-name,mcp-param-region"
    preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": wanted}
    allowed = await client.options("/mcp", headers=preflight | {"Origin": PAGE})
    assert allowed.status_code in {200, 204}
    assert allowed.headers["Access-Control-Allow-Origin"] == PAGE
    said = {name.strip().lower() for name in allowed.headers["Access-Control-Allow-Headers"].split(",")}
    assert set(wanted.split(",")) <= said
    assert "Access-Control-Allow-Credentials" not in allowed.headers
    answer = await ask(client, ADMIN | {"Origin": PAGE}, "tools/list")
    assert answer.status_code == 200
    exposed = answer.headers["Access-Control-Expose-Headers"]
    assert all(name in exposed for name in ("Mcp-Session-Id", "X-Request-Id", "WWW-Authenticate"))


async def test_a_page_can_read_why_it_is_refused(settings: Settings, make_plugins: Callable[..., Any]) -> None:
    """Else it could neither go for a token nor wait: whatever refuses it, before the routes or behind them."""
    changed = structs.replace(
        settings,
        cors_origins=(f"{PAGE}:443/",),
        rate_limit_enabled=True,
        rate_limit_requests_per_minute=20,
        max_request_size=2000,
    )
    async with AsyncTestClient(create_app(changed, make_plugins(demo=[shout])), base_url=BASE_URL) as client:
        await wait_until_ready(client)
        page = {"Origin": PAGE}
        new = {"name": "reader", "scopes": ["tools:read"]}
        reader = showing((await client.post("/admin/keys", json=new, headers=ADMIN)).json()["secret"]) | page
        call = {"name": "demo_shout", "arguments": {"text": "a"}}
        long = {"tool_name": "x" * 3000}
        answers = {
            "missing key": await client.get("/categories", headers=page),
            "missing key over MCP": await ask(client, page, "tools/list"),
            "missing scope": await client.get("/admin/keys", headers=reader),
            "missing scope over MCP": await ask(client, reader, "tools/call", call),
            "too large": await client.post("/mcp/call_tool", json=long, headers=ADMIN | page),
            "too large over MCP": await client.post("/mcp", json=long, headers=ADMIN | page),
            "not there": await client.get("/nothing", headers=ADMIN | page),
        }
        for _ in range(21):
            answers["too often"] = await client.get("/categories", headers=ADMIN | page)
            answers["too often over MCP"] = await ask(client, ADMIN | page, "tools/list")
    assert [answer.status_code for answer in answers.values()] == [401, 401, 403, 403, 413, 413, 404, 429, 429]
    for why, answer in answers.items():
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE, why
        assert answer.headers["Vary"] == "Origin", why
    exposed = answers["too often"].headers["Access-Control-Expose-Headers"]
    assert all(name in exposed for name in ("Retry-After", "RateLimit", "X-RateLimit-Reset"))


async def test_any_other_page_cannot(client: AsyncTestClient[Any]) -> None:
    foreign = {"Origin": "https://evil.example.com"}
    preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    assert "Access-Control-Allow-Origin" not in (await client.options("/mcp", headers=preflight | foreign)).headers
    answer = await ask(client, ADMIN | foreign, "tools/list")
    assert (answer.status_code, "Access-Control-Allow-Origin" in answer.headers) == (403, False)


async def test_our_own_page_takes_nothing_from_elsewhere_and_cannot_be_framed(client: AsyncTestClient[Any]) -> None:
    page = await client.get("/docs")
    assert page.status_code == 200
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    assert page.headers["X-Content-Type-Options"] == "nosniff"
