"""The web application: connects the services to their routes."""

import asyncio
import contextlib
import importlib.util
from collections import ChainMap
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import structlog
from litestar import Litestar, MediaType, Request, Router, get
from litestar.datastructures import State
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, SwaggerRenderPlugin
from litestar.openapi.spec import Contact, License, Tag
from litestar.response import Redirect
from litestar.static_files import create_static_files_router

from toolbox.admin.metrics import Facts, create_metrics_router
from toolbox.admin.openapi import complete_document
from toolbox.admin.schemas import Stats
from toolbox.admin.service import count_tools
from toolbox.auth import metadata
from toolbox.auth.authentication import REPORTER, Authenticator
from toolbox.auth.gate import Gate
from toolbox.auth.guard import provide_caller, require_scope
from toolbox.auth.scopes import PUBLIC
from toolbox.certificates import ends_at
from toolbox.checks import (
    check_pool,
    check_required_embeddings,
    check_schema,
    check_streams,
    check_tools,
    machine_checks,
)
from toolbox.cross_origin import CrossOrigin
from toolbox.database import Database
from toolbox.errors import DatabaseUnavailable, ForeignOrigin, ToolboxError, WrongHost
from toolbox.gauges import create_gauges, sampled
from toolbox.health import Check, Phase, create_health_router
from toolbox.logs import keep_locals_out
from toolbox.mcp import cards
from toolbox.mcp.catalogue import Catalogue
from toolbox.mcp.conversations import Conversations
from toolbox.mcp.endpoints import Endpoints
from toolbox.mcp.methods import McpServer
from toolbox.mcp.offers import Offers
from toolbox.mcp.origins import Origins
from toolbox.mcp.results import create_result_resource
from toolbox.mcp.routes import Shortcut, create_mcp_app, create_mcp_router, create_toolsets_router
from toolbox.mcp.runner import Runner
from toolbox.middleware import RequestLog
from toolbox.plugins import Plugins
from toolbox.problems import to_problem
from toolbox.queue import Queue
from toolbox.rate_limiting.layer import RateLimits
from toolbox.rate_limiting.limiter import Limiter
from toolbox.redis import create_redis, redis_problem
from toolbox.routers import create_routers, provide_parts
from toolbox.seals import load_sealer
from toolbox.services import Services, open_services, serving
from toolbox.settings import Secret, Settings, naming_database, refuse_contradictions, refuse_exposure
from toolbox.signals import told_of_end, told_of_hangup
from toolbox.toolsets import routes as toolset_routes
from toolbox.upstreams.service import UpstreamService
from toolbox.version import VERSION

if TYPE_CHECKING:
    from redis.asyncio import Redis

logger = structlog.get_logger(__name__)

OPEN_SECONDS = 5.0
"""How long a server that is to end still takes requests, unless nothing runs: meanwhile whoever sends them learns that
it is not ready."""

SAY_AFTER_SECONDS = 0.3
"""How long a server that ends waits for its requests before it says so."""

QUEUE_PATIENCE_SECONDS = 300
"""How long a job may wait until health says that the queue is not worked as fast as it grows."""

CERTIFICATE_PATIENCE = timedelta(days=7)
"""How long before its certificate ends health says so."""

INTRODUCTION = """\
ToolBox is the place where AI agents find and call tools. Agents speak MCP at `/mcp`; this page describes the REST
interface to the same things. Errors are problem details (RFC 9457) with a stable `code` and a `request_id`.
"""


