"""Awaiting work that most often is over at once: what it would cost to watch it is only spent when it has to wait.

Code between two awaits that really wait cannot be interrupted anyhow, so neither a time limit nor a look whether the
client is still there would do anything before.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

T = TypeVar("T")


class Watched(Awaitable[T], Generic[T]):
    """Work whose wait happens inside a context manager; if it need not wait, that is not even made."""

    __slots__ = ("_watch", "_work")

    def __init__(self, work: Awaitable[T], watch: Callable[[], AbstractContextManager[object]]) -> None:
        self._work = work
        self._watch = watch

    def __await__(self) -> Generator[Any, Any, T]:
        steps = self._work.__await__()
        try:
            waits_for = next(steps)
        except StopIteration as done:
            result: T = done.value
            return result
        with self._watch():
            return (yield from _go_on(steps, waits_for))


def _go_on(steps: Generator[Any, Any, T], waits_for: Any) -> Generator[Any, Any, T]:
    """What `yield from` does (PEP 380), from the second step on."""
    try:
        while True:
            try:
                sent = yield waits_for
            except GeneratorExit:
                steps.close()
                raise
            except BaseException as error:  # noqa: BLE001 - whatever is thrown in belongs to the work
                waits_for = steps.throw(error)
            else:
                waits_for = steps.send(sent)
    except StopIteration as done:
        result: T = done.value
        return result


class TimeLimit:
    """Cancels the task that is in the block when it takes too long, and makes a TimeoutError of that.

    As asyncio.timeout, but the time counts from when it is made, and the block is not asynchronous itself.
    """

    __slots__ = ("_cancelling", "_end", "_has_expired", "_task", "_timer")

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._has_expired = False

    @property
    def has_expired(self) -> bool:
        """Whether it took too long."""
        return self._has_expired

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None  # noqa: S101 - what waits is a task
        self._task, self._cancelling = task, task.cancelling()
        self._timer = loop.call_later(max(0.0, self._end - time.monotonic()), self._expire)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._timer.cancel()
        if self._has_expired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def _expire(self) -> None:
        self._has_expired = True
        self._task.cancel()
