"""REST for operators: the catalogue in numbers, and the plugins and the cache of this replica."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, TypeAlias

from litestar import Router, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.params import QueryParameter

from toolbox.admin.schemas import Accepted, Stats
from toolbox.admin.service import count_tools
from toolbox.auth.callers import Caller
from toolbox.calls.history import History
from toolbox.database import Database
from toolbox.embeddings.cache import CachedEmbedder, CacheStatistics
from toolbox.errors import NotFound
from toolbox.plugins import Plugin, Plugins
from toolbox.problems import problem_responses
from toolbox.queue import Queue
from toolbox.reloads import ReloadReport
from toolbox.search.service import SearchService
from toolbox.tools.admin_routes import ToolKey
from toolbox.tools.management import ToolManager
from toolbox.tools.reindex import REINDEX, mark_for_reindex
from toolbox.version import VERSION

Reload: TypeAlias = Callable[..., Awaitable[ReloadReport]]


@get("/stats", summary="The catalogue in numbers", responses=problem_responses(503), scope="tools:read")
async def get_stats(
    database: NamedDependency[Database],
    search: NamedDependency[SearchService],
    history: NamedDependency[History],
    started_at: NamedDependency[datetime],
    caller: NamedDependency[Caller],
) -> Stats:
    """How many tools there are, where they come from, and how calls went."""
    caller.require_whole()
    counts, categories = await count_tools(database, search.model_name)
    calls = await history.statistics()
    return Stats(counts, categories, calls, search.model_name, started_at, VERSION)


@get("/admin/plugins", summary="List plugins", scope="metrics:read")
async def list_plugins(plugins: NamedDependency[Plugins]) -> list[Plugin]:
    """The plugins that this replica has installed, what each offers, and what is wrong with it."""
    return plugins.plugins


@post(
    "/admin/reload",
    status_code=HTTPStatus.OK,
    summary="Reload plugins",
    responses=problem_responses(400, 503),
    scope="tools:write",
)
async def reload_plugins(
    reload: NamedDependency[Reload], dry_run: Annotated[bool, QueryParameter(description="Only say.")] = False
) -> ReloadReport:
    """Load plugins that were installed, upgraded or removed meanwhile, in all processes, without a restart.

    All or nothing for each: a plugin that cannot be loaded stays as it was. Calls in flight finish on the old code.
    """
    return await reload(dry_run=dry_run)


@get(
    "/admin/cache", summary="The cache of embeddings in numbers", responses=problem_responses(404), scope="metrics:read"
)
async def get_cache(cache: NamedDependency[CachedEmbedder | None]) -> CacheStatistics:
    """Where the embeddings of texts came from since this process started."""
    if cache is None:
        raise NotFound("nothing is cached: ENABLE_CACHE is false, or there is no embedding model")
    return cache.statistics


@post(
    "/admin/reindex",
    status_code=HTTPStatus.ACCEPTED,
    summary="Index all tools anew",
    responses=problem_responses(503),
    scope="tools:write",
)
async def reindex_all(database: NamedDependency[Database], queue: NamedDependency[Queue]) -> Accepted:
    """Make what is searched of every tool anew, embeddings too, in the background; the old index serves meanwhile."""
    return await _reindex(database, queue)


@post(
    "/admin/tools/{key:str}/reindex",
    status_code=HTTPStatus.ACCEPTED,
    summary="Index a tool anew",
    responses=problem_responses(400, 404, 503),
    scope="tools:write",
)
async def reindex_tool(
    key: ToolKey,
    database: NamedDependency[Database],
    queue: NamedDependency[Queue],
    manager: NamedDependency[ToolManager],
) -> Accepted:
    """The same for one tool."""
    return await _reindex(database, queue, (await manager.get(key)).tool.name)


async def _reindex(database: Database, queue: Queue, name: str | None = None) -> Accepted:
    tools = await mark_for_reindex(database, name)
    await queue.enqueue(REINDEX, key=REINDEX)
    return Accepted(tools)


def _provide_reload(state: State) -> Reload:
    reload: Reload = state.services.reload
    return reload


def _provide_cache(state: State) -> CachedEmbedder | None:
    cache: CachedEmbedder | None = state.services.cache
    return cache


router = Router(
    "/",
    route_handlers=[get_cache, get_stats, list_plugins, reindex_all, reindex_tool, reload_plugins],
    dependencies={
        "cache": Provide(_provide_cache, sync_to_thread=False),
        "reload": Provide(_provide_reload, sync_to_thread=False),
    },
    tags=["admin"],
)
