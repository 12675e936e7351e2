"""Child processes of tools: a clean environment, limits on everything, and nothing left over when a call is over.

Each child leads a session of its own in a folder of its own. Whatever it has started is found again by its group and
by a mark in its environment, and killed when the child ends, the time is over or the caller gives up.
"""

import asyncio
import contextlib
import os
import resource
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from toolbox.errors import ToolError

MARK = "TOOLBOX_CALL"
"""The variable by which the processes of a call are known."""
DRAIN_SECONDS = 1.0
"""How long to read on when the child has ended: nothing of its own writes any more."""
LOOK_SECONDS = 0.5
"""How often to look whether the child has ended: who waits for it may wait for its pipes, which others hold open."""
_CHUNK = 64 * 1024


class Limits(Struct, frozen=True, kw_only=True):
    """What a child may use; memory is what it has written to, for each process of it."""

    cpu_seconds: int
    memory_bytes: int = 1024 * 1024 * 1024
    file_bytes: int = 256 * 1024 * 1024
    open_files: int = 256
    output_bytes: int = 1024 * 1024


class Finished(Struct, frozen=True):
    """What a child has left."""

    status: int
    output: bytes
    errors: bytes


class Workshop:
    """Folders for children: one for each, gone when it ends, and one for what package runners keep."""

    def __init__(self) -> None:
        self._root: Path | None = None

    @property
    def root(self) -> Path:
        """This process's own folder, that nobody else may enter."""
        if self._root is None:
            self._root = Path(tempfile.mkdtemp(prefix="toolbox-tools-"))
        return self._root

    @contextlib.contextmanager
    def folder(self) -> Iterator[Path]:
        """A folder for one child."""
        made = Path(tempfile.mkdtemp(dir=self.root))
        try:
            yield made
        finally:
            shutil.rmtree(made, ignore_errors=True)

    def close(self) -> None:
        """Remove everything."""
        if self._root is not None:
            shutil.rmtree(self._root, ignore_errors=True)


async def run_process(
    argv: Sequence[str], *, workshop: Workshop, environment: Mapping[str, str], limits: Limits, stdin: bytes = b""
) -> Finished:
    """Run a child to its end; with the call that waits for it, everything that it has started ends too.

    Raises:
        ToolError: It cannot be started, or writes more than it may.
    """
    mark = secrets.token_hex(16)
    with workshop.folder() as folder:
        private = {"HOME": str(folder), "TMPDIR": str(folder), "PWD": str(folder), MARK: mark}
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                cwd=folder,
                env={**environment, **private},
                start_new_session=True,
            )
        except (OSError, ValueError) as error:  # too long an argument, one that no system takes, no such program
            reason = getattr(error, "strerror", None) or error
            raise ToolError(f"{argv[0]} cannot be started: {reason}") from error
        try:
            _limit(process.pid, limits)
            return await _communicate(process, stdin, limits.output_bytes)
        finally:
            await asyncio.shield(_end(process, mark))


async def _communicate(process: asyncio.subprocess.Process, stdin: bytes, most: int) -> Finished:
    assert process.stdout is not None  # noqa: S101 - all three are pipes
    assert process.stderr is not None  # noqa: S101
    output, errors = bytearray(), bytearray()
    async with asyncio.TaskGroup() as group:
        feeding = group.create_task(_feed(process, stdin))
        reading = [
            group.create_task(_read(process.stdout, output, most)),
            group.create_task(_read(process.stderr, errors, most)),
        ]
        status = await _wait_or_fail(process, reading)
        # Others may hold the pipes open that the child has left behind.
        await asyncio.wait(reading, timeout=DRAIN_SECONDS)
        for task in (feeding, *reading):
            task.cancel()
    if len(output) > most or len(errors) > most:
        raise ToolError(f"it writes more than {most:,} bytes")
    return Finished(status, bytes(output), bytes(errors))


async def _wait_or_fail(process: asyncio.subprocess.Process, reading: "list[asyncio.Task[bool]]") -> int:
    """The child's status; it is not waited for when it has written too much."""
    waiting = asyncio.create_task(process.wait())
    pending: set[asyncio.Task[bool]] = set(reading)
    try:
        while not waiting.done():
            done, _ = await asyncio.wait({waiting, *pending}, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            finished = {task for task in pending if task in done}
            if any(not task.result() for task in finished):
                return -signal.SIGKILL
            pending -= finished
            if process.returncode is not None:
                return process.returncode
        return waiting.result()
    finally:
        waiting.cancel()


async def _feed(process: asyncio.subprocess.Process, stdin: bytes) -> None:
    assert process.stdin is not None  # noqa: S101
    with contextlib.suppress(ConnectionError):  # it need not read what it is given
        process.stdin.write(stdin)
        await process.stdin.drain()
    process.stdin.close()


async def _read(stream: asyncio.StreamReader, into: bytearray, most: int) -> bool:
    """Read to the end; false if that is further than it may be."""
    while chunk := await stream.read(_CHUNK):
        into += chunk
        if len(into) > most:
            return False
    return True


def _limit(pid: int, limits: Limits) -> None:
    """Set limits from outside: code between fork and exec could hang where other threads run."""
    if sys.platform != "linux":
        return
    wanted = {
        resource.RLIMIT_CPU: limits.cpu_seconds,
        resource.RLIMIT_DATA: limits.memory_bytes,
        resource.RLIMIT_FSIZE: limits.file_bytes,
        resource.RLIMIT_NOFILE: limits.open_files,
        resource.RLIMIT_CORE: 0,
    }
    for kind, most in wanted.items():
        with contextlib.suppress(OSError, ValueError):  # it is gone already, or its limits are lower
            resource.prlimit(pid, kind, (most, most))


async def _end(process: asyncio.subprocess.Process, mark: str) -> None:
    """Kill what is left, and wait for the child, so that no zombie stays."""
    _kill_group(process.pid)
    await asyncio.to_thread(_kill_marked, mark)
    transport = getattr(process, "_transport", None)
    if transport is not None:
        transport.close()  # its pipes, which are full perhaps: nobody reads on, and who waits would wait for them
    await process.wait()


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def _kill_marked(mark: str) -> None:
    """Kill what has left the group but not its environment, until nothing is found: it may be starting others."""
    if sys.platform != "linux":
        return
    wanted = f"{MARK}={mark}".encode()
    for _ in range(20):
        found = [pid for pid in _own_processes() if wanted in _read_environment(pid).split(b"\0")]
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not found:
            return


def _own_processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _read_environment(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:  # another user's, or gone; a zombie's is empty
        return b""