def create_app(
    settings: Settings,
    plugins: Plugins | None = None,
    *,
    report_key: Secret | None = None,
    on_started: Callable[[], None] = lambda: None,
) -> RequestLog:
    """The application; it connects to everything when the server starts it.

    Without `plugins`, those that are installed are loaded. `report_key` lets in the report of the start, and
    `on_started` is called when all is there that requests need.
    """
    keep_locals_out()
    client = create_redis(settings)
    limiter = Limiter(settings, client)

    @contextlib.asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with _explained(state, settings), open_services(settings, plugins) as services:
            app.state.services = state.services = services
            await _open_doors(services, report_key)
            sealer = await load_sealer(services.database, settings.secret_key)
            conversations = Conversations(sealer, services.database, services.events, max_streams=settings.max_streams)
            runner = Runner(concurrency=settings.tool_concurrency, timeout_seconds=settings.tool_timeout)
            state.endpoints = _create_endpoints(services, conversations, runner)
            state.facts = Facts(
                services.database, services.queue, services.search, services.embed and services.embed[0]
            )
            state.count_streams = lambda: len(conversations.listeners)
            is_redis_down = (lambda: limiter.is_redis_down) if client else None
            state.sample = create_gauges(services, lambda: whole.running, state.count_streams, is_redis_down)

            async def end() -> None:
                conversations.end_streams()
                asyncio.get_running_loop().call_later(SAY_AFTER_SECONDS, whole.say_what_runs)
                await whole.drain(OPEN_SECONDS)

            with (
                contextlib.closing(runner),
                told_of_end(end, hurry=whole.stop_waiting),
                told_of_hangup(services.reload_later),
            ):
                async with serving(services), sampled(state.sample):
                    on_started()
                    yield
                    await asyncio.sleep(0)  # what the server has just cancelled says so
        if client:
            await client.aclose()
        whole.say_what_came_of_them()

    state = State()

    def endpoints() -> Endpoints:
        opened: Endpoints = state.endpoints  # there once the application has started
        return opened

    checks = {
        "access": lambda: _check_access(state.services.authenticator),
        "certificate": lambda: _check_certificate(settings.ssl_cert_path),
        "database": lambda: _check_database(state.services.database),
        "embeddings": lambda: _check_embeddings(state.services),
        "history": lambda: _check_history(state.services),
        "plugins": lambda: _check_plugins(state.services),
        "queue": lambda: _check_queue(state.services.queue),
        "redis": lambda: _check_redis(client),
        "upstreams": lambda: _check_upstreams(state.services.upstreams),
        "tools": lambda: check_tools(state.services),
        "pool": lambda: check_pool(state.services.database),
        "streams": lambda: check_streams(state.count_streams(), settings.max_streams),
        **machine_checks(settings.data_dir or Path("/")),
    }
    essential = {
        "database": checks["database"],
        "schema": lambda: check_schema(state.services.database),
        "embeddings": lambda: check_required_embeddings(state.services),
    }

    def get_phase() -> Phase:
        if whole.is_ending:
            return "stopping"
        return "serving" if state.services.is_ready else "starting"

    app = Litestar(
        route_handlers=[
            _home,
            _documentation,
            create_mcp_router(settings, lambda caller: cast("Endpoints", state.endpoints).find_whole(caller)),
            create_toolsets_router(
                settings, lambda name, caller: cast("Endpoints", state.endpoints).find(name, caller)
            ),
            *create_routers(settings),
            metadata.router,
            toolset_routes.router,
            cards.router,
            create_metrics_router(lambda: cast("Facts", state.facts), lambda: state.sample()),
            create_health_router(checks, essential, get_phase, VERSION),
            _swagger_assets(),
        ],
        lifespan=[lifespan],
        dependencies=provide_parts() | {"caller": Provide(provide_caller, sync_to_thread=False)},
        before_request=_create_guard(settings),
        exception_handlers={Exception: to_problem},
        openapi_config=_openapi(),
        debug=settings.debug,
        request_max_body_size=settings.max_request_size,
        logging_config=None,
    )
    mcp = create_mcp_app(settings, lambda caller: cast("Endpoints", state.endpoints).find_whole(caller))
    limits = RateLimits(Shortcut(app, mcp), lambda: limiter)
    gate = Gate(limits, settings, lambda: cast("Authenticator", state.services.authenticator))
    readable = CrossOrigin(gate, settings.cors_origins) if settings.cors_origins else gate
    whole = RequestLog(readable, lambda: state.get("why_not_started"), explains_errors=settings.debug)
    return whole


async def _open_doors(services: Services, report_key: Secret | None) -> None:
    """Serve only if that is meant for those who can connect."""
    authenticator, settings = services.authenticator, services.settings
    refuse_contradictions(settings)
    refuse_exposure(settings, has_credentials=await authenticator.has_credentials())
    if report_key:
        authenticator.admit(report_key, REPORTER)
    if "*" in settings.cors_origins:
        logger.warning("CORS_ORIGINS=* lets pages of everybody call; ENVIRONMENT=production refuses it")


