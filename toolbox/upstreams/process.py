"""A server as a child process: started with a clean environment, its log drained, and ended with all that came of it.

Between ToolBox and the server stands its keeper (toolbox.upstreams.keeper), which outlives ToolBox's own death by as
long as it takes to end the server.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from toolbox.errors import UpstreamFailed
from toolbox.upstreams.keeper import KILL_SECONDS, STDIN_SECONDS
from toolbox.upstreams.logs import Log

KEEPER = Path(__file__).with_name("keeper.py")
GRACE_SECONDS = 2.0
"""How long a server may take to end after SIGTERM."""
INHERITED = ("HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER")
"""What a server sees of ToolBox's own environment; none of it is a secret."""
READ_BYTES = 256 * 1024


class Process:
    """A running server; made by `start_process`."""

    def __init__(self, keeper: asyncio.subprocess.Process, control: int, log: Log, grace_seconds: float) -> None:
        self._keeper = keeper
        self._control: int | None = control
        self._log = log
        self._grace_seconds = grace_seconds
        self._status: int | None = None
        self.pid: int | None = None
        """The server's own process."""
        self.ended = asyncio.Event()
        """Set when the server itself has ended."""
        self._started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._following = asyncio.create_task(self._follow())

    @property
    def input(self) -> asyncio.StreamWriter:
        """The server's standard input."""
        assert self._keeper.stdin is not None  # noqa: S101 - it was started with pipes
        return self._keeper.stdin

    @property
    def output(self) -> asyncio.StreamReader:
        """The server's standard output."""
        assert self._keeper.stdout is not None  # noqa: S101 - as above
        return self._keeper.stdout

    @property
    def is_alive(self) -> bool:
        """Whether anything of it may still be there."""
        return self._keeper.returncode is None

    async def started(self) -> None:
        """Wait until the server runs.

        Raises:
            UpstreamFailed: It could not be started.
        """
        await asyncio.shield(self._started)

    async def stop(self) -> None:
        """End the server and all that came of it; nothing is left when this returns. Twice is once."""
        with contextlib.suppress(OSError, RuntimeError):
            self.input.close()
        self._release()
        patience = STDIN_SECONDS + self._grace_seconds + KILL_SECONDS + 5
        try:
            async with asyncio.timeout(patience):
                await self._gone()
        except TimeoutError:
            self._log.add("toolbox", f"its keeper did not end within {patience:g} s and was killed")
            self._kill()
            await self._gone()

    async def _gone(self) -> None:
        # Not Process.wait(): that waits for the pipes as well, and something may hold them open.
        await asyncio.wait([self._following])
        while self._keeper.returncode is None:  # noqa: ASYNC110 - it is the matter of a moment
            await asyncio.sleep(0.01)
        transport = getattr(self._keeper, "_transport", None)
        if transport is not None:
            transport.close()

    def _release(self) -> None:
        if self._control is not None:
            os.close(self._control)
            self._control = None

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._keeper.kill()
        self._kill_group()

    def _kill_group(self) -> None:
        if self.pid is not None and self._status is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    async def _follow(self) -> None:
        """Read what the keeper says until it is gone."""
        assert self._keeper.stderr is not None  # noqa: S101 - as above
        try:
            while line := await self._keeper.stderr.readline():
                self._hear(line)
        except ValueError:  # longer than any line of a keeper
            self._kill()
        finally:
            self.ended.set()
            self._release()
            self._kill_group()  # a keeper that was killed could not do it
            if not self._started.done():
                self._fail("it ended before it had started")

    def _hear(self, line: bytes) -> None:
        try:
            said = msgspec.json.decode(line, type=dict[str, object])
        except msgspec.DecodeError:  # a keeper that crashes says so in a traceback
            self._log.add("keeper", line.decode(errors="replace").rstrip())
            return
        match said:
            case {"log": text}:
                self._log.add("stderr", str(text))
            case {"started": int(pid)}:
                self.pid = pid
                if not self._started.done():
                    self._started.set_result(None)
            case {"dropped": count}:
                self._log.add("toolbox", f"it writes too much: {count} lines were dropped here")
            case {"failed": why}:
                self._fail(str(why))
            case {"exited": status}:
                self._status = status if isinstance(status, int) else -signal.SIGKILL
                self._log.add("toolbox", f"it has ended ({describe_status(self._status)})")
                self.ended.set()

    def _fail(self, why: str) -> None:
        if not self._started.done():
            self._started.set_exception(UpstreamFailed(why))
            self._started.exception()  # looked at here, so that nobody has to

    @property
    def status(self) -> int | None:
        """The server's exit status, negative for the signal that ended it; None while it runs."""
        return self._status


async def start_process(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: Path | None,
    log: Log,
    grace_seconds: float = GRACE_SECONDS,
) -> Process:
    """Start a server. What is cancelled here is ended.

    Raises:
        UpstreamFailed: It cannot be started.
    """
    if sys.platform == "win32":
        raise UpstreamFailed("ToolBox starts no servers on Windows: give the URL of one that runs", is_lasting=True)
    if folder is not None and not await asyncio.to_thread(folder.is_dir):
        raise UpstreamFailed(f"there is no folder {str(folder)!r} (cwd)", is_lasting=True)
    log.add_start(command[0])
    held, control = os.pipe()
    try:
        keeper = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-S",
            str(KEEPER),
            str(held),
            str(grace_seconds),
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(environment),
            cwd=folder,
            pass_fds=(held,),
            start_new_session=True,  # Ctrl-C on the terminal is ToolBox's affair
        )
    except BaseException:
        os.close(control)
        raise
    finally:
        os.close(held)
    process = Process(keeper, control, log, grace_seconds)
    try:
        await process.started()
    except UpstreamFailed as error:
        await process.stop()
        raise UpstreamFailed(f"{command[0]} cannot be started: {error.message}", is_lasting=True) from error
    except BaseException:
        await asyncio.shield(asyncio.create_task(process.stop()))
        raise
    return process


def inherited_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What every server gets: enough to find programs and its user's home."""
    return {name: environ[name] for name in INHERITED if name in environ}


def describe_status(status: int | None) -> str:
    """An exit status in words."""
    if status is None:
        return "status unknown"
    if status >= 0:
        return f"status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"
