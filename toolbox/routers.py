"""The REST routes of callers and operators, and the parts of the services that they ask for by name.

The server has them, and so has the command line, which asks them within its own process where it is given no server.
"""

from typing import Any

from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.di import Provide

from toolbox.admin import audit_routes, export_routes, log_routes
from toolbox.admin import routes as admin_routes
from toolbox.auth import routes as key_routes
from toolbox.auth.callers import Caller
from toolbox.calls import routes as call_routes
from toolbox.problems import to_problem
from toolbox.search import routes as search_routes
from toolbox.secrets import routes as secret_routes
from toolbox.services import Services
from toolbox.settings import Settings
from toolbox.tools import approval_routes, version_routes
from toolbox.tools import routes as tool_routes
from toolbox.tools.admin_routes import create_admin_router
from toolbox.toolsets import admin_routes as toolset_admin_routes
from toolbox.upstreams import routes as upstream_routes

_PARTS = (
    "approvals",
    "calls",
    "database",
    "history",
    "keys",
    "kinds",
    "manager",
    "plugins",
    "queue",
    "registry",
    "search",
    "secrets",
    "settings",
    "started_at",
    "tools",
    "toolsets",
    "upstreams",
    "versions",
)


def create_routers(settings: Settings) -> list[Router]:
    """The routes of each domain."""
    return [
        admin_routes.router,
        audit_routes.router,
        export_routes.router,
        call_routes.router,
        key_routes.router,
        log_routes.router,
        search_routes.router,
        secret_routes.router,
        tool_routes.router,
        create_admin_router(settings),
        approval_routes.router,
        version_routes.router,
        toolset_admin_routes.router,
        upstream_routes.router,
    ]


def provide_parts() -> dict[str, Provide]:
    """What handlers may ask for by name."""

    def part(name: str) -> Provide:
        def provide(state: State) -> Any:
            return getattr(state.services, name)

        return Provide(provide, sync_to_thread=False)

    return {name: part(name) for name in _PARTS}


def create_local_app(services: Services, caller: Caller) -> Litestar:
    """The routes for one caller who has the services in this process; nobody else can ask them."""
    return Litestar(
        route_handlers=create_routers(services.settings),
        dependencies=provide_parts() | {"caller": Provide(lambda: caller, sync_to_thread=False)},
        exception_handlers={Exception: to_problem},
        state=State({"services": services}),
        openapi_config=None,
        logging_config=None,
    )
