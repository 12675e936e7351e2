"""What went wrong with one upstream, and when it is tried again.

One that fails to start, or dies, is left alone for a pause that doubles each time, with some chance in it; after
`restarts` failures in a row it has `failed`, which is logged as an error, and one attempt is made each FAILED_SECONDS
at most. A failure that lasts (a refused token, a missing program) fails at once. A circuit breaker counts calls without
a proper answer besides.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Iterator

import structlog

from toolbox.breaker import Breaker, BreakerOpen
from toolbox.definitions import Upstream
from toolbox.errors import UpstreamFailed
from toolbox.metrics import BREAKER_OPEN, UPSTREAM_FAILED, UPSTREAM_FAILURES
from toolbox.upstreams.logs import Log

logger = structlog.get_logger(__name__)

MAX_PAUSE_SECONDS = 60.0
FAILED_SECONDS = 300.0
PATIENCE_SECONDS = 10.0
"""How long a call waits for the end of a pause; one that lasts longer is an answer."""
BREAKER_FAILURES = 5
BREAKER_SECONDS = 15.0


class Failures:
    """Counts what goes wrong, and says whether an upstream is left alone."""

    def __init__(self, upstream: Upstream, log: Log) -> None:
        self._upstream = upstream
        self._log = log
        self._breaker = Breaker(failures=BREAKER_FAILURES, rest_seconds=BREAKER_SECONDS, counted=UpstreamFailed)
        self._in_a_row = 0
        self._retry_at = 0.0
        self.last: str | None = None
        """What went wrong, until it works again."""
        self.is_final = False
        """Whether it has failed too often, or in a way that lasts."""

    @property
    def pause_seconds(self) -> float:
        """How long it is left alone from now on; nothing, or less, where it is not."""
        return self._retry_at - time.monotonic()

    @property
    def is_left_alone(self) -> bool:
        """Whether nobody asks it now."""
        return self.is_breaker_open or self.pause_seconds > 0

    @property
    def is_breaker_open(self) -> bool:
        """Whether too many calls got no proper answer."""
        return self._breaker.problem is not None

    @property
    def problem(self) -> str | None:
        """Why it is left alone."""
        return self.last or self._breaker.problem

    async def wait(self) -> None:
        """Wait for the end of a pause.

        Raises:
            UpstreamFailed: It lasts too long.
        """
        pause = self.pause_seconds
        if pause <= 0:
            return
        if self.is_final or pause > PATIENCE_SECONDS:
            raise UpstreamFailed(f"{self.last}; it is tried again in {pause:.0f} s")
        await asyncio.sleep(pause)

    @contextlib.contextmanager
    def use_breaker(self) -> Iterator[None]:
        """Let the breaker count what becomes of a call, or refuse it."""
        try:
            with self._breaker.use():
                yield
        except BreakerOpen as error:
            raise UpstreamFailed(
                f"it is left alone for a moment, as it failed several times in a row: {error}"
            ) from error

    def count_silence(self, what: str) -> None:
        """Count a call that was given up without an answer."""
        self._breaker.count_failure(what)

    def count(self, error: UpstreamFailed, *, is_first_start: bool) -> None:
        """Count a start that failed, or a session that ended by itself; the first one is tried again at once."""
        self._in_a_row += 1
        self.last = error.message
        self._log.add("toolbox", error.message)
        UPSTREAM_FAILURES[(self._upstream.name,)].inc()
        told = {"upstream": self._upstream.name, "reason": error.message, "times": self._in_a_row}
        if error.is_lasting or self._in_a_row > self._upstream.restarts:
            self.is_final = True
            self._retry_at = time.monotonic() + FAILED_SECONDS
            self.show()
            logger.error("an upstream has failed", **told)
            return
        if self._in_a_row == 1:
            pause = self._upstream.backoff_seconds if is_first_start else 0.0
        else:
            pause = min(self._upstream.backoff_seconds * 2 ** (self._in_a_row - 1), MAX_PAUSE_SECONDS)
        pause *= random.uniform(0.75, 1.25)  # noqa: S311 - it only keeps replicas from coming all at once
        self._retry_at = time.monotonic() + pause
        self.show()
        logger.warning("an upstream failed", **told)

    def start_over(self) -> None:
        """Count from the beginning: it was healthy."""
        self._in_a_row = 0

    def connected(self) -> bool:
        """Take note of a new session; gives back whether it is there again after it had failed."""
        was_failing = self.last is not None
        self.last, self.is_final = None, False
        return was_failing

    def forgive(self) -> None:
        """Forget everything: somebody has mended it."""
        self._in_a_row, self._retry_at, self.last, self.is_final = 0, 0.0, None, False
        self._breaker.close()
        self.show()

    def show(self) -> None:
        """Let the metrics tell how it is; one whose pause is over may be used, even if nobody does so for days."""
        UPSTREAM_FAILED[(self._upstream.name,)].set(self.is_final or self.is_left_alone)
        BREAKER_OPEN[(f"upstream {self._upstream.name}",)].set(self.is_breaker_open)
