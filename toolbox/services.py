"""Wiring: builds every service once, in order, and takes them down again. The server and the CLI both start here."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import uuid4

import structlog
from msgspec import Struct

from toolbox.calls.executor import Executor
from toolbox.calls.history import History
from toolbox.calls.service import CallService
from toolbox.database import Database, migrate, open_database, pooler_warning
from toolbox.embeddings.base import Embedder
from toolbox.embeddings.cache import CachedEmbedder
from toolbox.errors import EmbeddingError, SettingsError, ToolboxError
from toolbox.index.embeddings import Model, register_model
from toolbox.plugins import Plugins, load_plugins
from toolbox.search.service import SearchService
from toolbox.settings import Settings
from toolbox.tools.registry import Registry
from toolbox.tools.replicas import BEAT_SECONDS, Replica
from toolbox.tools.repository import ToolRepository
from toolbox.tools.sync import Report, SyncReport, sync_plugins

logger = structlog.get_logger(__name__)


class Services(Struct):
    """Everything that a request may need."""

    settings: Settings
    database: Database
    plugins: Plugins
    registry: Registry
    tools: ToolRepository
    search: SearchService
    calls: CallService
    history: History
    embed: tuple[Model, Embedder] | None
    warnings: list[str]
    started_at: datetime
    sync_report: SyncReport | None = None
    sync_problem: str | None = None

    async def sync(self, replica: Replica | None = None, report: Report | None = None) -> None:
        """Bring the catalogue up to date, and keep what came of it.

        An embedder that fails is a problem that is kept: the catalogue is complete and searched by words.
        """
        try:
            done = await sync_plugins(
                self.database,
                list(self.registry),
                replica_id=replica.id if replica else None,
                embed=self.embed,
                report=report,
            )
        except EmbeddingError as error:
            self.sync_problem = error.message
            done = SyncReport()
        else:
            self.sync_problem = None
        self.sync_report = self.sync_report or done

    async def warm_up(self) -> None:
        """Let the embedding model load before the first query waits for it; cached ones cost nothing."""
        if self.embed:
            await self.embed[1].embed(["warm up"], "query")

    @property
    def is_ready(self) -> bool:
        """Whether the catalogue has been brought up to date since the start."""
        return self.sync_report is not None


@contextlib.asynccontextmanager
async def open_services(settings: Settings, plugins: Plugins | None = None) -> AsyncIterator[Services]:
    """Connect everything to the database that DATABASE_URL names; the catalogue is not synced yet.

    Without `plugins`, those that are installed are loaded.

    Raises:
        SettingsError: A setting is missing or contradicts another.
        PluginError: A plugin has a problem, and PLUGINS_STRICT is set.
        DatabaseUnavailable: PostgreSQL does not answer, or refuses us.
    """
    if settings.database_url is None:
        raise SettingsError("DATABASE_URL is not set")
    url = settings.database_url.reveal()
    await migrate(url)
    warnings = [warning for warning in [await pooler_warning(url)] if warning]
    plugins = plugins or load_plugins(settings)
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(plugins.lifespan(settings))
        database = await stack.enter_async_context(
            open_database(
                url,
                pool_size=settings.db_pool_size,
                max_overflow=settings.db_max_overflow,
                timeout_seconds=settings.db_pool_timeout,
            )
        )
        embed = await _open_embedder(settings, plugins, database)
        if embed is None:
            warnings.append("no plugin offers an embedding model: tools are found by words alone")
        registry, repository, history = Registry(plugins.tools.values()), ToolRepository(database), History(database)
        executor = Executor(concurrency=settings.tool_concurrency, timeout_seconds=settings.tool_timeout)
        stack.callback(executor.close)
        await stack.enter_async_context(history.running())
        yield Services(
            settings=settings,
            database=database,
            plugins=plugins,
            registry=registry,
            tools=repository,
            search=SearchService(database, embed),
            calls=CallService(registry, repository, executor, history),
            history=history,
            embed=embed,
            warnings=warnings,
            started_at=datetime.now(UTC),
        )


@contextlib.asynccontextmanager
async def serving(services: Services) -> AsyncIterator[None]:
    """Be a replica while the block runs: sync at once, stay announced, and notice when another replica is gone."""
    replica = Replica(services.database, uuid4())
    keeper = asyncio.create_task(_keep_up(services, replica))
    try:
        yield
    finally:
        keeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeper
        with contextlib.suppress(ToolboxError):  # a database that is gone needs no goodbye
            await replica.leave()


async def _keep_up(services: Services, replica: Replica) -> None:
    while True:
        try:
            await replica.announce([tool.name for tool in services.registry])
            await services.sync(replica)
            await services.warm_up()
        except ToolboxError as error:
            services.sync_problem = error.message
            logger.warning("the catalogue could not be brought up to date; trying again", reason=error.message)
        await asyncio.sleep(BEAT_SECONDS)


async def _open_embedder(settings: Settings, plugins: Plugins, database: Database) -> tuple[Model, Embedder] | None:
    embedder = choose_embedder(settings, plugins.embedders)
    if embedder is None:
        return None
    model = await register_model(database, embedder)
    return model, CachedEmbedder(embedder, ttl_seconds=settings.cache_ttl) if settings.enable_cache else embedder


def choose_embedder(settings: Settings, offered: dict[str, Embedder]) -> Embedder | None:
    """The model that the settings name, or the only one that there is.

    Raises:
        SettingsError: The named model is not offered, several are and none is named, or the dimension is another one.
    """
    names = ", ".join(sorted(offered)) or "none"
    if settings.embedding_model is not None and settings.embedding_model not in offered:
        raise SettingsError(f"EMBEDDING_MODEL={settings.embedding_model!r} is offered by no plugin; offered: {names}")
    if settings.embedding_model is None and len(offered) > 1:
        raise SettingsError(f"plugins offer several embedding models ({names}); choose one with EMBEDDING_MODEL")
    if not offered:
        return None
    embedder = offered[settings.embedding_model or next(iter(offered))]
    wanted = settings.embedding_dimension
    if wanted is not None and wanted != embedder.dimensions:
        raise SettingsError(
            f"EMBEDDING_DIMENSION={wanted}, but the model {embedder.name!r} gives {embedder.dimensions} dimensions: "
            "unset the one or choose another EMBEDDING_MODEL"
        )
    return embedder
