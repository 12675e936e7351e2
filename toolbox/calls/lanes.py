"""Lanes: who may run now, so that no tool takes the places of the others.

A tool may run as many calls at once as there are places left over (dynamic thresholds, Choudhury and Hahne, 1998): one
that is alone gets half of all, a second one half of what is left, and so on. However many slow calls are open, a tool
that has none gets in. The queue is shared out in the same way. No I/O but for the event loop's futures.
"""

from typing import NamedTuple

from toolbox.waiting import Places


class Lane(NamedTuple):
    """Calls that wait for the same thing. Inner calls, made by a tool for a call that has its place, need none."""

    name: str
    is_inner: bool = False


class Lanes(Places[Lane]):
    """Places for calls, and a queue for those that find none."""

    def __init__(self, places: int, *, queue: int) -> None:
        super().__init__(places, queue=queue, what="the executor")
        self._running = dict[str, int]()

    def has_place(self, line: Lane, limit: int | None) -> bool:
        """See Places: what a tool runs already is no more than what it leaves to others."""
        running = self._running.get(line.name, 0)
        return (line.is_inner or running < self._places - self.running) and (limit is None or running < limit)

    def is_full(self, line: Lane) -> bool:
        """See Places: as many wait already as it leaves room for others."""
        return self.count_waiting(line) >= self._queue - self.waiting

    def in_order(self) -> list[Lane]:
        """Those whose tools run least go first, so that a crowd holds nobody up."""
        return sorted(self._lines, key=lambda lane: self._running.get(lane.name, 0))

    def take(self, line: Lane) -> None:
        """See Places."""
        self.running += not line.is_inner
        self._running[line.name] = self._running.get(line.name, 0) + 1

    def give_back(self, line: Lane) -> None:
        """See Places."""
        self.running -= not line.is_inner
        left = self._running[line.name] - 1
        if left:
            self._running[line.name] = left
        else:
            del self._running[line.name]
