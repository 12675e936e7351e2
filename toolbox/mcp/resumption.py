"""Streams of the handshake era that a client can leave and come back to, on any replica.

What is said on such a stream is kept in PostgreSQL for a while, under ids that grow; a client that comes back names the
last one it has seen (the header Last-Event-ID) and gets what came after it. From 2025-11-25 on a stream begins with an
event that has nothing but an id, so that a client can come back before anything was said. Progress is not kept: it is
old when it is read again. (Streamable HTTP, Resumability and Redelivery.)
"""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from functools import cached_property
from uuid import UUID, uuid4

import structlog
from litestar.types import Send
from msgspec import Struct

from toolbox.database import Database
from toolbox.errors import DatabaseUnavailable, NotFound
from toolbox.events import Event, Events, notify
from toolbox.mcp.http import Reply
from toolbox.mcp.streams import Channel, encode_event

logger = structlog.get_logger(__name__)

KEPT_MINUTES = 10
"""How long after an event its client may come back for it."""
RETRY_MS = 1000
POLL_SECONDS = 30.0
"""How often a client that came back is looked after without an event that says so."""


class StreamEvent(Struct, frozen=True):
    """One message of a stream, numbered from 1; the last one is the answer."""

    sequence: int
    message: bytes
    is_last: bool


class StreamLog:
    """Keeps what is said on streams, and gives it to whoever comes back."""

    def __init__(self, database: Database, events: Events) -> None:
        self._database = database
        self._waiting = dict[UUID, set[asyncio.Event]]()
        self._is_closing = False
        events.subscribe("streams", self._hear)

    async def add(self, stream: UUID, event: StreamEvent) -> None:
        """Keep one message."""
        async with self._database.transaction() as connection:
            if event.is_last:
                await connection.execute(
                    f"delete from stream_events where created_at < now() - interval '{KEPT_MINUTES} minutes'"
                )
            await connection.execute(
                "insert into stream_events (stream, sequence, message, is_last) values ($1, $2, $3, $4)",
                stream,
                event.sequence,
                event.message,
                event.is_last,
            )
            await notify(connection, "streams", stream.hex)

    async def read(self, stream: UUID, after: int) -> AsyncIterator[StreamEvent]:
        """What was said after a number, and what still will be, up to the answer."""
        wake = asyncio.Event()
        self._waiting.setdefault(stream, set()).add(wake)
        try:
            while not self._is_closing:
                wake.clear()
                for event in await self._read(stream, after):
                    after = event.sequence
                    yield event
                    if event.is_last:
                        return
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(wake.wait(), POLL_SECONDS)
        finally:
            self._waiting[stream].discard(wake)
            if not self._waiting[stream]:
                del self._waiting[stream]

    def close(self) -> None:
        """Let all readers end before the answer: the process stops, and they can come back to another one."""
        self._is_closing = True
        for waiting in self._waiting.values():
            for wake in waiting:
                wake.set()

    async def require(self, stream: UUID) -> None:
        """Refuse a stream that nobody can come back to.

        Raises:
            NotFound: It is not known, or what was said on it is forgotten.
        """
        row = await self._database.fetch_row("select from stream_events where stream = $1 limit 1", stream)
        if row is None:
            raise NotFound("there is no such stream, or its time is over: send the request again")

    async def _read(self, stream: UUID, after: int) -> list[StreamEvent]:
        rows = await self._database.fetch(
            """
            select sequence, message, is_last from stream_events
            where stream = $1 and sequence > $2 order by sequence
            """,
            stream,
            after,
        )
        return [StreamEvent(**row) for row in rows]

    def _hear(self, event: Event) -> None:
        heard = list(self._waiting) if event.is_resync else [UUID(event.payload)]
        for stream in heard:
            for wake in self._waiting.get(stream, ()):
                wake.set()


class KeptChannel(Channel):
    """A channel whose stream can be left and come back to."""

    def __init__(self, send: Send, log: StreamLog, *, owner: str, accepts_stream: bool, is_primed: bool) -> None:
        """`owner` is the caller who alone can come back."""
        super().__init__(send, accepts_stream=accepts_stream)
        self._log = log
        self._is_primed = is_primed
        self._owner = owner
        self._sequence = 0
        self._is_kept = True

    @cached_property
    def _stream(self) -> UUID:
        """Most channels end without having been a stream, and an id costs more than the rest of them."""
        return uuid4()

    async def send(self, message: bytes) -> None:
        """Keep a message, and send it."""
        if self.accepts_stream:
            await self._keep(message, is_last=False)

    async def offer(self, message: bytes) -> None:
        """Send a message that is not worth keeping."""
        await self._begin()
        if self.accepts_stream and not self._writing.locked():
            await self._write(encode_event(message))

    async def keep_alive(self) -> None:
        """Say nothing, on a stream that can be left."""
        await self._begin()
        await super().keep_alive()

    async def finish(self, reply: Reply) -> None:
        """Send the answer, as JSON or as the last event."""
        if self._sequence and reply.body:
            await self._keep(reply.body, is_last=True)
        else:
            await super().finish(reply)

    async def release(self, retry_seconds: float) -> None:
        """Close the connection; the client comes back for what is said meanwhile."""
        if not self.accepts_stream or not self._is_primed:
            return
        await self._begin()
        if self._is_kept:
            await self._write(b"retry: %d\n\n" % (retry_seconds * 1000), is_last=True)
            self._is_lost = True

    async def _begin(self) -> None:
        if self._sequence or not self.accepts_stream:
            return
        self._sequence = 1
        await self._try_to_keep(StreamEvent(1, b"", is_last=False))
        if self._is_primed and self._is_kept:
            await self._write(b"id: %b\nretry: %d\ndata: \n\n" % (self._id(1), RETRY_MS))

    async def _keep(self, message: bytes, *, is_last: bool) -> None:
        await self._begin()
        self._sequence += 1
        sequence = self._sequence
        await self._try_to_keep(StreamEvent(sequence, message, is_last))
        await self._write(encode_event(message, self._id(sequence) if self._is_kept else None), is_last=is_last)

    async def _try_to_keep(self, event: StreamEvent) -> None:
        """What cannot be kept is said all the same; from then on the stream can only be read where it is."""
        if not self._is_kept:
            return
        try:
            await self._log.add(key_of(self._stream, self._owner), event)
        except DatabaseUnavailable as error:
            self._is_kept = False
            logger.warning("a stream goes on without being kept", reason=error.message)

    def _id(self, sequence: int) -> bytes:
        return b"%b-%d" % (self._stream.hex.encode(), sequence)


def key_of(stream: UUID, owner: str) -> UUID:
    """What a stream is kept under: whoever knows its id and is another caller finds nothing."""
    return UUID(bytes=hashlib.blake2b(stream.bytes + owner.encode(), digest_size=16).digest())


def read_event_id(text: str) -> tuple[UUID, int]:
    """The stream and the number in an id of ours.

    Raises:
        NotFound: It is none.
    """
    stream, _, sequence = text.partition("-")
    try:
        return UUID(hex=stream), int(sequence)
    except ValueError as error:
        raise NotFound(f"Last-Event-ID {text[:100]!r} is none of ours") from error


def encode_kept(stream: UUID, event: StreamEvent) -> bytes:
    """An event as it was first sent."""
    return encode_event(event.message, b"%b-%d" % (stream.hex.encode(), event.sequence))
