"""Stopping the work on a request that its client does not want any more.

In the stateless era a client closes the connection. In the handshake era that means nothing; it sends a notification.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from toolbox.mcp.messages import MessageId
from toolbox.mcp.streams import Channel

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
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine runs in a task
    attendant = _Attendant(receive, channel, task, until_disconnect)
    try:
        return await work
    except asyncio.CancelledError:
        if not attendant.has_cancelled or task.uncancel() > 0:  # somebody else wants this to end
            raise
        raise CancelledByClient from None
    finally:
        attendant.stop()


class _Attendant:
    """Looks after one request that takes its time."""

    def __init__(
        self, receive: Callable[[], Awaitable[Any]], channel: Channel, task: "asyncio.Task[Any]", until_disconnect: bool
    ) -> None:
        self.has_cancelled = False
        self._receive = receive
        self._channel = channel
        self._task = task
        self._until_disconnect = until_disconnect
        self._watcher: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(PATIENCE_SECONDS, self._start)

    def stop(self) -> None:
        self._timer.cancel()
        if self._watcher:
            self._watcher.cancel()

    def _start(self) -> None:
        self._watcher = asyncio.get_running_loop().create_task(self._attend())

    async def _attend(self) -> None:
        leaving = asyncio.ensure_future(self._until_gone())
        try:
            while not (await asyncio.wait([leaving], timeout=KEEP_ALIVE_SECONDS))[0]:
                await self._channel.keep_alive()
        finally:
            leaving.cancel()
        if self._until_disconnect:
            self.has_cancelled = True
            self._task.cancel()

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass


class Running:
    """The requests that are worked on here, as clients name them: by session and id."""

    def __init__(self) -> None:
        self._tasks = dict[tuple[str, MessageId], asyncio.Task[Any]]()
        self._cancelled = set[asyncio.Task[Any]]()

    @contextlib.asynccontextmanager
    async def request(self, session_id: str, request_id: MessageId) -> AsyncIterator[None]:
        """Let the block be cancelled by name.

        Raises:
            CancelledByClient: It was.
        """
        task = asyncio.current_task()
        if not session_id or task is None:  # whoever has no session could name the request of somebody else
            yield
            return
        key = (session_id, request_id)
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
