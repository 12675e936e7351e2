"""What pages of others may do, and what ours allow."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from litestar.testing import AsyncTestClient
from msgspec import structs

from tests.auth.conftest import ADMIN, ask, crash, shout
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
    refused = await ask(client, {"Origin": PAGE}, "tools/list")
    assert (refused.status_code, refused.headers["Access-Control-Allow-Origin"]) == (401, PAGE)


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
