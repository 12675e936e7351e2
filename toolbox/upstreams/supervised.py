"""One upstream in one process: its sessions, opened when first needed, and what becomes of it when it fails.

An upstream is `stopped` until somebody needs it. What goes wrong is counted in `toolbox.upstreams.failures`, which says
how long it is left alone then.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Any, Protocol, TypeAlias

import structlog

from toolbox.definitions import Upstream
from toolbox.errors import UpstreamFailed
from toolbox.metrics import UPSTREAM_CALLS, UPSTREAM_RESTARTS, UPSTREAM_SECONDS, UPSTREAM_UP
from toolbox.telemetry import span
from toolbox.tools.base import ToolContext
from toolbox.upstreams.builds import Program
from toolbox.upstreams.client import ListKind, Lost, Resolve, Session
from toolbox.upstreams.failures import Failures
from toolbox.upstreams.installations import Installation, Installations
from toolbox.upstreams.logs import Log
from toolbox.upstreams.sdk import ServerInfo
from toolbox.upstreams.status import Counts, State, Status
from toolbox.waiting import Places

logger = structlog.get_logger(__name__)

MAX_WAITING = 100
"""Calls that wait for their turn at one upstream."""
MAX_SESSIONS = 32
"""Of an upstream whose callers have one each; the one that was used longest ago is closed for another."""
HEALTHY_SECONDS = 60.0
"""After so long a life, or a call that was answered, what went wrong before is forgotten."""

Found: TypeAlias = Callable[[str, Session], Awaitable[None]]
"""Hears of each new session, with the upstream's name, in a task of its own."""
Changed: TypeAlias = Callable[[str, ListKind], None]


class Keeper(Protocol):
    """What looks after all upstreams of the process, as far as one of them needs it."""

    resolve: Resolve
    installations: Installations | None
    found: Found
    changed: Changed

    def is_running(self, name: str) -> bool:
        """Whether an upstream has a session."""
        ...

    def starting(self, upstream: Upstream) -> AbstractAsyncContextManager[None]:
        """Keep starts of processes from all coming at once."""
        ...

    def close_later(self, supervised: "Supervised") -> None:
        """Disconnect one that is looked after no more."""
        ...


