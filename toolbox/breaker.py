"""A circuit breaker: a part that failed several times in a row is left alone for a while, then tried by one caller.

Libraries for this let every waiting caller try at once, which is what a part that just came back needs least.
"""

import contextlib
import time
from collections.abc import Callable, Iterator


class BreakerOpen(Exception):
    """The part failed lately and is left alone; the message says why."""


class Breaker:
    """Counts the failures of one part.

    closed: everybody may use it. After `failures` in a row it opens: nobody may, for `rest_seconds`. Then it is half
    open: the next caller tries, all others are still refused, and what comes of it closes or opens it again.

    It belongs to one event loop.
    """

    def __init__(
        self,
        *,
        failures: int,
        rest_seconds: float,
        counted: type[Exception] | tuple[type[Exception], ...],
        inconclusive: type[Exception] | tuple[type[Exception], ...] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin closed.

        Args:
            failures: How many in a row open it.
            rest_seconds: How long nobody may use the part then.
            counted: The errors that mean the part is out of order; with any other it did answer.
            inconclusive: The errors that say neither: nothing changes, and after a rest the next caller may try.
            clock: Seconds that never go back.
        """
        self._failures = failures
        self._rest_seconds = rest_seconds
        self._counted = counted
        self._inconclusive = inconclusive
        self._clock = clock
        self._failed = 0
        self._rests_until = 0.0
        self._is_probed = False
        self._problem: str | None = None

    @property
    def problem(self) -> str | None:
        """The failure that opened it, until a try succeeds; None while it is closed."""
        return self._problem

    @contextlib.contextmanager
    def use(self) -> Iterator[bool]:
        """Use the part while the block runs; gives whether this is the one try of a half-open breaker.

        Raises:
            BreakerOpen: It is open, or half open and somebody else is trying.
        """
        is_probe = self._admit()
        try:
            yield is_probe
        except self._counted as error:
            self._count_failure(str(error) or type(error).__name__, is_probe=is_probe)
            raise
        except self._inconclusive:
            raise
        except Exception:
            self._count_success(is_probe=is_probe)
            raise
        else:
            self._count_success(is_probe=is_probe)
        finally:
            # A try that was cancelled says nothing, and must not keep the next caller from trying.
            self._is_probed = self._is_probed and not is_probe

    def rest(self, seconds: float, problem: str) -> None:
        """Open it at once: the part itself asks to be left alone for so long."""
        self._problem = problem
        self._rests_until = max(self._rests_until, self._clock() + seconds)

    def count_failure(self, problem: str) -> None:
        """Count a failure that showed itself in another way than by an error, as when a caller gave up waiting."""
        self._count_failure(problem, is_probe=False)

    def close(self) -> None:
        """Begin anew: somebody has mended the part."""
        self._failed = 0
        self._problem = None
        self._rests_until = 0.0

    def _admit(self) -> bool:
        if self._problem is None:
            return False
        if self._is_probed or self._clock() < self._rests_until:
            raise BreakerOpen(self._problem)
        self._is_probed = True
        return True

    def _count_failure(self, problem: str, *, is_probe: bool) -> None:
        self._failed += 1
        # Whoever began before it opened tells nothing new, and must not prolong the rest.
        if is_probe or (self._problem is None and self._failed >= self._failures):
            self.rest(self._rest_seconds, problem)

    def _count_success(self, *, is_probe: bool) -> None:
        if is_probe or self._problem is None:
            self._failed = 0
            self._problem = None
