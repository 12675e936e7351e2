"""Events: what one process changed, told to all of them at once, over PostgreSQL's LISTEN and NOTIFY.

One connection of each process listens. Nothing is repeated that was sent while it was lost, so every subscriber then
hears a resync event, and reads anew whatever it keeps. A transaction pooler lets no event through: behind one,
subscribers hear a resync event every few seconds instead.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Literal, TypeAlias, get_args

import asyncpg
import structlog
from msgspec import Struct

# The pool's connections are shared, and one that listens cannot be: this opens one beside them, from the same URL.
from toolbox.database import UNREACHABLE, Connection, Database
from toolbox.database import _connect as connect
from toolbox.errors import DatabaseUnavailable

logger = structlog.get_logger(__name__)

Channel = Literal["tools", "queue", "clients", "lists", "streams", "secrets", "keys", "upstreams", "logs", "reload"]
"""What is told.

tools: the catalogue has changed; queue: there is work; clients: one answers or cancels (toolbox.mcp.conversations);
reload: plugins are read anew (toolbox.reloads);
lists: a plugin says that what it offers has changed (toolbox.mcp.listening); streams: something was said on one
(toolbox.mcp.resumption); secrets: one has changed; keys: one was issued, rotated or revoked, in the last case with the
name of its caller; upstreams: one was configured or read, or is to start or stop; logs: how much is logged.
"""

PREFIX = "toolbox_"
"""Before each channel's name in PostgreSQL, where other applications may have channels too."""
MAX_PAYLOAD_BYTES = 7_900
"""PostgreSQL takes less than 8,000 bytes."""

PING_SECONDS = 30.0
"""How soon a connection is found dead that nobody has closed, as after a failover."""
POLL_SECONDS = 5.0
"""How often subscribers look for themselves where no event comes through."""
FIRST_PAUSE_SECONDS = 0.1
MAX_PAUSE_SECONDS = 10.0
"""Pauses between attempts to connect again: the first one, doubled each time, at most the second."""

_LOST = (DatabaseUnavailable, asyncpg.PostgresError, *UNREACHABLE)


class Event(Struct, frozen=True):
    """Something happened; `is_resync` says that any number of events may have been missed."""

    channel: Channel
    payload: str = ""
    is_resync: bool = False


Callback: TypeAlias = Callable[[Event], None]
"""Runs in the event loop, so it must not block: work is left to a task."""


async def notify(where: Connection | Database, channel: Channel, payload: str = "") -> None:
    """Tell every process; inside a transaction it is told when that commits, and not at all if it does not.

    Equal events of one transaction are told once.

    Raises:
        ValueError: The payload is longer than PostgreSQL takes; send a name of it, and let subscribers read it.
    """
    size = len(payload.encode())
    if size > MAX_PAYLOAD_BYTES:
        raise ValueError(f"a payload on {channel!r} has {size} bytes, but an event takes {MAX_PAYLOAD_BYTES}")
    await where.execute("select pg_notify($1, $2)", PREFIX + channel, payload)


class Events:
    """This process's ear: one connection, and any number of subscribers."""

    def __init__(self, url: str, *, can_listen: bool = True) -> None:
        """`can_listen` is false behind a transaction pooler."""
        self._url = url
        self._can_listen = can_listen
        self._subscribers: dict[Channel, list[Callback]] = {channel: [] for channel in get_args(Channel)}

    def subscribe(self, channel: Channel, callback: Callback) -> Callable[[], None]:
        """Let a callback hear a channel from now on; what is given back ends that.

        Subscribe first and read afterwards: then nothing is missed between the two.
        """
        self._subscribers[channel].append(callback)

        def unsubscribe() -> None:
            with contextlib.suppress(ValueError):  # twice is once
                self._subscribers[channel].remove(callback)

        return unsubscribe

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listen until the block ends.

        Raises:
            DatabaseUnavailable: PostgreSQL does not answer at the start; later it is waited for.
        """
        ear = asyncio.create_task(self._listen(await self._open()) if self._can_listen else self._poll())
        try:
            yield
        finally:
            ear.cancel()
            await asyncio.wait({ear})

    async def _listen(self, connection: asyncpg.Connection) -> None:
        try:
            while True:
                await _until_lost(connection)
                logger.warning("the connection that hears events is lost; connecting again")
                connection = await self._open_again()
                logger.warning("events are heard again")
                self._resync()
        finally:
            connection.terminate()  # it holds nothing that a farewell would save

    async def _open_again(self) -> asyncpg.Connection:
        pause = FIRST_PAUSE_SECONDS
        while True:  # quietly: that it is lost was said
            try:
                return await self._open()
            except _LOST:
                await asyncio.sleep(pause)
                pause = min(2 * pause, MAX_PAUSE_SECONDS)

    async def _open(self) -> asyncpg.Connection:
        connection = await connect(self._url)
        try:
            await connection.execute("set application_name = 'toolbox events'")
            for channel in self._subscribers:
                await connection.add_listener(PREFIX + channel, self._hear)
        except BaseException:
            connection.terminate()
            raise
        return connection

    def _hear(self, _connection: object, _process: int, name: str, payload: object) -> None:
        for channel in self._subscribers:
            if name == PREFIX + channel:
                self._tell(Event(channel, str(payload)))

    async def _poll(self) -> None:
        logger.warning("no event passes the transaction pooler: changes are looked for", every_seconds=POLL_SECONDS)
        while True:
            await asyncio.sleep(POLL_SECONDS)
            self._resync()

    def _resync(self) -> None:
        for channel in self._subscribers:
            self._tell(Event(channel, is_resync=True))

    def _tell(self, event: Event) -> None:
        for callback in tuple(self._subscribers[event.channel]):
            try:
                callback(event)
            except Exception:  # one subscriber's fault must not keep the event from the others
                logger.exception("a subscriber failed", channel=event.channel)


async def _until_lost(connection: asyncpg.Connection) -> None:
    lost = asyncio.Event()
    connection.add_termination_listener(lambda _: lost.set())
    while not connection.is_closed():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(lost.wait(), PING_SECONDS)
            return
        try:
            await connection.execute("select 1", timeout=PING_SECONDS)
        except _LOST:
            connection.terminate()
