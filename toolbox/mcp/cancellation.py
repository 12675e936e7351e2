"""Stopping the work on a request that its client does not want any more.

In the stateless era a client closes the connection. In the handshake era that means nothing; it sends a notification.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

from toolbox.mcp.messages import MessageId
from toolbox.mcp.streams import Channel
from toolbox.waiting import Watched

T = TypeVar("T")

PATIENCE_SECONDS = 0.05
"""Nobody looks whether the client is still there before this: most requests are over by then, and looking costs."""

KEEP_ALIVE_SECONDS = 15.0
"""A client, or a proxy on the way, that has heard nothing for so long is told that the work goes on."""


class CancelledByClient(Exception):
    """The client does not want the answer any more, and gets none."""


async def attended(
    receive: Callable[[], Awaitable[Any]], channel: Channel, work: Awaitable[T], *, until_disconnect: bool
) -> T:
    """What work comes to, while the connection is kept alive; with `until_disconnect` it ends with the connection.

    The body of the request must have been read: all that an ASGI server has to say after it is that the client is gone.

    Raises:
        CancelledByClient: The client went first, and work is cancelled.
    """
    return await Watched(work, lambda: _Attendant(receive, channel, until_disconnect=until_disconnect))


class _Attendant:
    """Looks after one request that has to wait, and takes its time."""

    def __init__(self, receive: Callable[[], Awaitable[Any]], channel: Channel, *, until_disconnect: bool) -> None:
        self._has_cancelled = False
        self._receive = receive
        self._channel = channel
        self._until_disconnect = until_disconnect
        self._watcher: asyncio.Task[None] | None = None

    def __enter__(self) -> None:
        self._loop = asyncio.get_running_loop()
        task = asyncio.current_task(self._loop)
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        self._task = task
        self._timer = self._loop.call_later(PATIENCE_SECONDS, self._start)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._timer.cancel()
        if self._watcher:
            self._watcher.cancel()
        # If somebody else wants this to end, too, that counts.
        if kind is asyncio.CancelledError and self._has_cancelled and self._task.uncancel() == 0:
            raise CancelledByClient from None

    def _start(self) -> None:
        self._watcher = self._loop.create_task(self._attend())

    async def _attend(self) -> None:
        leaving = asyncio.ensure_future(self._until_gone())
        try:
            while not (await asyncio.wait([leaving], timeout=KEEP_ALIVE_SECONDS))[0]:
                await self._channel.keep_alive()
        finally:
            leaving.cancel()
        if self._until_disconnect:
            self._has_cancelled = True
            self._task.cancel()

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass


class Running:
    """The requests that are worked on here, as clients name them: by session and id."""

    def __init__(self) -> None:
        self._tasks = dict[tuple[str, MessageId], asyncio.Task[Any]]()
        self._cancelled = set[asyncio.Task[Any]]()

    def run(self, session_id: str, request_id: MessageId, work: Awaitable[T]) -> Awaitable[T]:
        """What work comes to; while it has to wait it can be cancelled by name.

        Raises:
            CancelledByClient: It was.
        """
        if not session_id:  # whoever has no session could name the request of somebody else
            return work
        return Watched(work, lambda: self._named((session_id, request_id)))

    @contextlib.contextmanager
    def _named(self, key: tuple[str, MessageId]) -> Iterator[None]:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - what waits is a task
        self._tasks[key] = task
        try:
            yield
        except asyncio.CancelledError:
            if task not in self._cancelled or task.uncancel() > 0:
                raise
            raise CancelledByClient from None
        finally:
            self._cancelled.discard(task)
            if self._tasks.get(key) is task:
                del self._tasks[key]

    def cancel(self, session_id: str, request_id: MessageId) -> bool:
        """Stop the work on a request; false if there is none, here."""
        task = self._tasks.pop((session_id, request_id), None)
        if task is None:
            return False
        self._cancelled.add(task)
        task.cancel()
        return True