class Supervised:
    """One upstream in this process."""

    def __init__(
        self,
        upstream: Upstream,
        supervisor: Keeper,
        log: Log,
        *,
        earlier: "Supervised | None" = None,
        upgrade: str = "",
    ) -> None:
        """`earlier` answers until this one has started; `upgrade` names the wish that it is installed anew for."""
        self.upstream = upstream
        self.log = log
        self.counts = Counts()
        self._supervisor = supervisor
        self._sessions = dict[str, Session]()
        self._opening = dict[str, asyncio.Task[Session]]()
        places = 1 if upstream.session == "serial" else upstream.concurrency
        self._places = Places[None](places, queue=MAX_WAITING, what=f"the upstream {upstream.name!r}")
        self._failures = Failures(upstream, log)
        self._mode: str = upstream.era
        self._earlier = earlier
        self._upgrade = upgrade
        self._installation: Installation | None = None
        self._unusable = set[str]()
        """Versions that did not start here, and are not tried again."""
        self._stale: str | None = None
        self._tasks = set[asyncio.Task[Any]]()
        self._endings = set[asyncio.Task[Any]]()
        """Sessions on their way out: these are waited for, never cancelled."""
        self._is_closed = False

    async def request(
        self, method: str, params: Mapping[str, Any], context: ToolContext | None = None, *, is_safe: bool = False
    ) -> dict[str, Any]:
        """Ask the server something, on a session that is opened if there is none.

        A request that never reached it is sent once more; one that may have only where it `is_safe` to do twice.

        Raises:
            UpstreamFailed: It cannot be asked, or gives no proper answer.
            ServerError: It answers with an error.
            Overloaded: Too many requests wait for it.
        """
        limit = self._limit(context)
        async with self._places.place(None):
            with self._observe(method, params, limit):
                return await self._attempt(method, params, context, limit, is_safe=is_safe)

    @contextlib.contextmanager
    def _observe(self, method: str, params: Mapping[str, Any], limit: float | None) -> Iterator[None]:
        """Count a request, and trace it: the server is told of the span, so that its own belong to the same trace."""
        began, outcome, name = time.monotonic(), "server_error", self.upstream.name
        self.counts.calls += 1
        try:
            with span(
                f"{method} {name}", {"mcp.method.name": method, "toolbox.upstream": name}, kind="client"
            ) as traced:
                if tool := params.get("name"):
                    traced.set("gen_ai.tool.name" if method == "tools/call" else "gen_ai.prompt.name", tool)
                yield
            outcome = "ok"
        except asyncio.CancelledError:
            outcome = "cancelled"
            if limit is not None and time.monotonic() - began >= 0.98 * limit:
                self.counts.errors += 1
                self._failures.count_silence(f"it has not answered {method} within {limit:g} s")
            raise
        except UpstreamFailed:
            outcome = "upstream_failed"
            self.counts.errors += 1
            raise
        finally:
            seconds = time.monotonic() - began
            self.counts.seconds += seconds
            UPSTREAM_CALLS[name, outcome].inc()
            UPSTREAM_SECONDS[(name,)].observe(seconds)
            self._failures.show()

    def _limit(self, context: ToolContext | None) -> float | None:
        if context is None:
            return self.upstream.list_seconds
        return min(self.upstream.call_seconds or context.timeout_seconds, context.timeout_seconds)

    async def _attempt(
        self,
        method: str,
        params: Mapping[str, Any],
        context: ToolContext | None,
        limit: float | None,
        *,
        is_safe: bool,
    ) -> dict[str, Any]:
        caller = context.caller if context and self.upstream.session == "per_caller" else ""
        for attempt in (1, 2):
            session, lost = await self.usable_session(caller), None
            try:
                with self._failures.use_breaker():
                    try:
                        result = await session.request(method, params, seconds=limit, context=context)
                    except Lost as error:  # counted once, with the session, however many calls it takes with it
                        lost = error
            finally:
                if session.is_tainted and self.upstream.session != "shared" and session.is_idle:
                    self._retire(caller, session)
            if lost is None:
                self._failures.start_over()
                return result
            if attempt == 2 or (lost.was_sent and not is_safe):
                raise lost
        raise AssertionError

    # Sessions.

    async def usable_session(self, caller: str) -> Session:
        """An open session: of what is there, while a new version is installed and started.

        Raises:
            UpstreamFailed: As `session`.
        """
        earlier = self._earlier
        if earlier is None or not earlier.is_running:
            return await self.session(caller)
        if caller not in self._opening:
            self._begin(caller)
        return await earlier.usable_session(caller)

    async def session(self, caller: str = "") -> Session:
        """An open session; all who wait for the same one wait for one start, which goes on when they give up.

        Raises:
            UpstreamFailed: It cannot be opened, or is left alone after it failed.
        """
        session = self._sessions.get(caller)
        if session is not None and session.is_open:
            return session
        opening = self._opening.get(caller)
        if opening is None:
            self._refuse_unwanted()
            await self._failures.wait()
            self._refuse_unwanted()
            opening = self._opening.get(caller) or self._begin(caller)
        return await asyncio.shield(opening)

    def _begin(self, caller: str) -> asyncio.Task[Session]:
        opening = asyncio.create_task(self._open(caller))
        self._opening[caller] = opening

        def done(task: asyncio.Task[Session]) -> None:
            self._opening.pop(caller, None)
            if not task.cancelled():
                task.exception()  # whoever waits for it has it; nobody may

        opening.add_done_callback(done)
        return opening

    def _refuse_unwanted(self) -> None:
        if self._is_closed:
            raise UpstreamFailed("it was changed or removed meanwhile; call again")
        if not self.upstream.enabled:
            raise UpstreamFailed("it is disabled", is_lasting=True)

    async def _open(self, caller: str) -> Session:
        old = self._sessions.pop(caller, None)
        if old is not None:
            self._end(old)
        self._make_room()
        try:
            session = await (self._start() if self.upstream.source is None else self._start_installed())
        except UpstreamFailed as error:
            self._count_failure(error)
            raise
        finally:
            if not self._upgrade:
                self._close_earlier()
        self._sessions[caller] = session
        if self._failures.connected():
            UPSTREAM_RESTARTS[(self.upstream.name,)].inc()
        self._spawn(self._watch(caller, session))
        self._spawn(self._supervisor.found(self.upstream.name, session))
        return session

    async def _start_installed(self) -> Session:
        """Run what is installed of the source, or what ran before where the new one does not start."""
        installations = self._supervisor.installations
        if installations is None:
            raise UpstreamFailed("nothing is installed here: give a command instead of a source", is_lasting=True)
        found = await installations.find(
            self.upstream, self.log, upgrade=self._upgrade, resolve=self._supervisor.resolve
        )
        problem, chosen = found.problem, None
        usable = [each for each in found.installations if each.version not in self._unusable] or found.installations
        try:
            if problem and self._upgrade:
                raise UpstreamFailed(problem)
            for installation in usable:
                try:
                    program = await installations.find_program(installation, self.upstream)
                    session = await self._start(program)
                except UpstreamFailed as error:
                    if installation is usable[-1] or self._upgrade:
                        raise
                    self._unusable.add(installation.version)
                    problem = error.message
                    self.log.add("toolbox", f"{installation.version} does not start: {problem}")
                    continue
                chosen = installation
                self._use(installation, problem)
                await installations.switch(self.upstream.name, installation)
                return session
        finally:
            for installation in found.installations:
                if installation is not chosen:
                    installation.release()
        raise AssertionError

    def _use(self, installation: Installation, problem: str | None) -> None:
        if self._installation is not None:
            self._installation.release()
        self._installation, self._upgrade = installation, ""
        self._close_earlier()
        if problem:
            self.note_stale(problem)

    def note_stale(self, problem: str) -> None:
        """Say why what runs is not what was asked for."""
        self._stale = f"the new version cannot be used, the one before still is: {problem}"
        self.log.add("toolbox", self._stale)
        self._failures.show()
        logger.error("an upstream was not upgraded", upstream=self.upstream.name, reason=problem)

    async def _start(self, program: Program | None = None) -> Session:
        session = Session(
            self.upstream,
            log=self.log,
            resolve=self._supervisor.resolve,
            command=program.command if program else (),
            folder=program.folder if program else None,
            mode=self._mode,
            on_change=lambda kind: self._supervisor.changed(self.upstream.name, kind),
        )
        self.counts.starts += 1
        try:
            async with self._supervisor.starting(self.upstream):
                self._remember(await session.open())
        except BaseException:
            self._end(session)
            raise
        return session

    def _remember(self, info: ServerInfo) -> None:
        """Servers of the handshake era need not be asked again whether they know another one."""
        if self.upstream.era == "auto":
            self._mode = "auto" if info.is_modern else "legacy"

    def _make_room(self) -> None:
        idle = sorted((s.used_at, caller) for caller, s in self._sessions.items() if s.is_idle)
        while len(self._sessions) >= MAX_SESSIONS and idle:
            _, caller = idle.pop(0)
            self._retire(caller, self._sessions[caller])

    def _retire(self, caller: str, session: Session) -> None:
        if self._sessions.get(caller) is session:
            del self._sessions[caller]
        self._end(session)

    def _end(self, session: Session) -> None:
        """Close a session that nobody waits for."""
        ending = asyncio.create_task(session.close())
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)

    async def _watch(self, caller: str, session: Session) -> None:
        """Notice when a session ends that nobody wanted to end."""
        began = time.monotonic()
        UPSTREAM_UP[(self.upstream.name,)].set(1)
        try:
            await session.wait_closed()
        finally:
            UPSTREAM_UP[(self.upstream.name,)].set(self._supervisor.is_running(self.upstream.name))
        if self._sessions.get(caller) is session:
            del self._sessions[caller]
        if session.reason is not None and not self._is_closed:
            self._mode = self.upstream.era
            if time.monotonic() - began > HEALTHY_SECONDS:
                self._failures.start_over()
            self._count_failure(UpstreamFailed(session.reason))

    def _count_failure(self, error: UpstreamFailed) -> None:
        self.counts.failures += 1
        self._mode = self.upstream.era
        self._failures.count(error, is_first_start=self.counts.starts <= 1)

    # What operators do.

    def forgive(self) -> None:
        """Forget what went wrong: somebody has mended it."""
        self._unusable.clear()
        self._stale = None
        self._mode = self.upstream.era
        self._failures.forgive()

    async def close_sessions(self) -> None:
        """Disconnect; the next call connects again."""
        self._close_earlier()
        opening = list(self._opening.values())
        for task in opening:
            task.cancel()
        await asyncio.gather(*opening, return_exceptions=True)
        sessions, self._sessions = list(self._sessions.values()), {}
        for session in sessions:
            self._end(session)
        await asyncio.gather(*self._endings, return_exceptions=True)

    async def close(self) -> None:
        """Disconnect for good."""
        self._is_closed = True
        await self.close_sessions()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *self._endings, return_exceptions=True)
        if self._installation is not None:
            self._installation.release()

    def give_way(self) -> "Supervised | None":
        """Let what ran before go on in its place; gives it back."""
        earlier, self._earlier = self._earlier, None
        return earlier

    def _close_earlier(self) -> None:
        if earlier := self.give_way():
            self._supervisor.close_later(earlier)

    def look_after(self, now: float) -> None:
        """Close sessions that nobody has used for long, and let the metrics tell how it is by now."""
        self._failures.show()
        for caller, session in list(self._sessions.items()):
            if session.is_idle and now - session.used_at > self.upstream.idle_seconds:
                self._retire(caller, session)

    @property
    def is_running(self) -> bool:
        """Whether a session is open."""
        return any(session.is_open for session in self._sessions.values()) or bool(
            self._earlier and self._earlier.is_running
        )

    def status(self) -> Status:
        """How it is now."""
        counts, wait = self.counts, self._failures.pause_seconds
        processes = [s.process.pid for s in self._sessions.values() if s.process and s.process.pid]
        return Status(
            state=self._state(wait),
            problem=self._failures.problem or self._stale,
            sessions=len(self._sessions),
            processes=processes,
            calls=counts.calls,
            errors=counts.errors,
            starts=counts.starts,
            failures=counts.failures,
            mean_ms=round(counts.seconds / counts.calls * 1000, 3) if counts.calls else None,
            is_breaker_open=self._failures.is_breaker_open,
            retry_at=datetime.fromtimestamp(time.time() + wait, UTC) if wait > 0 else None,
            version=self._installation.version if self._installation else None,
        )

    def _state(self, wait: float) -> State:
        if not self.upstream.enabled:
            return "disabled"
        if self.is_running:
            return "running"
        if self._opening:
            return "starting"
        if self._failures.is_final:
            return "failed"
        return "waiting" if wait > 0 else "stopped"

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)

        def done(ended: asyncio.Task[Any]) -> None:
            self._tasks.discard(ended)
            if not ended.cancelled() and (error := ended.exception()):
                logger.warning("looking after an upstream failed", upstream=self.upstream.name, reason=str(error))

        task.add_done_callback(done)
