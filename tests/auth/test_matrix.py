"""Every route and every method of MCP names the scope that it needs."""

import re
from typing import Any

from litestar import Litestar
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.testing import AsyncTestClient

from tests.auth.conftest import Issue, ask
from toolbox.app import create_app
from toolbox.auth.scopes import PUBLIC, SCOPES
from toolbox.mcp import handshake, stateless
from toolbox.mcp.permissions import METHOD_SCOPES
from toolbox.settings import Settings


def application(layer: Any) -> Litestar:
    """The application itself, below the layers around it."""
    while not isinstance(layer, Litestar):
        layer = layer._app
    return layer


def handlers(app: Litestar) -> dict[str, BaseRouteHandler]:
    """Every handler, by its method and path."""
    found: dict[str, BaseRouteHandler] = {}
    for route in app.routes:
        for handler in getattr(route, "route_handlers", None) or [route.route_handler]:  # type: ignore[union-attr]
            methods = sorted(getattr(handler, "http_methods", {"ANY"}))
            found |= {f"{method} {route.path}": handler for method in methods}
    return found


def test_every_route_names_its_scope() -> None:
    found = handlers(application(create_app(Settings())))
    named = {route: handler.opt.get("scope") for route, handler in found.items()}
    unnamed = [
        route
        for route, scope in named.items()
        if scope not in {*SCOPES, PUBLIC} and not route.startswith("OPTIONS ")  # what a path answers, and no more
    ]
    assert unnamed == []
    assert named["POST /mcp/call_tool"] == "tools:call"


def test_every_route_is_guarded() -> None:
    """Only MCP's own route looks after itself; every other handler is asked for by way of the application's guard."""
    app = application(create_app(Settings()))
    unguarded = [
        route
        for route, handler in handlers(app).items()
        if not isinstance(handler, HTTPRouteHandler) or handler.resolve_before_request() is not app.before_request
    ]
    assert unguarded == ["ANY /mcp"]


def test_every_method_of_mcp_names_its_scope() -> None:
    methods = {"initialize", *handshake._METHODS, *stateless._METHODS}
    assert methods == set(METHOD_SCOPES)
    assert set(METHOD_SCOPES.values()) <= set(SCOPES)


async def test_every_route_asks_for_its_scope(client: AsyncTestClient[Any], issue: Issue) -> None:
    """Each is called without a key, with a key that has all scopes but its own, and with one that has it alone."""
    without, only = await issue_all(issue)
    for route, handler in handlers(application(create_app(Settings()))).items():
        method, _, path = route.partition(" ")
        scope = handler.opt.get("scope")
        if method in {"OPTIONS", "ANY"} or path.endswith("/mcp"):
            continue
        url = re.sub(r"\{[^}]*\}", "x", re.sub(r"\{[^}]*:int\}", "1", path))
        body = {} if method in {"POST", "PUT", "PATCH"} else None

        async def send(key: dict[str, str], method: str = method, url: str = url, body: Any = body) -> int:
            return (await client.request(method, url, json=body, headers=key)).status_code

        if scope == PUBLIC:
            assert await send({}) not in {401, 403}, route
            continue
        assert await send({}) == 401, route
        assert await send(without[scope]) == 403, route
        assert await send(only[scope]) not in {401, 403}, route


async def test_every_method_of_mcp_asks_for_its_scope(client: AsyncTestClient[Any], issue: Issue) -> None:
    without, only = await issue_all(issue)
    for method, scope in METHOD_SCOPES.items():
        assert (await ask(client, {}, method)).status_code == 401, method
        refused = await ask(client, without[scope], method)
        assert (refused.status_code, refused.json()["id"]) == (403, 7), method
        assert (await ask(client, only[scope], method)).status_code not in {401, 403}, method
    for key, status in (({}, 401), (without["tools:read"], 403)):
        for path in ("/mcp", "/toolsets/any/mcp"):
            assert (await client.get(path, headers=key | EVENTS)).status_code in {status, 404}, path
        note = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        assert (await client.post("/mcp", json=note, headers=key)).status_code == status
    assert (await client.get("/toolsets/any/mcp", headers=EVENTS)).status_code == 401


EVENTS = {"accept": "text/event-stream"}


async def issue_all(issue: Issue) -> tuple[dict[str, dict[str, str]], dict[str, dict[str, str]]]:
    """For each scope a key that lacks nothing but it, and a key that has nothing but it."""
    without, only = {}, {}
    for number, scope in enumerate(SCOPES):
        without[scope] = await issue(f"without-{number}", *(set(SCOPES) - {scope}))
        only[scope] = await issue(f"only-{number}", scope)
    return without, only