def _create_endpoints(services: Services, conversations: Conversations, runner: Runner) -> Endpoints:
    settings, plugins = services.settings, services.plugins
    catalogue = _create_catalogue(services)

    def make_offers(*, max_tokens: int | None = None, is_whole: bool) -> Offers:
        results = create_result_resource(services.calls, max_tokens or settings.result_max_tokens or None)
        if not is_whole:
            return Offers([results], runner=runner)
        own = [*catalogue.resources(), results]
        offered = services.upstreams.offered
        resources = ChainMap[str, Any](plugins.resources, offered.resources)
        prompts = ChainMap[str, Any](plugins.prompts, offered.prompts)
        return Offers(own, resources, prompts, runner, skills=plugins.skills)

    make_server = partial(
        McpServer,
        services.search,
        services.calls,
        services.tools,
        services.registry,
        settings,
        conversations,
        tasks=services.tasks,
    )
    return Endpoints(
        make_server,
        make_offers,
        services.toolsets.repository,
        services.tools,
        services.registry,
        settings,
        services.events,
    )


def _create_catalogue(services: Services) -> Catalogue:
    async def read_stats() -> Stats:
        counts, categories = await count_tools(services.database, services.search.model_name)
        calls = await services.history.statistics()
        return Stats(counts, categories, calls, services.search.model_name, services.started_at, VERSION)

    catalogue = Catalogue(services.database, services.tools, services.registry.can_run, read_stats)
    services.events.subscribe("tools", lambda _: catalogue.forget())
    return catalogue


@contextlib.asynccontextmanager
async def _explained(state: State, settings: Settings) -> AsyncIterator[None]:
    """Keep why the start is refused, if it is."""
    try:
        with naming_database(settings):
            yield
    except ToolboxError as error:
        state.why_not_started = error
        raise


def _create_guard(settings: Settings) -> Callable[[Request[Any, Any, Any]], Awaitable[None]]:
    """Refuse what pages of others send, and callers who may not do what they ask for.

    The endpoints of MCP do both by themselves, in their own words. This is no guard of the framework's, because that
    copies the handler for each request; so no layer may have a `before_request` of its own, which a test sees to.
    """
    origins = Origins(settings)
    is_public = settings.public_url is not None

    async def guard(request: Request[Any, Any, Any]) -> None:  # were it not async, each would take a thread
        path = request.url.path.rstrip("/")
        if path == "/mcp" or (path.startswith("/toolsets/") and path.endswith("/mcp")):
            return
        host, origin = request.headers.get("host"), request.headers.get("origin")
        if not origins.allows_host(host):
            raise WrongHost(f"the host {(host or '')[:100]!r} is not this server; PUBLIC_URL names the one clients use")
        if not origins.allows_origin(origin) and not (is_public and cards.is_discovery(path)):
            page = (origin or "")[:100]
            raise ForeignOrigin(f"pages of {page!r} may not call this server; CORS_ORIGINS names those that may")
        require_scope(request)

    return guard


def _openapi() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="ToolBox",
        version=VERSION,
        description=INTRODUCTION,
        license=License(name="Apache-2.0", identifier="Apache-2.0"),
        contact=Contact(name="The ToolBox authors"),
        tags=[
            Tag("search", "Find a tool by what it should do."),
            Tag("calls", "Call a tool, and read back what came of it."),
            Tag("tools", "Go through the catalogue."),
            Tag("admin", "For operators."),
            Tag("health", "For whatever watches the server."),
        ],
        openapi_router=Router("/schema", route_handlers=[], include_in_schema=False, opt={"scope": PUBLIC}),
        render_plugins=[_Document(path="/openapi.json")],
    )


class _Document(JsonRenderPlugin):
    """The OpenAPI document as we complete it."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The document as JSON."""
        return super().render(request, complete_document(openapi_schema))


_PAGE = SwaggerRenderPlugin(
    js_url="/docs/assets/swagger-ui-bundle.js",
    css_url="/docs/assets/swagger-ui.css",
    standalone_preset_js_url="/docs/assets/swagger-ui-standalone-preset.js",
    favicon='<link rel="icon" href="/docs/assets/favicon-32x32.png">',
)


