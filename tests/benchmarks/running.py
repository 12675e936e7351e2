"""What the benchmarks of servers share: a PostgreSQL and a `toolbox serve` of their own, on a core of its own."""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from toolbox.embedded.owner import run_postgres

TICKS = os.sysconf("SC_CLK_TCK")
START_SECONDS = 60.0


class Running(Struct, frozen=True):
    """A server that answers."""

    pid: int
    url: str

    def cpu_seconds(self) -> float:
        """The processor time that it has used: its own and the kernel's for it (proc(5), stat, fields 14 and 15)."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory_mb(self) -> float:
        """What it holds in memory."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def keep_off_the_servers_core() -> int:
    """Move this process, and what it starts, to the last core; the first one is the server's, and given back."""
    first, *_, last = [*sorted(os.sched_getaffinity(0)), max(os.sched_getaffinity(0))]
    os.sched_setaffinity(0, {last})
    return first


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """The URL of an empty database, as ToolBox itself would run it."""
    with tempfile.TemporaryDirectory(prefix="tbx-") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL runs as another user where we are root
        with run_postgres(Path(folder) / "data", command="benchmark", server_url="benchmark") as url:
            yield url


@contextlib.contextmanager
def toolbox(database_url: str, core: int | None, **settings: str) -> Iterator[Running]:
    """A `toolbox serve` that is ready; its log, with a line for each request, goes to a file."""
    command = [str(Path(sys.executable).with_name("toolbox")), "serve", "--port", "0"]
    environment = os.environ | {"LOG_FORMAT": "json", "DATABASE_URL": database_url} | settings
    with (
        tempfile.NamedTemporaryFile(prefix="toolbox-", suffix=".log") as log,
        subprocess.Popen(command, env=environment, stderr=log) as process,
    ):
        if core is not None:
            os.sched_setaffinity(process.pid, {core})
        try:
            yield Running(process.pid, _wait_for_report(process, Path(log.name)))
        finally:
            process.terminate()


def _wait_for_report(process: "subprocess.Popen[bytes]", log: Path) -> str:
    """The address; the report is printed when the server is ready."""
    end = time.monotonic() + START_SECONDS
    while "  Access" not in (said := log.read_text()):
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"the server did not become ready:\n{said}")
        time.sleep(0.05)
    return said.partition("MCP ")[2].split()[0].removesuffix("/mcp")
