"""What ties the requests of one client together, without a session that a server would have to keep.

A client's answer, or its wish to cancel, may land on another replica than the request it is about: it is passed on.
"""

import asyncio
from collections.abc import Coroutine
from functools import lru_cache, partial
from typing import Any
from uuid import uuid4

import msgspec
import structlog
from msgspec import Struct

from toolbox.database import Database
from toolbox.errors import ToolboxError
from toolbox.events import Event, Events, notify
from toolbox.mcp.answers import PendingAnswers
from toolbox.mcp.cancellation import Running
from toolbox.mcp.listening import RESOURCE, Listener, Listeners
from toolbox.mcp.messages import ClientResponse, MessageId
from toolbox.mcp.resumption import StreamLog
from toolbox.mcp.session_subscriptions import SessionSubscriptions
from toolbox.mcp.sessions import read_session
from toolbox.seals import SealBroken, Sealer

logger = structlog.get_logger(__name__)

QUESTION_SECONDS = 24 * 3600.0
_QUESTION = "mcp question"


class _Answered(Struct, frozen=True, tag=True):
    """An answer waits in the database."""

    request_id: str


class _Cancelled(Struct, frozen=True, tag=True):
    """A client does not want an answer any more."""

    session_id: str
    request_id: MessageId


class _Subscribed(Struct, frozen=True, tag=True):
    """A session wants to hear of other resources than before."""

    session_id: str


_read_news = msgspec.json.Decoder(_Answered | _Cancelled | _Subscribed).decode


class Conversations:
    """The requests of this replica that wait for something of their client, and the way to those of others."""

    def __init__(self, sealer: Sealer, database: Database, events: Events, *, max_streams: int) -> None:
        self.sealer = sealer
        self.running = Running()
        self.listeners = Listeners(events, limit=max_streams)
        self.streams = StreamLog(database, events)
        self.subscriptions = SessionSubscriptions(database)
        self.read_session = lru_cache(4096)(partial(read_session, sealer))
        """The session of a request, by its header; each client sends the same one again and again."""
        self.pending = PendingAnswers(self._new_question_id)
        self._database = database
        self._passing = set[asyncio.Task[None]]()
        events.subscribe("clients", self._hear)

    async def take_answer(self, response: ClientResponse) -> None:
        """Hand an answer to the request that waits for it, here or elsewhere; one to no question of ours is dropped."""
        if self.pending.settle(response) or not isinstance(response.id, str):
            return
        try:
            self.sealer.open(_QUESTION, response.id)
        except SealBroken:
            return
        async with self._database.transaction() as connection:
            await connection.execute("delete from client_answers where created_at < now() - interval '10 minutes'")
            await connection.execute(
                "insert into client_answers (request_id, answer) values ($1, $2) on conflict do nothing",
                response.id,
                msgspec.json.encode(response),
            )
            await notify(connection, "clients", msgspec.json.encode(_Answered(response.id)).decode())

    async def cancel(self, session_id: str, request_id: MessageId) -> None:
        """Stop the work on a request of a session, here or elsewhere."""
        if not session_id or self.running.cancel(session_id, request_id):
            return
        news = msgspec.json.encode(_Cancelled(session_id, request_id)).decode()
        if len(news) < MAX_NEWS:
            await notify(self._database, "clients", news)

    async def subscribe(self, session_id: str, uri: str, *, is_wanted: bool) -> None:
        """Let a session hear of a resource, or no more, wherever its stream is.

        Raises:
            InvalidRequest: It hears of too many already.
        """
        change = self.subscriptions.add if is_wanted else self.subscriptions.remove
        await change(session_id, uri)
        await notify(self._database, "clients", msgspec.json.encode(_Subscribed(session_id)).decode())

    async def tune(self, listener: Listener) -> None:
        """Let a stream hear of what its session has subscribed to by now."""
        uris = await self.subscriptions.read(listener.session_id)
        listener.wanted = listener.wishes.changes | {RESOURCE + uri for uri in uris}

    def end_streams(self) -> None:
        """End all that would stay open: the process stops, and clients come back to another one."""
        self.pending.close()
        self.listeners.close()
        self.streams.close()

    def _new_question_id(self) -> str:
        """An id that nobody can guess or make, so that only answers to questions of ours are kept for anybody."""
        return self.sealer.seal(_QUESTION, uuid4().bytes, seconds=QUESTION_SECONDS)

    def _hear(self, event: Event) -> None:
        if event.is_resync:
            for request_id in self.pending.ids:
                self._start(self._fetch(request_id))
            for listener in self.listeners.of_sessions():
                self._start(self._tune(listener))
            return
        news = _read_news(event.payload)
        if isinstance(news, _Subscribed):
            for listener in self.listeners.of_sessions(news.session_id):
                self._start(self._tune(listener))
        elif isinstance(news, _Cancelled):
            self.running.cancel(news.session_id, news.request_id)
        elif news.request_id in self.pending.ids:
            self._start(self._fetch(news.request_id))

    async def _tune(self, listener: Listener) -> None:
        try:
            await self.tune(listener)
        except ToolboxError as error:
            logger.warning("what a client has subscribed to cannot be read", reason=error.message)

    async def _fetch(self, request_id: str) -> None:
        try:
            row = await self._database.fetch_row(
                "delete from client_answers where request_id = $1 returning answer", request_id
            )
        except ToolboxError as error:
            logger.warning("a client's answer cannot be fetched", reason=error.message)
            return
        if row:
            self.pending.settle(msgspec.json.decode(row["answer"], type=ClientResponse))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._passing.add(task)  # the event loop keeps no task alive by itself
        task.add_done_callback(self._passing.discard)


MAX_NEWS = 1_000
"""Characters: the id of a request can be as long as its client likes."""
