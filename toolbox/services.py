"""Wiring: builds every service once, in order, and takes them down again. The server and the CLI both start here."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, cast, get_args
from uuid import uuid4

import structlog
from msgspec import Struct, field

from toolbox.auth.authentication import Authenticator
from toolbox.auth.service import KeyService
from toolbox.calls.executor import Executor
from toolbox.calls.history import History
from toolbox.calls.results_store import ResultStore
from toolbox.calls.service import CallService
from toolbox.database import Database, migrate, open_database, pooler_warning
from toolbox.embedded.owner import default_data_dir
from toolbox.embeddings.base import Embedder
from toolbox.embeddings.cache import CachedEmbedder
from toolbox.errors import EmbeddedPostgresError, EmbeddingError, SettingsError, ToolboxError
from toolbox.events import Event, Events, notify
from toolbox.index.embeddings import Model, count_pending
from toolbox.jobs import embed_job, register_jobs
from toolbox.learning.recorder import UseRecorder
from toolbox.logs import Level, set_level
from toolbox.metrics import SYNC_SECONDS, SYNCED_TOOLS, SYNCS
from toolbox.opening.authenticator import open_authenticator
from toolbox.opening.embedding import WARM_UP, open_embedding
from toolbox.opening.kinds import open_kinds
from toolbox.plugins import Plugins, load_plugins
from toolbox.queue import Queue
from toolbox.rate_limiting.counts import Counts
from toolbox.redis import create_redis
from toolbox.reloads import Reloader, ReloadReport
from toolbox.search.service import SearchService
from toolbox.secrets.store import SecretStore
from toolbox.secrets.vault import Vault
from toolbox.settings import Settings
from toolbox.tasks.repository import TaskRepository
from toolbox.tasks.service import TaskService
from toolbox.tasks.worker import TaskWorker
from toolbox.tools.approvals import Approvals
from toolbox.tools.exclusions import Exclusions
from toolbox.tools.findings import LINT
from toolbox.tools.kinds import Kinds
from toolbox.tools.loading import ToolLoader
from toolbox.tools.managed import ManagedTools
from toolbox.tools.management import ToolManager
from toolbox.tools.registry import Registry
from toolbox.tools.reindex import REINDEX, count_outdated
from toolbox.tools.replicas import BEAT_SECONDS, Replica
from toolbox.tools.repository import ToolRepository
from toolbox.tools.sync import Report, SyncReport, sync_plugins
from toolbox.tools.versions import Versions
from toolbox.toolsets.access import Access
from toolbox.toolsets.directory import ToolsetDirectory
from toolbox.toolsets.limits import Limits
from toolbox.toolsets.repository import ToolsetRepository
from toolbox.toolsets.service import ToolsetService
from toolbox.upstreams.config import Resolver
from toolbox.upstreams.hosts import FoundServers, read_mcp_servers
from toolbox.upstreams.installations import Installations
from toolbox.upstreams.service import UpstreamService

if TYPE_CHECKING:  # the HTTP client takes a quarter of a second to load, and only an endpoint needs it
    from toolbox.embeddings.endpoint import EndpointEmbedder

logger = structlog.get_logger(__name__)


MOST_EMBEDDED_AT_ONCE = 500
"""Texts that a server embeds before it is ready, in some seconds; more are found by their words until the queue has."""


class Services(Struct):
    """Everything that a request may need."""

    settings: Settings
    database: Database
    plugins: Plugins
    registry: Registry
    tools: ToolRepository
    kinds: Kinds
    secrets: SecretStore
    manager: ToolManager
    versions: Versions
    approvals: Approvals
    toolsets: ToolsetService
    upstreams: UpstreamService
    search: SearchService
    calls: CallService
    tasks: TaskService
    task_worker: TaskWorker
    history: History
    events: Events
    queue: Queue
    keys: KeyService
    authenticator: Authenticator
    embed: tuple[Model, Embedder] | None
    warnings: list[str]
    started_at: datetime
    cache: CachedEmbedder | None = None
    endpoint: "EndpointEmbedder | None" = None
    reloader: Reloader | None = None
    replica: Replica | None = None
    """This process among the others, while it serves."""
    is_lint_due: bool = True
    """Whether the catalogue has changed since it was last looked at for what is suspicious."""
    is_fill_due: bool = True
    """The same for texts to embed or to index anew: among 100,000 tools these are not found in an instant."""
    process_id: str = field(default_factory=lambda: uuid4().hex)
    """Tells what this process has said from what others say."""
    reloading: set[asyncio.Task[None]] = field(default_factory=set)
    configuring: asyncio.Lock = field(default_factory=asyncio.Lock)
    """A reload may come while the start still configures upstreams."""
    sync_report: SyncReport | None = None
    mcp_servers: FoundServers = FoundServers([], {})
    failure: str | None = None
    """Why the last sync was not complete."""

    @property
    def sync_problem(self) -> str | None:
        """Why the catalogue is not complete, or would not be after the next change: new tools could not be embedded."""
        return self.failure or (self.endpoint.problem if self.endpoint else None)

    async def sync(self, replica: Replica | None = None, report: Report | None = None) -> None:
        """Bring the catalogue up to date, and keep what came of it.

        An embedder that fails is a problem that is kept: the catalogue is complete and searched by words.
        """
        start, result = time.perf_counter(), "failed"
        try:
            await self._sync(replica, report)
            result = "failed" if self.failure else "ok"
        finally:
            SYNCS[(result,)].inc()
            SYNC_SECONDS[(result,)].observe(time.perf_counter() - start)

    async def _sync(self, replica: Replica | None, report: Report | None) -> None:
        is_due, self.is_fill_due = self.is_fill_due or replica is None, False
        is_left_to_queue = replica is not None and not self.settings.require_embedding_for_readiness
        try:
            done = await sync_plugins(
                self.database,
                list(self.registry),
                replica_id=replica.id if replica else None,
                embed=self.search.embed if is_due else None,
                most=MOST_EMBEDDED_AT_ONCE if is_left_to_queue else None,
                report=report,
            )
        except ToolboxError as error:
            self.is_fill_due = True
            if not isinstance(error, EmbeddingError):
                raise
            self.failure = error.message
            done = SyncReport()
            await _embed_later(self.queue, self.embed)  # whoever has a working model first
        else:
            self.failure = None
            _count_changes(done)
            if done.waiting:
                self.is_fill_due = True  # until somebody's model works
                await _embed_later(self.queue, self.search.embed)
        if is_due and await count_outdated(self.database):
            await self.queue.enqueue(REINDEX, key=REINDEX)
        if self.search.embed is not self.embed:
            await self._switch_models()
        self.sync_report = self.sync_report or done

    async def _switch_models(self) -> None:
        """Search with the wanted model as soon as it has seen the whole catalogue; until then, have it work at that."""
        if self.embed and await count_pending(self.database, self.embed[0]):
            await _embed_later(self.queue, self.embed)
            return
        self.search.embed = self.embed
        logger.info("search has switched to another model", model=self.search.model_name)

    async def reload(self, *, dry_run: bool = False, tell: bool = True) -> ReloadReport:
        """Bring plugins, and then the catalogue, to what is installed; with `tell`, in all other processes too."""
        assert self.reloader is not None  # noqa: S101 - set where the services are opened
        report = await self.reloader.reload(dry_run=dry_run)
        if dry_run:
            return report
        changed = [change.plugin for change in report.changes if change.outcome != "failed"]
        if changed:
            self.registry.replace(self.plugins.tools.values())
            self.task_worker.register_jobs(self.queue)
            if self.replica:
                await self.replica.announce(list(self.registry))
            self.is_fill_due = True  # what it brings is found by meaning at once
            await self.sync(self.replica)
            await self._configure_upstreams_of(changed)
            for kind in ("prompts", "resources", "tools"):
                await notify(self.database, "lists", kind)
        if tell:
            await notify(self.database, "reload", self.process_id)
        return report

    def hear_of_reload(self, event: Event) -> None:
        """Another process was told to reload: do it here as well. A lost connection is no reason to."""
        if not event.is_resync and event.payload != self.process_id:
            self.reload_later(tell=False)

    def reload_later(self, *, tell: bool = True) -> None:
        """Reload in the background."""
        task = asyncio.get_running_loop().create_task(self._reload_quietly(tell=tell))
        self.reloading.add(task)
        task.add_done_callback(self.reloading.discard)

    async def _reload_quietly(self, *, tell: bool) -> None:
        try:
            await self.reload(tell=tell)
        except ToolboxError as error:
            logger.warning("plugins could not be reloaded", reason=error.message)

    async def lint_later(self) -> None:
        """Have new and changed definitions looked at in the background."""
        if self.is_lint_due:
            self.is_lint_due = False
            await self.queue.enqueue(LINT, key=LINT)

    def hear_of_change(self, _event: Event) -> None:
        """The catalogue has changed: there may be something to look at, and to embed."""
        self.is_lint_due = self.is_fill_due = True

    async def warm_up(self) -> None:
        """Let a model load before the first query waits for it, and an endpoint that failed be tried without one.

        The cache makes it free of charge while all is well.
        """
        if self.endpoint and self.endpoint.problem:
            await self.endpoint.embed([WARM_UP], "query")
        elif self.embed:
            await self.embed[1].embed([WARM_UP], "query")

    async def configure_upstreams(self) -> None:
        """Offer what MCP_SERVERS and plugins name; their servers are asked in the background."""
        found = self.mcp_servers
        for name, reason in found.rejected.items():
            logger.error("MCP_SERVERS names a server that cannot be used", server=name, reason=reason)
        await self.upstreams.put_all_of("settings", found.upstreams)
        await self._configure_upstreams_of(plugin.name for plugin in self.plugins.plugins)
        await self.upstreams.load()
        if self.settings.secret_key is None and (clear := self.upstreams.clear_names):
            logger.warning("configurations hold secrets in clear, for want of SECRET_KEY", upstreams=clear)

    async def _configure_upstreams_of(self, plugins: Iterable[str]) -> None:
        """Offer what these plugins name, and no more what those of them named that are gone."""
        async with self.configuring:
            for name in plugins:
                offered = [plugin.upstreams for plugin in self.plugins.plugins if plugin.name == name]
                upstreams = [self.plugins.upstreams[upstream] for names in offered for upstream in names]
                await self.upstreams.put_all_of(f"plugin:{name}", upstreams)

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
    mcp_servers = read_mcp_servers(settings.mcp_servers)
    await migrate(url)
    warnings = [warning for warning in [await pooler_warning(url)] if warning]
    events = Events(url, can_listen=not warnings)
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
        embedding = await stack.enter_async_context(open_embedding(settings, database, plugins))
        embed = embedding.wanted
        if embed is None:
            warnings.append("no plugin offers an embedding model: tools are found by words alone")
        client = create_redis(settings)
        if client:
            stack.push_async_callback(client.aclose)
        vault = Vault(settings.secret_keys) if settings.secret_keys else None
        secrets = SecretStore(database, vault)
        events.subscribe("secrets", lambda _event: secrets.forget())
        queue = Queue(database, events)

        embed_later = partial(_embed_later, queue, embed)
        upstreams = UpstreamService(
            database,
            events,
            queue,
            commands=settings.upstream_commands,
            resolver=Resolver(os.environ, secrets.get),
            installations=_find_installations(settings),
            vault=vault,
            embed_later=embed_later,
        )
        await stack.enter_async_context(upstreams.running())
        upstreams.register_jobs()
        kinds = await stack.enter_async_context(open_kinds(settings, database, secrets, upstreams))
        registry, repository = Registry(plugins.tools.values(), kinds.names), ToolRepository(database)
        events.subscribe("tools", lambda _event: registry.forget_stored())
        exclusions = Exclusions(registry, repository, events)
        await exclusions.read()
        stack.callback(exclusions.close)
        history = History(database, settings.redacted_fields)
        register_jobs(
            queue,
            database,
            embed=embed,
            others=plugins.embedders.values(),
            call_retention_days=settings.call_retention_days,
            call_retention_rows=settings.call_retention_rows,
        )
        executor = Executor(
            concurrency=settings.tool_concurrency,
            timeout_seconds=settings.tool_timeout,
            announce=partial(notify, database, "lists"),
        )
        stack.callback(executor.close)
        await stack.enter_async_context(history.running())
        recorder = UseRecorder(database, embed) if settings.learn_from_use else None
        if recorder:
            await stack.enter_async_context(recorder.running())
        keys, authenticator = await stack.enter_async_context(open_authenticator(settings, database, events))
        directory = ToolsetDirectory(ToolsetRepository(database), events)
        calls = CallService(
            ToolLoader(registry, repository, kinds),
            executor,
            history,
            ResultStore(database),
            recorder,
            access=Access(database, events),
            toolsets=directory,
            limits=Limits(directory, Counts(client)),
        )
        task_worker = TaskWorker(TaskRepository(database), calls, registry)
        task_worker.register_jobs(queue)
        managed = ManagedTools(database, kinds, upstreams.follow_tools)
        services = Services(
            settings=settings,
            database=database,
            plugins=plugins,
            registry=registry,
            tools=repository,
            kinds=kinds,
            secrets=secrets,
            manager=ToolManager(managed),
            versions=Versions(managed),
            approvals=Approvals(managed),
            toolsets=ToolsetService(database),
            upstreams=upstreams,
            search=SearchService(database, embedding.complete, recorder=recorder),
            calls=calls,
            tasks=TaskService(database, queue),
            task_worker=task_worker,
            history=history,
            events=events,
            queue=queue,
            keys=keys,
            authenticator=authenticator,
            embed=embed,
            warnings=warnings,
            started_at=datetime.now(UTC),
            cache=embedding.cache,
            endpoint=embedding.endpoint,
            mcp_servers=mcp_servers,
        )
        services.reloader = Reloader(plugins, settings)
        events.subscribe("tools", services.hear_of_change)
        events.subscribe("reload", services.hear_of_reload)
        yield services


def _find_installations(settings: Settings) -> Installations | None:
    """What is installed for upstreams, in DATA_DIR; a user without a home who names no folder has none."""
    try:
        folder = settings.data_dir or default_data_dir()
    except EmbeddedPostgresError:
        return None
    return Installations(folder / "upstreams", environ=os.environ, commands=settings.upstream_commands)


async def _embed_later(queue: Queue, embed: tuple[Model, Embedder] | None) -> None:
    if embed:
        await queue.enqueue(embed_job(embed[0]), key=embed_job(embed[0]))


def _count_changes(done: SyncReport) -> None:
    for change in ("added", "updated", "shown", "hidden"):
        SYNCED_TOOLS[(change,)].inc(len(getattr(done, change)))


@contextlib.asynccontextmanager
async def serving(services: Services) -> AsyncIterator[None]:
    """Be a replica while the block runs: sync at once, stay announced, and notice when another replica is gone.

    The queue is worked too, from when the sync is over: readiness does not wait for it.
    """
    replica, synced = Replica(services.database, uuid4()), asyncio.Event()
    services.replica = replica
    keeper = asyncio.create_task(_keep_up(services, replica, synced))
    try:
        async with working(services, after=synced):
            yield
    finally:
        background = [keeper, *services.reloading]
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        with contextlib.suppress(ToolboxError):  # a database that is gone needs no goodbye
            await replica.leave()


@contextlib.asynccontextmanager
async def working(services: Services, *, after: asyncio.Event | None = None) -> AsyncIterator[None]:
    """Hear what other processes change and work the queue while the block runs, beginning when `after` is set."""
    services.events.subscribe("logs", _change_log_level)
    async with services.events.running(), services.queue.running(after=after):
        yield


def _change_log_level(event: Event) -> None:
    if event.payload in get_args(Level):  # nothing is known of what was missed
        set_level(cast("Level", event.payload))


async def _keep_up(services: Services, replica: Replica, synced: asyncio.Event) -> None:
    said: str | None = None
    are_upstreams_known = False
    while True:
        try:
            await replica.announce(list(services.registry))
            await services.sync(replica)
            if not are_upstreams_known:
                await services.configure_upstreams()
                are_upstreams_known = True
            await services.lint_later()
            await services.warm_up()
        except ToolboxError as error:
            services.failure = error.message
        except Exception:  # whatever it stumbles over, the replica stays announced
            logger.exception("the catalogue could not be brought up to date")
            services.failure = "something unexpected went wrong, which the log shows"
        if services.failure and services.failure != said:  # once, however often it is tried
            logger.warning("the catalogue could not be brought up to date; trying again", reason=services.failure)
        said = services.failure
        synced.set()
        await asyncio.sleep(BEAT_SECONDS)
