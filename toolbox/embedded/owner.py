"""Who owns the embedded PostgreSQL: one process runs it, short commands attach to it, anyone else is refused.

In DATA_DIR:

    postgres/           the cluster, made whole or not at all
    postgres.lock       flocked by the owner as long as it lives: the kernel lets go even after kill -9
    postgres.attached   flocked, shared, by each command that uses the owner's server; the owner waits for them
    postgres.json       the Owner, there while the server is ready (a stale one is never believed)
    postgres.log        the server's log, bounded; the part before is postgres.log.1
    socket/             the one way in; a folder under the temp dir where this path is too long for a socket

Everything here blocks: call it before the event loop starts, or in a thread.
"""

import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import msgspec
import platformdirs
from msgspec import Struct

from toolbox.embedded.account import choose_account, closed_step
from toolbox.embedded.cluster import ensure_cluster
from toolbox.embedded.programs import find_programs
from toolbox.embedded.server import Server, end_orphan, read_postmaster, server_settings
from toolbox.embedded.sockets import accepts_connections, make_socket_folder, to_database_url
from toolbox.embedded.waiting import POLL_SECONDS, wait_until
from toolbox.errors import EmbeddedPostgresError

if sys.platform != "win32":
    import fcntl

_logger = logging.getLogger(__name__)

_OWNER_SECONDS = 60.0
"""How long to wait until a short command that owns the server ends: longer than it waits for what attached to it."""
_COMMAND_PATIENCE_SECONDS = 30.0
_SERVER_PATIENCE_SECONDS = 3.0
"""How long an owner that ends waits for the commands that attached; who stops a server soon uses force."""


class Owner(Struct, frozen=True):
    """The process that runs PostgreSQL in a data directory; `server_url` is where `toolbox serve` listens."""

    pid: int
    command: str
    started_at: datetime
    database_url: str
    server_url: str | None = None


def default_data_dir() -> Path:
    """Where data goes when DATA_DIR is not set; root's home is closed to the user that PostgreSQL runs as.

    Raises:
        EmbeddedPostgresError: This user has no home.
    """
    if sys.platform != "win32" and os.geteuid() == 0:
        return Path("/var/lib/toolbox")
    try:
        return platformdirs.user_data_path("toolbox")
    except RuntimeError as error:
        raise EmbeddedPostgresError(f"there is no folder for data ({error}): set DATA_DIR or DATABASE_URL") from error


@contextmanager
def run_postgres(
    data_dir: Path, *, command: str, server_url: str | None = None, version: int = 18, durable: bool = True
) -> Iterator[str]:
    """Own PostgreSQL in `data_dir`: start it, yield its DATABASE_URL, start it again should it die, stop it.

    `server_url` says that the owner lasts, as `toolbox serve` does: others are refused at once, while they wait for
    an owner without one. Without `durable` a power cut loses the cluster, which is right for tests.

    Raises:
        EmbeddedPostgresError: It does not start, or another process owns it; the message says what to do.
    """
    with ExitStack() as held:
        with _translated_errors(data_dir):
            data_dir = _ensure_data_dir(data_dir)
            _become_owner(held, data_dir)
            database_url = _run(held, data_dir, command, server_url, version, durable)
        yield database_url


@contextmanager
def attach_or_run(data_dir: Path, *, command: str) -> Iterator[str]:
    """Yield the DATABASE_URL of the PostgreSQL that runs in `data_dir`, or run it meanwhile: for short commands.

    Raises:
        EmbeddedPostgresError: It neither runs nor starts; the message says what to do.
    """
    with ExitStack() as held:
        with _translated_errors(data_dir):
            data_dir = _ensure_data_dir(data_dir)
            database_url = _attach_or_become_owner(held, data_dir) or _run(held, data_dir, command)
        yield database_url


def find_owner(data_dir: Path) -> Owner | None:
    """Say who runs PostgreSQL in `data_dir` now, proven alive; None where it does not run."""
    with ExitStack() as held, _translated_errors(data_dir):
        lock = data_dir / "postgres.lock"
        return _ready_owner(data_dir) if lock.exists() and not _lock(held, lock, fcntl.LOCK_SH) else None


@contextmanager
def _translated_errors(data_dir: Path) -> Iterator[None]:
    if sys.platform == "win32":
        raise EmbeddedPostgresError("ToolBox does not run PostgreSQL itself on Windows: set DATABASE_URL")
    try:
        yield
    except OSError as error:
        where = error.filename or data_dir
        raise EmbeddedPostgresError(
            f"PostgreSQL cannot use {where}: {error.strerror or error}; "
            "correct that, use another DATA_DIR, or set DATABASE_URL"
        ) from error


