"""The processes that run regular expressions: each answers one request and ends, or is killed when its time is over.

Starting an interpreter takes far longer than a search. So while the plugin is in use, each request leaves a process
behind that is started already and waits for the next one; no two requests ever share a process.
"""

import contextlib
import os
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path

from toolbox_text import pattern_process

KEPT = 2
"""How many processes wait at most: each takes about 8 MiB."""


class PatternProcesses:
    """Starts processes, ahead of need while it is open."""

    def __init__(self) -> None:
        self._waiting: deque[subprocess.Popen[bytes]] = deque()
        self._users = 0

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Keep processes waiting from the first request on; none is left at the end."""
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            self._dismiss()

    def answer(self, request: bytes, timeout_seconds: float) -> tuple[int, bytes]:
        """The status with which a process ended, and what it wrote.

        Raises:
            subprocess.TimeoutExpired: It took too long, and was killed.
        """
        with self._take() as process:
            try:
                written, _ = process.communicate(request, timeout=timeout_seconds)
            finally:
                process.kill()
        self._prepare()
        return process.returncode, written

    def _take(self) -> subprocess.Popen[bytes]:
        """One that waits, unless something has ended it meanwhile; else a new one."""
        with contextlib.suppress(IndexError):  # several threads may take at the same time
            while (process := self._waiting.popleft()).poll() is not None:
                _end(process)
            return process
        return _start()

    def _prepare(self) -> None:
        if self._users and len(self._waiting) < KEPT:
            self._waiting.append(_start())
            if not self._users:  # closed by another thread meanwhile
                self._dismiss()

    def _dismiss(self) -> None:
        with contextlib.suppress(IndexError):
            while True:
                _end(self._waiting.popleft())


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - the program is this interpreter with a file of this package
        # -I and -S: only the standard library, whatever the environment says; it is the fastest start as well
        [sys.executable, "-I", "-S", str(Path(pattern_process.__file__))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=_clean_environment(),
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    with process:  # closes its pipes and waits for it
        process.kill()


def _clean_environment() -> dict[str, str]:
    """Only what an interpreter may need to start: it has no use for the service's secrets."""
    needed = ("LD_LIBRARY_PATH", "SYSTEMROOT")
    return {name: os.environ[name] for name in needed if name in os.environ}
