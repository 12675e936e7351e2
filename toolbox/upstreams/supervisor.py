"""Looks after all upstreams of one process of ToolBox.

Nothing here ever makes one upstream wait for another, but for the moment in which processes are started.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping

from toolbox.definitions import Upstream
from toolbox.errors import UpstreamFailed
from toolbox.upstreams.client import Resolve, Session
from toolbox.upstreams.installations import Installations
from toolbox.upstreams.logs import Log
from toolbox.upstreams.supervised import Changed, Found, Supervised

STARTS_AT_ONCE = 4
START_SECONDS = 5.0
"""How long a start that does not come to an end keeps the next one from beginning."""
LOOK_SECONDS = 5.0
"""How often upstreams are looked at that nobody uses."""


class Supervisor:
    """All upstreams of this process."""

    def __init__(
        self,
        *,
        resolve: Resolve,
        installations: Installations | None = None,
        found: Found | None = None,
        changed: Changed = lambda *_: None,
    ) -> None:
        """`resolve` fills `${...}` in; `installations` has the programs of upstreams that name a source."""
        self.resolve = resolve
        self.installations = installations
        self.found: Found = found or _ignore
        self.changed = changed
        self._supervised = dict[str, Supervised]()
        self._logs = dict[str, Log]()
        self._starts = asyncio.Semaphore(STARTS_AT_ONCE)
        self._upgrading = dict[str, tuple[str, asyncio.Task[None]]]()
        self._closing = set[asyncio.Task[None]]()

    @property
    def names(self) -> list[str]:
        """The upstreams."""
        return sorted(self._supervised)

    def find(self, name: str) -> Supervised | None:
        """The upstream with this name."""
        return self._supervised.get(name)

    def get(self, name: str) -> Supervised:
        """The upstream with this name.

        Raises:
            UpstreamFailed: There is none, or not yet.
        """
        found = self._supervised.get(name)
        if found is None:
            raise UpstreamFailed("it is not known here", is_lasting=True)
        return found

    def is_running(self, name: str) -> bool:
        """Whether an upstream has a session."""
        found = self._supervised.get(name)
        return found is not None and found.is_running

    def configure(self, upstreams: Mapping[str, Upstream]) -> None:
        """Look after these from now on; one that has changed is disconnected, and connected anew when it is needed.

        One that gets another source answers as it is, until that is installed and has started.
        """
        earlier = dict[str, Supervised]()
        for name, supervised in list(self._supervised.items()):
            given = upstreams.get(name)
            if given != supervised.upstream:
                del self._supervised[name]
                supervised.forgive()  # what is not looked after any more fails no more
                if given and given.enabled and given.source and given.source != supervised.upstream.source:
                    earlier[name] = supervised
                else:
                    self.close_later(supervised, is_gone=given is None or given.source is None)
            if given is None:
                self._logs.pop(name, None)
        for name, upstream in upstreams.items():
            if name not in self._supervised:
                log = self._logs.setdefault(name, Log())
                self._supervised[name] = Supervised(upstream, self, log, earlier=earlier.get(name))

    async def upgrade(self, name: str, wish: str) -> None:
        """Install the source of an upstream anew, beside what runs, and switch to it when it has started.

        Several processes may have the same wish, and hear of it twice: one of them installs, once.

        Raises:
            UpstreamFailed: The new version cannot be used; what runs goes on.
        """
        if self._upgrading.get(name, ("", None))[0] != wish:
            self._upgrading[name] = wish, asyncio.create_task(self._upgrade(name, wish))
        await asyncio.shield(self._upgrading[name][1])

    async def _upgrade(self, name: str, wish: str) -> None:
        before = self.get(name)
        if before.upstream.source is None:
            return
        new = Supervised(before.upstream, self, before.log, earlier=before, upgrade=wish)
        self._supervised[name] = new
        try:
            await new.session()
        except UpstreamFailed as error:
            if self._supervised.get(name) is new and new.give_way():
                self._supervised[name] = before
                before.note_stale(error.message)
                self.close_later(new)
            raise

    def close_later(self, supervised: Supervised, *, is_gone: bool = False) -> None:
        """Disconnect one that is looked after no more; what was installed for it goes with it if it `is_gone`."""

        async def close() -> None:
            await supervised.close()
            if self.installations is not None and supervised.upstream.source:
                await self.installations.tidy(supervised.upstream.name, is_gone=is_gone)

        task = asyncio.create_task(close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    @contextlib.asynccontextmanager
    async def starting(self, upstream: Upstream) -> AsyncIterator[None]:
        """Keep starts of processes from all coming at once; a slow one gives way to the next after a while."""
        if upstream.transport != "stdio":
            yield
            return
        await self._starts.acquire()
        held = [True]

        def give_way() -> None:
            if held and held.pop():
                self._starts.release()

        timer = asyncio.get_running_loop().call_later(START_SECONDS, give_way)
        try:
            yield
        finally:
            timer.cancel()
            give_way()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look after everything while the block runs; nothing of any upstream is left afterwards."""
        keeper = asyncio.create_task(self._look())
        try:
            yield
        finally:
            upgrading = [task for _, task in self._upgrading.values()]
            for task in (keeper, *upgrading):
                task.cancel()
            await asyncio.gather(keeper, *upgrading, return_exceptions=True)
            closing = [asyncio.create_task(supervised.close()) for supervised in self._supervised.values()]
            self._supervised = {}
            await asyncio.gather(*closing, *self._closing, return_exceptions=True)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for supervised in self._supervised.values():
                supervised.look_after(time.monotonic())


async def _ignore(_name: str, _session: Session) -> None:
    """Nobody wants to hear of new sessions."""
