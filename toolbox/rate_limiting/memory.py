"""Counts in the memory of one process: bounded, and what has ended is forgotten."""

import time
from array import array
from collections import OrderedDict
from collections.abc import Callable, Sequence

from toolbox.rate_limiting.windows import Verdict, Window, decide

MAX_KEYS = 100_000
"""About 350 bytes each. When there are more, those that were not seen for longest are forgotten."""

_NUMBERS = 3
"""Of each window: which one it is, its count, and the count of the one before."""


class MemoryCounts:
    """Counts of this process alone."""

    def __init__(self, max_keys: int = MAX_KEYS, clock: Callable[[], float] = time.time) -> None:
        self._max_keys = max_keys
        self._clock = clock
        self._counts: OrderedDict[str, array[float]] = OrderedDict()

    def __len__(self) -> int:
        """How many keys are kept."""
        return len(self._counts)

    def take(self, key: str, windows: Sequence[Window], cost: int = 1) -> Verdict:
        """Count a request if all windows have room for it."""
        now = self._clock()
        numbers = self._counts.get(key)
        if numbers is None:
            numbers = self._counts[key] = array("d", [0.0] * (_NUMBERS * len(windows)))
            self._forget(now, max(window.seconds for window in windows))
        else:
            self._counts.move_to_end(key)
        for place, window in enumerate(windows):
            _turn(numbers, place * _NUMBERS, now // window.seconds)
        counts = [(int(numbers[at + 1]), numbers[at + 2]) for at in range(0, len(numbers), _NUMBERS)]
        verdict = decide(windows, counts, cost, now)
        if verdict.is_allowed:
            for at in range(0, len(numbers), _NUMBERS):
                numbers[at + 1] += cost
        return verdict

    def _forget(self, now: float, longest: int) -> None:
        """Forget some of those whose windows are all over, and the oldest if there are too many."""
        for _ in range(2):
            key, numbers = next(iter(self._counts.items()))
            if len(self._counts) > self._max_keys or (numbers[-3] and numbers[-3] + 1 < now // longest):
                del self._counts[key]


def _turn(numbers: "array[float]", at: int, index: float) -> None:
    """Let a window be the one of this moment."""
    if numbers[at] != index:
        numbers[at + 2] = numbers[at + 1] if numbers[at] == index - 1 else 0.0
        numbers[at], numbers[at + 1] = index, 0.0