PAGE_HEADERS: Mapping[str, str] = {
    # The page's own scripts and styles are written into it; nothing comes from elsewhere, and nobody frames it.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@get("/docs", include_in_schema=False, media_type=MediaType.HTML, scope="public", response_headers=PAGE_HEADERS)
async def _documentation(request: Request[Any, Any, Any]) -> bytes:
    # Registered by hand: as the framework's own page at "/docs" it would answer every unknown path in HTML.
    return _PAGE.render(request, complete_document(request.app.openapi_schema.to_schema()))


@get("/", include_in_schema=False, scope="public")
async def _home() -> Redirect:
    return Redirect("/docs")


def _swagger_assets() -> Router:
    """The documentation page's scripts come from an installed package, so that it works without internet."""
    found = importlib.util.find_spec("swagger_ui")
    folders = (found.submodule_search_locations if found else None) or []
    return create_static_files_router(
        "/docs/assets", [Path(folder) / "static" for folder in folders], include_in_schema=False, opt={"scope": PUBLIC}
    )


async def _check_certificate(path: Path | None) -> Check:
    if path is None:
        return Check("off", "SSL_CERT_PATH is not set")
    try:
        left = ends_at(path) - datetime.now(UTC)
    except (OSError, ValueError) as error:
        return Check("degraded", f"SSL_CERT_PATH cannot be read any more: {error}")
    if left < CERTIFICATE_PATIENCE:
        return Check("degraded", "it has ended" if left < timedelta() else f"it ends in {left.days} days")
    return Check("ok", f"it ends in {left.days} days")


async def _check_access(authenticator: Authenticator) -> Check:
    try:
        return Check("ok", await authenticator.describe())
    except DatabaseUnavailable:
        return Check("ok", "callers are known by the keys that were read before")


async def _check_database(database: Database) -> Check:
    try:
        await database.fetch("select 1")
    except DatabaseUnavailable as error:
        return Check("down", error.message)
    return Check("ok")


async def _check_embeddings(services: Services) -> Check:
    if services.embed is None:
        return Check("off", "no plugin offers an embedding model: tools are found by words alone")
    if services.sync_problem:
        return Check("degraded", services.sync_problem)
    wanted, now = services.embed[0].name, services.search.model_name
    if now != wanted:
        return Check("ok", f"{now}, until {wanted} has embedded the whole catalogue")
    return Check("ok", wanted)


async def _check_history(services: Services) -> Check:
    dropped = services.history.dropped
    return Check("degraded", f"{dropped} calls were dropped from the history") if dropped else Check("ok")


async def _check_plugins(services: Services) -> Check:
    failing = [plugin.name for plugin in services.plugins.plugins if plugin.problems]
    return Check("degraded", f"plugins with problems: {', '.join(failing)}") if failing else Check("ok")


async def _check_queue(queue: Queue) -> Check:
    try:
        now = await queue.status()
    except DatabaseUnavailable as error:
        return Check("degraded", error.message)
    detail = f"{now.waiting} waiting, {now.running} running, {now.failed} failed"
    if now.oldest_seconds > QUEUE_PATIENCE_SECONDS:
        return Check("degraded", f"{detail}; the oldest has been waiting for {now.oldest_seconds:.0f} s")
    return Check("ok", detail)


async def _check_upstreams(upstreams: UpstreamService) -> Check:
    try:
        await upstreams.load()
    except DatabaseUnavailable as error:
        return Check("degraded", error.message)
    stored = [each for each in upstreams.stored.values() if each.upstream.enabled]
    if not stored:
        return Check("off", "there are none")
    here = {each.upstream.name: await upstreams.status(each.upstream.name) for each in stored}
    failing = [
        each.upstream.name
        for each in stored
        if each.problem or ((status := here[each.upstream.name]) and status.state == "failed")
    ]
    running = sum(1 for status in here.values() if status and status.state == "running")
    detail = f"{len(stored)} configured, {running} running here"
    return Check("degraded", f"{detail}; failing: {', '.join(failing[:20])}") if failing else Check("ok", detail)


async def _check_redis(client: "Redis | None") -> Check:
    if client is None:
        return Check("off", "REDIS_URL is not set")
    problem = await redis_problem(client)
    return Check("degraded", problem) if problem else Check("ok")
