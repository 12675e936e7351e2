"""Lanes: who may run now, so that no tool takes the places of the others.

A tool may run as many calls at once as there are places left over (dynamic thresholds, Choudhury and Hahne, 1998): one
that is alone gets half of all, a second one half of what is left, and so on. However many slow calls are open, a tool
that has none gets in. The queue is shared out in the same way. No I/O but for the event loop's futures.
"""

import asyncio
from collections import deque
from typing import NamedTuple

from toolbox.errors import Overloaded


class Lane(NamedTuple):
    """Calls that wait for the same thing. Inner calls, made by a tool for a call that has its place, need none."""

    name: str
    is_inner: bool = False


class _Waiter(NamedTuple):
    let_in: asyncio.Future[None]
    limit: int | None


class Lanes:
    """Places for calls, and a queue for those that find none."""

    def __init__(self, places: int, *, queue: int) -> None:
        self._places = places
        self._queue = queue
        self._running = dict[str, int]()
        self._waiting = dict[Lane, deque[_Waiter]]()
        self.running = 0
        """How many places are taken."""
        self.waiting = 0
        """How many calls wait for one."""

    async def enter(self, lane: Lane, *, limit: int | None = None, patience_seconds: float) -> None:
        """Take a place for a call of a tool, whose own limit may be lower; give it back with `leave`.

        Raises:
            Overloaded: Too many calls wait already, or this one has waited too long.
        """
        if lane not in self._waiting and self._has_place(lane, limit):
            self._take(lane)
            return
        waiting = len(self._waiting.get(lane, ()))
        if waiting >= self._queue - self.waiting:
            raise Overloaded(f"{self.waiting} calls wait for a free place, {waiting} of {lane.name}; try again later")
        await self._wait(lane, limit, patience_seconds)

    def leave(self, lane: Lane) -> None:
        """Give a place back, and let in whoever may go now."""
        self.running -= not lane.is_inner
        left = self._running[lane.name] - 1
        if left:
            self._running[lane.name] = left
        else:
            del self._running[lane.name]
        if self._waiting:
            self._let_in()

    def _has_place(self, lane: Lane, limit: int | None) -> bool:
        running = self._running.get(lane.name, 0)
        return (lane.is_inner or running < self._places - self.running) and (limit is None or running < limit)

    def _take(self, lane: Lane) -> None:
        self.running += not lane.is_inner
        self._running[lane.name] = self._running.get(lane.name, 0) + 1

    async def _wait(self, lane: Lane, limit: int | None, patience_seconds: float) -> None:
        waiter = _Waiter(asyncio.get_running_loop().create_future(), limit)
        self._waiting.setdefault(lane, deque()).append(waiter)
        self.waiting += 1
        try:
            async with asyncio.timeout(patience_seconds):
                await waiter.let_in
        except BaseException as error:
            if waiter.let_in.done() and not waiter.let_in.cancelled():
                self.leave(lane)  # it was let in at the moment in which it gave up
            else:
                self._forget(lane, waiter)
            if isinstance(error, TimeoutError):
                raise Overloaded(f"no place for {lane.name} became free within {patience_seconds:g} s") from error
            raise

    def _let_in(self) -> None:
        """Those whose tools run least go first, so that a crowd holds nobody up."""
        for lane in sorted(self._waiting, key=lambda lane: self._running.get(lane.name, 0)):
            queue = self._waiting[lane]
            while queue and (queue[0].let_in.done() or self._has_place(lane, queue[0].limit)):
                waiter = queue.popleft()
                self.waiting -= 1
                if not waiter.let_in.done():  # else it has just given up
                    self._take(lane)
                    waiter.let_in.set_result(None)
            if not queue:
                del self._waiting[lane]

    def _forget(self, lane: Lane, waiter: _Waiter) -> None:
        queue = self._waiting.get(lane, deque())
        if waiter in queue:
            queue.remove(waiter)
            self.waiting -= 1
            if not queue:
                del self._waiting[lane]
