"""In the stateless era, a client cancels a request by closing its connection."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")

PATIENCE_SECONDS = 0.05
"""Nobody looks whether the client is still there before this: most requests are over by then, and looking costs."""


async def while_connected(receive: Callable[[], Awaitable[Any]], work: Awaitable[T]) -> T | None:
    """What work comes to; None if the client goes first, and work is cancelled.

    The body of the request must have been read: all that an ASGI server has to say after it is that the client is gone.
    """
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine runs in a task
    watch = _Watch(receive, task)
    try:
        return await work
    except asyncio.CancelledError:
        if not watch.is_gone or task.uncancel() > 0:  # somebody else wants this to end
            raise
        return None
    finally:
        watch.stop()


class _Watch:
    """Cancels a task when the client is gone."""

    def __init__(self, receive: Callable[[], Awaitable[Any]], task: "asyncio.Task[Any]") -> None:
        self.is_gone = False
        self._receive = receive
        self._task = task
        self._watcher: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(PATIENCE_SECONDS, self._start)

    def stop(self) -> None:
        self._timer.cancel()
        if self._watcher:
            self._watcher.cancel()

    def _start(self) -> None:
        self._watcher = asyncio.get_running_loop().create_task(self._wait())

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.is_gone = True
        self._task.cancel()
