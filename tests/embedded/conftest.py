"""Embedded PostgreSQL as real processes: those that hold it open, and what the tests ask of it."""

import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

import toolbox
from toolbox.embedded.account import Account, closed_step
from toolbox.embedded.owner import run_postgres
from toolbox.embedded.server import read_postmaster
from toolbox.embedded.waiting import wait_until
from toolbox.errors import EmbeddedPostgresError

IS_ROOT = os.geteuid() == 0
SERVER_URL = "http://127.0.0.1:8000"
SECONDS = 30.0
NAMELESS = 54_321
"""A user of whom /etc/passwd knows nothing."""

HOLD = """
import json, logging, sys
from pathlib import Path
from toolbox.embedded import owner
logging.basicConfig(format="%(message)s")
function, data_dir, options = sys.argv[1:]
with getattr(owner, function)(Path(data_dir), **json.loads(options)) as database_url:
    print(database_url, flush=True)
    sys.stdin.read()
"""


class Holder:
    """Another process that holds PostgreSQL open until it is told to let go."""

    def __init__(
        self, python: str, imports: list[Path], function: str, data_dir: Path, options: dict[str, Any], **user: Any
    ) -> None:
        self.process: subprocess.Popen[str] = subprocess.Popen(
            [python, "-W", "error", "-c", HOLD, function, str(data_dir), json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
            env={"PYTHONPATH": os.pathsep.join(map(str, imports))},
            start_new_session=True,
            **user,
        )

    def database_url(self) -> str:
        """Wait until the process has it."""
        assert self.process.stdout
        database_url = self.process.stdout.readline().strip()
        assert database_url, self.wait()
        return database_url

    def said(self) -> str:
        """Wait for the next line on stderr."""
        assert self.process.stderr
        return self.process.stderr.readline().strip()

    def let_go(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.stdin = None

    def wait(self) -> str:
        """Wait until it has ended; return the rest of stderr."""
        return self.process.communicate(timeout=SECONDS)[1]

    def kill(self) -> None:
        self.process.kill()
        self.wait()


CHECKOUT, SITE_PACKAGES = (Path(module.__file__ or "").resolve().parents[1] for module in (toolbox, msgspec))


def python_for_anyone() -> str | None:
    """An interpreter of this version that nobody may run; None where the checkout or its packages are closed too."""
    entry = pwd.getpwnam("nobody")
    nobody = Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    if any(closed_step(folder, nobody) for folder in (CHECKOUT, SITE_PACKAGES)):
        return None
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    candidates = [sys.executable, shutil.which(name, path="/usr/local/bin:/usr/bin")]
    return next((path for path in candidates if path and not closed_step(Path(path).resolve(), nobody)), None)


USERS = ["root", "ordinary user"] if IS_ROOT and python_for_anyone() else ["root" if IS_ROOT else "ordinary user"]


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A short path, since pytest's own is closed to PostgreSQL's user, in which nothing may run afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="tbx-")).resolve()
    yield folder
    assert wait_until(lambda: not processes_in(folder), SECONDS), processes_in(folder)
    shutil.rmtree(folder)


@pytest.fixture(params=USERS)
def hold(request: pytest.FixtureRequest, data_dir: Path) -> Iterator[Callable[..., Holder]]:
    """Start a Holder on the data directory: as root, whose PostgreSQL is another user's, and as an ordinary user."""
    python, user = sys.executable, dict[str, Any]()
    if IS_ROOT and request.param == "ordinary user":
        nobody = pwd.getpwnam("nobody")
        os.chown(data_dir, nobody.pw_uid, nobody.pw_gid)
        python = python_for_anyone() or ""
        user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    holders: list[Holder] = []

    def start(function: str, **options: Any) -> Holder:
        holders.append(Holder(python, [CHECKOUT, SITE_PACKAGES], function, data_dir, options, **user))
        return holders[-1]

    yield start
    for holder in holders:
        holder.kill()


def processes_in(folder: Path) -> list[int]:
    """PostgreSQL's processes work in their cluster."""
    if sys.platform != "linux":
        listing = subprocess.run(
            ["/bin/ps", "-axww", "-o", "pid=,command="], capture_output=True, text=True, check=True
        )
        return [int(line.split()[0]) for line in listing.stdout.splitlines() if str(folder) in line]
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (process / "cwd").readlink().is_relative_to(folder):
                found.append(int(process.name))
    return found


def files(folder: Path, pattern: str) -> list[Path]:
    return list(folder.glob(pattern))


def postmaster(data_dir: Path) -> int:
    return read_postmaster(data_dir / "postgres").pid


def run_cheaply(data_dir: Path, **options: Any) -> AbstractContextManager[str]:
    return run_postgres(data_dir, **{"command": "serve", "durable": False, **options})


def open_to_anyone(folder: Path) -> Path:
    folder.chmod(0o711)
    return folder


@contextmanager
def refused(*words: str) -> Iterator[None]:
    with pytest.raises(EmbeddedPostgresError) as caught:
        yield
    assert [word for word in words if word not in str(caught.value)] == [], str(caught.value)


async def execute(database_url: str, *statements: str) -> Any:
    """Run the statements on a new connection; return the one value that the last one gives."""
    connection = await asyncpg.connect(database_url)
    try:
        for statement in statements[:-1]:
            await connection.execute(statement)
        return await connection.fetchval(statements[-1])
    finally:
        await connection.close()


async def insert_rows(database_url: str, *, kill: Callable[[], object]) -> int:
    """Insert rows until the server is gone, which `kill` sees to at row 100; return how many were acknowledged."""
    await execute(database_url, "CREATE TABLE rows (number int)", "SELECT 0")
    connection = await asyncpg.connect(database_url)
    acknowledged = 0
    try:
        while acknowledged < 1_000_000:
            await connection.execute("INSERT INTO rows VALUES ($1)", acknowledged)
            acknowledged += 1
            if acknowledged == 100:
                kill()
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, ConnectionError):
        return acknowledged
    finally:
        connection.terminate()
    raise AssertionError("the server is still there")


COUNT_ROWS = "SELECT count(*) FROM rows"
FOR_ANOTHER_SERVER = {
    "PGDATA": "/nowhere",
    "PGOPTIONS": "-c nonsense=1",
    "PGTZ": "Mars",
    "PGHOST": "127.0.0.1",
    "PGPORT": "1",
    "PGUSER": "nobody",
    "PGPASSWORD": "wrong",
    "PGDATABASE": "postgres",
    "PGSSLMODE": "verify-full",
    "PGSSLROOTCERT": "/nowhere",
    "PGSSLNEGOTIATION": "direct",
    "PGTARGETSESSIONATTRS": "standby",
}
"""What servers and clients read, as it may be set for the database that the user works with otherwise."""