def _ensure_data_dir(data_dir: Path) -> Path:
    data_dir = data_dir.resolve()
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    # PostgreSQL's user passes through root's folder to the cluster, which is its own; it need not see the rest.
    mode = 0o711 if os.geteuid() == 0 else 0o700
    if not data_dir.exists() or not any(data_dir.iterdir()):
        data_dir.mkdir(exist_ok=True)
        data_dir.chmod(mode)
    return data_dir


# Who owns the server.


def _become_owner(held: ExitStack, data_dir: Path) -> None:
    """Wait for a short command to end, but not for a server."""
    give_up = time.monotonic() + _OWNER_SECONDS
    while not _lock(held, data_dir / "postgres.lock", fcntl.LOCK_EX):
        owner = _ready_owner(data_dir)
        if (owner and owner.server_url) or time.monotonic() > give_up:
            raise EmbeddedPostgresError(_refusal(data_dir, owner))
        time.sleep(POLL_SECONDS)


def _attach_or_become_owner(held: ExitStack, data_dir: Path) -> str | None:
    """Return the running server's URL, which then stays until `held` is closed; None: this process is the owner now."""
    give_up = time.monotonic() + _OWNER_SECONDS
    while not _lock(held, data_dir / "postgres.lock", fcntl.LOCK_EX):
        with ExitStack() as attempt:
            # An owner that is about to stop the server holds this lock alone.
            if _lock(attempt, data_dir / "postgres.attached", fcntl.LOCK_SH) and (owner := _ready_owner(data_dir)):
                held.push(attempt.pop_all())
                return owner.database_url
        if time.monotonic() > give_up:
            raise EmbeddedPostgresError(_refusal(data_dir, _ready_owner(data_dir)))
        time.sleep(POLL_SECONDS)
    return None


def _lock(held: ExitStack, path: Path, kind: int) -> bool:
    file = path.open("ab")
    if _flock(file, kind):
        held.enter_context(file)
        return True
    file.close()
    return False


def _flock(file: IO[bytes], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait_for_attached(attached: IO[bytes], seconds: float) -> None:
    if not _flock(attached, fcntl.LOCK_EX):
        _logger.warning("other commands still use this PostgreSQL: waiting for them, at most %.0f s", seconds)
        wait_until(lambda: _flock(attached, fcntl.LOCK_EX), seconds)


def _ready_owner(data_dir: Path) -> Owner | None:
    """The recorded owner, if its server answers: a record, a pid or a socket file alone may be left over."""
    owner = _read_owner(data_dir)
    if owner is None or read_postmaster(data_dir / "postgres").status != "ready":
        return None
    return owner if accepts_connections(owner.database_url) else None


def _read_owner(data_dir: Path) -> Owner | None:
    try:
        return msgspec.json.decode((data_dir / "postgres.json").read_bytes(), type=Owner)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _refusal(data_dir: Path, owner: Owner | None) -> str:
    if owner is None:
        who = f"another process, which is not ready (`fuser {data_dir / 'postgres.lock'}` shows it)"
    else:
        who = f"`toolbox {owner.command}` (process {owner.pid}{f', {owner.server_url}' if owner.server_url else ''})"
    return (
        f"PostgreSQL in {data_dir} is in the hands of {who}: "
        "stop that first, use another DATA_DIR, or set DATABASE_URL so that both use one database"
    )


# The owner's work, in order.


def _run(
    held: ExitStack,
    data_dir: Path,
    command: str,
    server_url: str | None = None,
    version: int = 18,
    durable: bool = True,
) -> str:
    cluster, record = data_dir / "postgres", data_dir / "postgres.json"
    record.unlink(missing_ok=True)
    account = choose_account(cluster)
    if account and (closed := closed_step(data_dir, account)):
        raise EmbeddedPostgresError(
            f"PostgreSQL runs as {account.name!r} when ToolBox runs as root, and {account.name!r} may not enter "
            f"{closed}: `chmod o+x {closed}`, use another DATA_DIR, run ToolBox as another user, or set DATABASE_URL"
        )
    programs = find_programs(data_dir, version, account)
    ensure_cluster(cluster, version, durable, programs)
    end_orphan(cluster)
    attached = held.enter_context((data_dir / "postgres.attached").open("ab"))
    folder = make_socket_folder(held, data_dir, account)
    arguments = ("-D", str(cluster), *server_settings(folder, durable))
    server = Server(cluster, programs.command("postgres", *arguments, death_signal=signal.SIGINT))
    held.callback(server.stop)
    server.start()
    database_url = to_database_url(folder)
    _write_whole(record, msgspec.json.encode(Owner(os.getpid(), command, datetime.now(UTC), database_url, server_url)))
    held.callback(record.unlink, missing_ok=True)
    patience = _SERVER_PATIENCE_SECONDS if server_url else _COMMAND_PATIENCE_SECONDS
    held.callback(_wait_for_attached, attached, patience)
    return database_url


def _write_whole(path: Path, content: bytes) -> None:
    new = path.with_name(f"{path.name}.new")
    new.write_bytes(content)
    new.replace(path)
