"""Waiting: for work that most often is over at once, and for one of a few places.

What it would cost to watch work is only spent when it has to wait: code between two awaits that really wait cannot be
interrupted anyhow, so neither a time limit nor a look whether the client is still there would do anything before.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Hashable, Iterable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Generic, NamedTuple, Self, TypeVar

from toolbox.errors import Overloaded

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


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


class _Waiter(NamedTuple):
    let_in: asyncio.Future[None]
    limit: int | None


class Places(Generic[K]):
    """So many at a time; whoever finds no place waits in a line, and is refused where too many wait already.

    This one gives places to whoever came first, in whatever line. A subclass shares them out: it says whether
    there `has_place` for one, whether its line `is_full`, and which line goes first (`in_order`).
    """

    def __init__(self, places: int, *, queue: int, what: str) -> None:
        """`what` says in errors what the places are in."""
        self._places = places
        self._queue = queue
        self._what = what
        self._lines = dict[K, deque[_Waiter]]()
        self.running = 0
        """How many places are taken."""
        self.waiting = 0
        """How many wait for one."""

    def resize(self, places: int) -> None:
        """Have more places from now on, or fewer: then those who are in stay."""
        self._places, had = places, self._places
        if places > had and self._lines:
            self._let_in()

    @contextlib.asynccontextmanager
    async def place(self, line: K, *, patience_seconds: float | None = None) -> AsyncIterator[None]:
        """A place while the block runs.

        Raises:
            Overloaded: Too many wait already, or this one has waited too long.
        """
        await self.enter(line, patience_seconds=patience_seconds)
        try:
            yield
        finally:
            self.leave(line)

    async def enter(self, line: K, *, limit: int | None = None, patience_seconds: float | None = None) -> None:
        """Take a place, of which this line may have a lower `limit`; give it back with `leave`.

        Raises:
            Overloaded: Too many wait already, or this one has waited too long.
        """
        if line not in self._lines and self.has_place(line, limit):
            self.take(line)
            return
        if self.is_full(line):
            raise Overloaded(f"{self.waiting} wait for a place in {self._what} already; try again in a moment")
        await self._wait(line, limit, patience_seconds)

    def leave(self, line: K) -> None:
        """Give a place back, and let in whoever may go now."""
        self.give_back(line)
        if self._lines:
            self._let_in()

    def has_place(self, line: K, limit: int | None) -> bool:  # noqa: ARG002 - for subclasses
        """Whether one of this line may go."""
        return self.running < self._places

    def is_full(self, line: K) -> bool:  # noqa: ARG002 - for subclasses
        """Whether nobody more may wait in this line."""
        return self.waiting >= self._queue

    def in_order(self) -> Iterable[K]:
        """The lines in which somebody waits, the one that goes first at the beginning."""
        return list(self._lines)

    def take(self, line: K) -> None:  # noqa: ARG002 - for subclasses
        """Count a place as taken."""
        self.running += 1

    def give_back(self, line: K) -> None:  # noqa: ARG002 - for subclasses
        """Count a place as free again."""
        self.running -= 1

    def count_waiting(self, line: K) -> int:
        """How many wait in a line."""
        return len(self._lines.get(line, ()))

    async def _wait(self, line: K, limit: int | None, patience_seconds: float | None) -> None:
        waiter = _Waiter(asyncio.get_running_loop().create_future(), limit)
        self._lines.setdefault(line, deque()).append(waiter)
        self.waiting += 1
        try:
            async with asyncio.timeout(patience_seconds):
                await waiter.let_in
        except BaseException as error:
            if waiter.let_in.done() and not waiter.let_in.cancelled():
                self.leave(line)  # it was let in at the moment in which it gave up
            else:
                self._forget(line, waiter)
            if isinstance(error, TimeoutError):
                raise Overloaded(f"no place in {self._what} became free within {patience_seconds} s") from error
            raise

    def _let_in(self) -> None:
        for line in self.in_order():
            queue = self._lines[line]
            while queue and (queue[0].let_in.done() or self.has_place(line, queue[0].limit)):
                waiter = queue.popleft()
                self.waiting -= 1
                if not waiter.let_in.done():  # else it has just given up
                    self.take(line)
                    waiter.let_in.set_result(None)
            if not queue:
                del self._lines[line]

    def _forget(self, line: K, waiter: _Waiter) -> None:
        queue = self._lines.get(line, deque())
        if waiter in queue:
            queue.remove(waiter)
            self.waiting -= 1
            if not queue:
                del self._lines[line]
