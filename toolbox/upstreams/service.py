"""Upstreams: configured in the database, known to every replica, connected to where they are needed."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Literal, TypeAlias
from uuid import uuid4

import msgspec
import structlog
from msgspec import Struct

from toolbox.audit import ITSELF, AuditEntry, record
from toolbox.database import SYNC_LOCK, Connection, Database
from toolbox.definitions import ANONYMOUS, Upstream
from toolbox.errors import InvalidRequest, NotFound, ToolboxError, UpstreamFailed
from toolbox.events import Event, Events, notify
from toolbox.queue import Job, Queue
from toolbox.secrets.vault import Vault
from toolbox.tools.base import ToolContext
from toolbox.upstreams.catalogue import Changes, delete_tools, hide_tools, store_offer
from toolbox.upstreams.client import ListKind, ServerError, Session
from toolbox.upstreams.config import TRUSTED_ORIGINS, Resolver, check_upstream
from toolbox.upstreams.installations import Installations
from toolbox.upstreams.logs import LogLine
from toolbox.upstreams.masking import find_masked, is_hiding, mask, unmask
from toolbox.upstreams.merging import merge_groups
from toolbox.upstreams.offers import Offered
from toolbox.upstreams.repository import (
    Discovered,
    Offers,
    StoredUpstream,
    UpstreamRepository,
    delete_upstream,
    with_enabled,
)
from toolbox.upstreams.status import Status
from toolbox.upstreams.supervised import Supervised
from toolbox.upstreams.supervisor import Supervisor

logger = structlog.get_logger(__name__)

READ = "upstream"
"""The kind of the job that reads what an upstream offers."""
READ_DUE = "upstreams"
"""The kind of the job that has those read whose time has come."""
EVERY_FIVE_MINUTES = "*/5 * * * *"
SETTLE_SECONDS = 0.3
"""How long a server is left to tell of more changes, before its lists are read anew."""
RECENT_SECONDS = 5.0

Command: TypeAlias = Literal["start", "stop", "restart", "upgrade"]


class ReadRequest(Struct, frozen=True):
    """What a job of the kind READ carries."""

    name: str
    attempt: int = 1


class Told(Struct, frozen=True):
    """What operators want of an upstream on every replica; it travels as an event."""

    name: str
    command: Command
    id: str = ""


class UpstreamService:
    """All that can be done with upstreams."""

    def __init__(
        self,
        database: Database,
        events: Events,
        queue: Queue,
        *,
        commands: Collection[str],
        resolver: Resolver,
        embed_later: Callable[[], Awaitable[None]],
        installations: Installations | None = None,
        vault: Vault | None = None,
    ) -> None:
        """`commands` are the programs that upstreams may run; `embed_later` has new tools embedded by somebody.

        The `vault` seals configurations; without one they are stored as they are given.
        """
        self._database = database
        self._events = events
        self._queue = queue
        self._commands = commands
        self._embed_later = embed_later
        self._installations = installations
        self.repository = UpstreamRepository(database, vault)
        self.supervisor = Supervisor(
            resolve=resolver, installations=installations, found=self._hear_of_session, changed=self._hear_of_change
        )
        self.offered = Offered(self.ask)
        """Resources and prompts; what is in there changes as upstreams are read."""
        self.stored: Mapping[str, StoredUpstream] = {}
        """The upstreams as this process knows them; another object after each change."""
        self._changes = 1
        self._loaded = 0
        """How many changes there were when the upstreams were read."""
        self._loading = asyncio.Lock()
        self._reading = dict[str, asyncio.Task[Changes]]()
        self._read_at = dict[str, float]()
        self._tasks = set[asyncio.Task[Any]]()

    def register_jobs(self) -> None:
        """Tell the queue how upstreams are read."""

        async def read(job: Job) -> None:
            await self._work_at(msgspec.json.decode(job.payload, type=ReadRequest))

        async def read_due(_job: Job) -> None:
            for name in await self.repository.read_due():
                await self._queue.enqueue(READ, ReadRequest(name), key=f"{READ}:{name}")

        self._queue.register(READ, read)
        self._queue.register(READ_DUE, read_due)
        self._queue.schedule(READ_DUE, EVERY_FIVE_MINUTES)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Hear of changes and keep sessions while the block runs."""
        unsubscribe = self._events.subscribe("upstreams", self._hear)
        forget_secrets = self._events.subscribe("secrets", self._hear_of_secret)
        try:
            async with self.supervisor.running():
                yield
                await self._end_tasks()
        finally:
            unsubscribe()
            forget_secrets()
            await self._end_tasks()

    async def _end_tasks(self) -> None:
        tasks = [*self._tasks, *self._reading.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # Asking a server.

    async def ask(
        self,
        upstream: str,
        method: str,
        params: Mapping[str, Any],
        context: ToolContext,
        *,
        is_safe: bool = False,
    ) -> dict[str, Any]:
        """Ask an upstream something, for the caller of `context`.

        Raises:
            UpstreamFailed: It cannot be asked, or gives no proper answer.
            ServerError: It answers with an error.
        """
        if self._loaded != self._changes:
            await self.load()
        return await self._find(upstream).request(method, params, context, is_safe=is_safe)

    def _find(self, name: str) -> Supervised:
        stored = self.stored.get(name)
        if stored and stored.unreadable:
            raise UpstreamFailed(stored.unreadable, is_lasting=True)
        return self.supervisor.get(name)

    async def load(self) -> None:
        """Read the configurations, if they have changed."""
        async with self._loading:
            changes = self._changes
            if self._loaded == changes:
                return
            self.stored = await self.repository.read_all()
            await self.repository.seal([name for name, stored in self.stored.items() if stored.is_clear])
            self.supervisor.configure(
                {name: stored.upstream for name, stored in self.stored.items() if not stored.unreadable}
            )
            self.offered.update(self.stored)
            self._loaded = changes

    @property
    def clear_names(self) -> list[str]:
        """Upstreams whose configuration holds something secret as it was given, since there is no key to seal it."""
        return [name for name, stored in self.stored.items() if stored.is_clear]

    # Configuring.

    async def put(self, upstreams: Sequence[Upstream], *, origin: str, caller: str = ANONYMOUS) -> dict[str, str]:
        """Configure upstreams, all of them or none; what has changed is read in the background.

        Gives back what happened to each: created, changed or unchanged.

        Raises:
            InvalidRequest: One cannot be used.
        """
        before = await self.repository.read_all()
        async with self._database.transaction() as connection:
            done = await self.put_in(connection, upstreams, origin=origin, caller=caller)
        if any(what != "unchanged" for what in done.values()):
            self.expire()
            known = [before[upstream.name].upstream for upstream in upstreams if upstream.name in before]
            await self._merge({upstream.merge for upstream in (*upstreams, *known)})
        return done

    async def _merge(self, groups: Collection[str | None]) -> None:
        if await merge_groups(self._database, groups):
            await self._embed_later()

    async def follow_tools(self) -> None:
        """Make tools that stand for several what these are now, after operators have changed some; have all embedded.

        Raises:
            DatabaseUnavailable: PostgreSQL does not answer; the next reading of those upstreams does it.
        """
        await merge_groups(self._database, await self.repository.read_groups())
        await self._embed_later()

    async def put_in(
        self, connection: Connection, upstreams: Sequence[Upstream], *, origin: str, caller: str
    ) -> dict[str, str]:
        """The same within a transaction; when that is over, what is known is to `expire`.

        Raises: as `put`.
        """
        for upstream in upstreams:
            check_upstream(upstream, commands=self._commands, origin=origin)
        done = dict[str, str]()
        for given in upstreams:
            before = await self.repository.lock(connection, given.name)
            if before and before.origin != origin and before.origin.startswith(TRUSTED_ORIGINS):
                raise InvalidRequest(f"the upstream {given.name!r} comes from {before.origin}: change it there")
            upstream = _unmask(given, before)
            if before and before.upstream == upstream and before.origin == origin:
                done[upstream.name] = "unchanged"
                continue
            done[upstream.name] = "changed" if before else "created"
            await self.repository.write(connection, upstream, origin)
            if not upstream.enabled:
                await hide_tools(connection, upstream.name)
            await record(
                connection,
                AuditEntry(
                    caller,
                    f"upstream.{done[upstream.name]}",
                    "upstream",
                    upstream.name,
                    mask(before.upstream) if before else None,
                    mask(upstream),
                ),
            )
            wanted = self.repository.fingerprint(upstream)
            is_new = before is None or not before.upstream.enabled or before.read_for != wanted
            if upstream.enabled and is_new:
                # A job that runs already may have seen the configuration before: this one has a key of its own.
                key = f"{READ}:{upstream.name}:{wanted.hex()}"
                await self._queue.enqueue(READ, ReadRequest(upstream.name), key=key, connection=connection)
        return done

    async def find_masked(self, connection: Connection, name: str) -> list[str]:
        """What of an upstream's configuration is not known, as a transaction sees it."""
        stored = await self.repository.lock(connection, name)
        return find_masked(stored.upstream) if stored else []

    def expire(self) -> None:
        """Read the configurations anew when they are needed."""
        self._changes += 1

    async def put_all_of(self, origin: str, upstreams: Sequence[Upstream]) -> None:
        """Configure what one origin gives, and forget what it gave before and does no more; what is wrong is logged."""
        there, usable = await self.repository.read_all(), list[Upstream]()
        for upstream in upstreams:
            before = there.get(upstream.name)
            if before and before.origin != origin:
                logger.error("an upstream is there already", name=upstream.name, origin=origin, other=before.origin)
                continue
            try:
                check_upstream(upstream, commands=self._commands, origin=origin)
            except InvalidRequest as error:
                logger.error("an upstream cannot be used", origin=origin, reason=error.message)
            else:
                usable.append(upstream)
        await self.put(usable, origin=origin, caller=ITSELF)
        wanted = {upstream.name for upstream in upstreams}
        for name, stored in there.items():
            if stored.origin == origin and name not in wanted:
                with contextlib.suppress(NotFound):  # another process was as fast
                    await self.delete(name, caller=ITSELF)

    async def delete(self, name: str, *, caller: str = ANONYMOUS) -> None:
        """Delete an upstream and its tools; the history of calls stays.

        Raises:
            NotFound: There is none of this name.
        """
        async with self._database.lock(SYNC_LOCK), self._database.transaction() as connection:
            before = await self.repository.lock(connection, name)
            if before is None:
                raise upstream_not_found(name)
            await delete_upstream(connection, name)
            await delete_tools(connection, name)
            await record(connection, AuditEntry(caller, "upstream.deleted", "upstream", name, mask(before.upstream)))
        self.expire()
        await self._merge([before.upstream.merge])
        if before.upstream.source and self._installations:  # whoever still runs it removes it afterwards
            await self._installations.tidy(name, is_gone=True)

    async def set_enabled(self, name: str, *, enabled: bool, caller: str = ANONYMOUS) -> None:
        """Offer the tools of an upstream, or offer them no more.

        Raises:
            NotFound: There is none of this name.
        """
        stored = await self.get(name)
        await self.put([with_enabled(stored.upstream, enabled=enabled)], origin=stored.origin, caller=caller)

    async def get(self, name: str) -> StoredUpstream:
        """The upstream with this name.

        Raises:
            NotFound: There is none.
        """
        stored = await self.repository.read(name)
        if stored is None:
            raise upstream_not_found(name)
        return stored

    # Operating.

    async def tell(self, name: str, command: Command, *, caller: str = ANONYMOUS) -> Told:
        """Have an upstream started, stopped, restarted or upgraded everywhere. A call starts one that is stopped.

        Raises:
            NotFound: There is none of this name.
            InvalidRequest: It has no source that could be installed anew.
        """
        stored = await self.get(name)
        if command == "upgrade" and stored.upstream.source is None:
            raise InvalidRequest(f"the upstream {name!r} has no source: what it runs is not installed by ToolBox")
        async with self._database.transaction() as connection:
            await record(connection, AuditEntry(caller, f"upstream.{command}", "upstream", name))
            told = Told(name, command, uuid4().hex)
            await notify(connection, "upstreams", msgspec.json.encode(told).decode())
        return told

    async def status(self, name: str) -> Status | None:
        """How an upstream is in this process; None if it is not known here yet."""
        await self.load()
        found = self.supervisor.find(name)
        return found.status() if found else None

    async def logs(self, name: str, lines: int) -> list[LogLine]:
        """The last lines that an upstream wrote in this process, and what ToolBox says of it.

        Raises:
            NotFound: There is none of this name.
        """
        await self.get(name)
        await self.load()
        found = self.supervisor.find(name)
        return found.log.last(lines) if found else []

    # Reading what servers offer.

    async def refresh(self, name: str, *, anew: bool = False) -> Changes:
        """Read what an upstream offers and bring the catalogue to it; who comes meanwhile waits for the same reading.

        `anew` forgets first what went wrong before, as for an operator who has mended it.

        Raises:
            NotFound: There is none of this name.
            UpstreamFailed: It cannot be read; the catalogue stays as it was.
        """
        if anew:
            await self.load()
            if supervised := self.supervisor.find(name):
                supervised.forgive()
        running = self._reading.get(name)
        if running is None:
            running = asyncio.create_task(self._read(name))
            self._reading[name] = running

            def done(task: asyncio.Task[Changes]) -> None:
                self._reading.pop(name, None)
                if not task.cancelled():
                    task.exception()  # whoever waits for it has it; nobody may

            running.add_done_callback(done)
        return await asyncio.shield(running)

    async def _read(self, name: str) -> Changes:
        self.expire()
        await self.load()
        stored = self.stored.get(name)
        if stored is None:
            raise upstream_not_found(name)
        try:
            supervised = self._find(name)
            session = await supervised.session()
            self._read_at[name] = time.monotonic()
            tools = await session.list_all("tools/list", "tools")
            found = Discovered(
                server=session.info,
                offers=await _read_offers(session),
                read_for=self.repository.fingerprint(stored.upstream),
            )
            changes = await store_offer(self._database, stored.upstream, tools, found)
        except (UpstreamFailed, ServerError) as error:
            await self.repository.note_problem(name, error.message)
            raise error if isinstance(error, UpstreamFailed) else UpstreamFailed(error.message) from error
        if changes.added or changes.updated or changes.is_merged:
            await self._embed_later()
        if not changes.is_empty:
            logger.info(
                "an upstream was read",
                upstream=name,
                added=len(changes.added),
                updated=len(changes.updated),
                hidden=len(changes.hidden),
                pending=len(changes.pending),
            )
        return changes

    async def _work_at(self, wanted: ReadRequest) -> None:
        """A failure that passes is tried again later, as often as the upstream may be started again."""
        try:
            await self.refresh(wanted.name)
        except NotFound:
            return
        except UpstreamFailed as error:
            stored = self.stored.get(wanted.name)
            if stored is None or error.is_lasting or wanted.attempt > stored.upstream.restarts:
                logger.error("an upstream cannot be read", upstream=wanted.name, reason=error.message)
                return
            pause = min(stored.upstream.backoff_seconds * 2**wanted.attempt, 300.0)
            again = ReadRequest(wanted.name, wanted.attempt + 1)
            await self._queue.enqueue(READ, again, key=f"{READ}:{wanted.name}:again", delay_seconds=pause)

    # Hearing of changes.

    def _hear(self, event: Event) -> None:
        self.expire()
        told = None
        if event.payload.startswith("{"):
            with contextlib.suppress(msgspec.DecodeError, msgspec.ValidationError):
                told = msgspec.json.decode(event.payload, type=Told)
        self._spawn(self.follow(told) if told else self.load())

    def _hear_of_secret(self, _event: Event) -> None:
        """What failed for want of a secret may be tried again."""
        for name in self.supervisor.names:
            if (supervised := self.supervisor.find(name)) and supervised.status().state == "failed":
                supervised.forgive()

    async def follow(self, told: Told) -> None:
        """Do in this process what operators want everywhere.

        Raises:
            UpstreamFailed: It cannot be done here.
        """
        await self.load()
        supervised = self.supervisor.find(told.name)
        if supervised is None:
            return
        if told.command == "upgrade":
            await self.supervisor.upgrade(told.name, told.id)
            await self._refresh_quietly(told.name)
            return
        if told.command in {"stop", "restart"}:
            await supervised.close_sessions()
        supervised.forgive()
        if told.command in {"start", "restart"} and supervised.upstream.session != "per_caller":
            await supervised.session()

    async def _hear_of_session(self, name: str, _session: Session) -> None:
        """A new session may show new lists: look, unless that is what it was opened for."""
        if name not in self._reading and time.monotonic() - self._read_at.get(name, 0.0) > RECENT_SECONDS:
            await self._refresh_quietly(name)

    def _hear_of_change(self, name: str, _kind: ListKind) -> None:
        self._spawn(self._settle_and_refresh(name))

    async def _settle_and_refresh(self, name: str) -> None:
        await asyncio.sleep(SETTLE_SECONDS)
        if time.monotonic() - self._read_at.get(name, 0.0) >= SETTLE_SECONDS:
            running = self._reading.get(name)
            if running:  # what it reads may be from before the change
                await asyncio.wait({running})
            await self._refresh_quietly(name)

    async def _refresh_quietly(self, name: str) -> None:
        with contextlib.suppress(ToolboxError):  # it is kept with the upstream
            await self.refresh(name)

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)

        def done(ended: asyncio.Task[Any]) -> None:
            self._tasks.discard(ended)
            if not ended.cancelled() and (error := ended.exception()):
                logger.warning("a change of upstreams was not followed", reason=str(error))

        task.add_done_callback(done)


async def _read_offers(session: Session) -> Offers:
    """What there is beside tools, as far as the server says that there is any."""
    has = session.info.capabilities if session.info else {}
    if "resources" not in has and "prompts" not in has:
        return Offers()
    return Offers(
        resources=await session.list_all("resources/list", "resources") if "resources" in has else [],
        templates=await session.list_all("resources/templates/list", "resourceTemplates") if "resources" in has else [],
        prompts=await session.list_all("prompts/list", "prompts") if "prompts" in has else [],
    )


def _unmask(given: Upstream, before: StoredUpstream | None) -> Upstream:
    """What was masked when it was shown, and comes back so, stays as it is."""
    if before is None:
        return given
    if before.unreadable is None:
        return unmask(given, before.upstream)
    if is_hiding(given):
        raise InvalidRequest(f"upstream {given.name!r}: {before.unreadable}")
    return given


def upstream_not_found(name: str) -> NotFound:
    """There is no upstream of this name."""
    return NotFound(
        f"there is no upstream {name[:100]!r}; `toolbox upstreams list`, or GET /admin/upstreams, lists them"
    )
