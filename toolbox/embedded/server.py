"""The server: a postmaster that is started, started again when it dies, and stopped."""

import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from toolbox.embedded.programs import bare_environment
from toolbox.embedded.sockets import PORT
from toolbox.embedded.waiting import POLL_SECONDS, wait_until
from toolbox.errors import EmbeddedPostgresError

_logger = logging.getLogger(__name__)

_READY_SECONDS = 120.0
"""How long a start may take; recovery after a crash is part of it."""
_WATCH_SECONDS = 0.5
_LOG_BYTES = 10_000_000


class Server:
    """A postmaster and the thread that starts it, starts it again when it dies, and stops it.

    The thread lives as long as the server: Linux sends the death signal when the thread that forked ends, not the
    process.
    """

    def __init__(self, cluster: Path, command: list[str]) -> None:
        self._cluster = cluster
        self._command = command
        self._log = cluster.parent / "postgres.log"
        self._started: Future[None] = Future()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="toolbox-postgres", daemon=True)

    def start(self) -> None:
        """Start it and wait until it accepts connections.

        Raises:
            EmbeddedPostgresError: It does not start; says what the server's log says.
        """
        self._thread.start()
        self._started.result()

    def stop(self) -> None:
        """Stop it and wait until it has ended."""
        self._stopping.set()
        self._thread.join()

    def _watch(self) -> None:
        try:
            process = self._launch()
        except BaseException as error:  # noqa: BLE001 - whoever waits in start() gets it
            self._started.set_exception(error)
            return
        self._started.set_result(None)
        pause = _WATCH_SECONDS
        while not self._stopping.wait(pause):
            with suppress(OSError):
                _bound(self._log)
            if process.poll() is None:
                continue
            _logger.error("PostgreSQL ended with status %s, see %s; starting it again", process.returncode, self._log)
            try:
                process, pause = self._launch(), _WATCH_SECONDS
                _logger.warning("PostgreSQL runs again")
            except (EmbeddedPostgresError, OSError) as error:  # a full disk may get room again
                pause = min(2 * pause, 30.0)
                _logger.error("%s; next attempt in %.0f s", error, pause)
        _end_child(process)

    def _launch(self) -> subprocess.Popen[bytes]:
        """Start the postmaster and wait until it accepts connections."""
        give_up = time.monotonic() + _READY_SECONDS
        while True:
            process, log_position = self._spawn()
            while process.poll() is None:
                if read_postmaster(self._cluster) == (process.pid, "ready") or self._stopping.is_set():
                    return process
                if time.monotonic() > give_up:
                    _end_child(process)
                time.sleep(POLL_SECONDS)
            reason = self._log_since(log_position)
            # The children of a killed postmaster leave its memory when they next look up from their work.
            if "is still in use" not in reason or time.monotonic() > give_up or self._stopping.is_set():
                raise EmbeddedPostgresError(
                    f"PostgreSQL did not start (exit status {process.returncode}); "
                    f"correct this or set DATABASE_URL: {reason or f'nothing in {self._log}'}"
                )
            time.sleep(_WATCH_SECONDS)

    def _spawn(self) -> tuple[subprocess.Popen[bytes], int]:
        # The pid in a file left by a crash may be any process's by now. PostgreSQL would refuse to start; told that it
        # is the pid of its grandparent it goes on, and still looks whether anyone uses the old shared memory.
        environment = {**bare_environment(), "PG_GRANDPARENT_PID": str(read_postmaster(self._cluster).pid)}
        with os.fdopen(os.open(self._log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as log:
            position = log.tell()
            process = subprocess.Popen(  # noqa: S603
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=environment,
                start_new_session=True,  # Ctrl-C in the terminal is for ToolBox, which stops PostgreSQL last
            )
        return process, position

    def _log_since(self, position: int) -> str:
        with self._log.open("rb") as log:
            log.seek(position)
            reason = log.read().decode(errors="replace").strip()[-2000:]
        disk_is_full = shutil.disk_usage(self._cluster).free < 1_000_000
        return reason or (f"the disk of {self._log} is full" if disk_is_full else "")


def server_settings(socket_folder: Path, durable: bool) -> list[str]:
    """What the server is told on its command line, and not in the cluster, so that an upgrade of ToolBox changes it."""
    quoted = str(socket_folder).replace('"', '""')
    settings = {
        "listen_addresses": "",
        "port": str(PORT),
        "unix_socket_directories": f'"{quoted}"',
        "unix_socket_permissions": "0700",
        "cluster_name": "toolbox",
        "max_connections": "100",
        "shared_buffers": f"{_shared_megabytes()}MB",
        "work_mem": "16MB",
        "maintenance_work_mem": "128MB",
        "max_wal_size": "512MB",
        "random_page_cost": "1.1",
        "jit": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_checkpoints": "off",
        "logging_collector": "off",
        # /dev/shm in a container has 64 MB, less than one parallel HNSW build asks for; macOS has little of the other.
        "dynamic_shared_memory_type": "sysv" if sys.platform == "linux" else "posix",
        # After a crash every file is synced before recovery: one call for all, instead of seconds for a thousand.
        "recovery_init_sync_method": "syncfs" if sys.platform == "linux" else "fsync",
    }
    if not durable:
        settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]


def _shared_megabytes() -> int:
    """A sixteenth of the memory: 512 MB hold the index of 100,000 tools. What is not needed is never touched."""
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf, and not every system these names
        return 128
    return min(max(memory // 16 // 2**20, 128), 512)


class Postmaster(NamedTuple):
    """What the server says of itself in postmaster.pid."""

    pid: int = 0
    status: str = ""


def read_postmaster(cluster: Path) -> Postmaster:
    """Read it; without a pid where there is no server."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return Postmaster()
    pid = int(lines[0]) if lines and lines[0].isdigit() else 0
    return Postmaster(pid, lines[7].strip() if len(lines) > 7 else "")


def end_orphan(cluster: Path) -> None:
    """End a server whose owner was killed: on Linux it is ending already, elsewhere nobody told it to."""
    if pid := read_postmaster(cluster).pid:
        _end(pid, lambda: not _is_postmaster(pid, cluster))
    else:  # empty after a power cut, and PostgreSQL would not start
        (cluster / "postmaster.pid").unlink(missing_ok=True)


def _bound(log: Path) -> None:
    """Keep the last part of a long log beside it; PostgreSQL appends, so it goes on in the emptied file."""
    if log.stat().st_size > _LOG_BYTES:
        shutil.copyfile(log, log.with_name(f"{log.name}.1"))
        os.truncate(log, 0)


def _is_postmaster(pid: int, cluster: Path) -> bool:
    """Whether the process is this cluster's server: after a crash any process may have got its pid."""
    if sys.platform == "linux":
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
        except OSError:
            return False
    else:
        listing = ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)]
        command = subprocess.run(listing, capture_output=True, check=False).stdout  # noqa: S603
    return b"/postgres -D " + os.fsencode(cluster) + b" " in command


def _end(pid: int, has_ended: Callable[[], bool]) -> None:
    """Fast shutdown, else at once, else by force; each keeps what was committed."""
    for kind, seconds in ((signal.SIGINT, 30.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
        if has_ended():
            return
        with suppress(ProcessLookupError):
            os.kill(pid, kind)
        if wait_until(has_ended, seconds):
            return


def _end_child(process: subprocess.Popen[bytes]) -> None:
    _end(process.pid, lambda: process.poll() is not None)
