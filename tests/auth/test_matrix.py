"""Every route and every method of MCP names the scope that it needs."""

from typing import Any, cast

import httpx
from litestar import Litestar
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler

from tests.conftest import BASE_URL
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


async def test_what_a_path_answers_is_said_to_anybody() -> None:
    transport = httpx.ASGITransport(cast("Any", create_app(Settings())))
    async with httpx.AsyncClient(transport=transport, base_url=BASE_URL) as client:
        answer = await client.options("/stats")
    assert (answer.status_code, answer.headers["allow"]) == (204, "GET, OPTIONS")
