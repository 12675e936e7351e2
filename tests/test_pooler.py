"""Behind a transaction pooler: a real PgBouncer, where it is installed."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from toolbox.database import open_database, pooler_warning
from toolbox.errors import DatabaseUnavailable

PGBOUNCER = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"

pytestmark = pytest.mark.skipif(not Path(PGBOUNCER).exists(), reason="pgbouncer is not installed")

CONFIGURATION = """
[databases]
* = host={socket} user=toolbox
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
ignore_startup_parameters = extra_float_digits
logfile = {folder}/log
pidfile = {folder}/pid
"""


@pytest.fixture
def pooler(short_folder: Path, postgres: str) -> Iterator[str]:
    """The address of a transaction pooler as its package configures it: it refuses our session settings."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = short_folder / "pooler"
    folder.mkdir()
    socket_folder = postgres.partition("host=")[2].partition("&")[0]
    configuration = CONFIGURATION.format(socket=socket_folder, port=port, folder=folder)
    (folder / "ini").write_text(configuration)
    owner = pwd.getpwuid(Path(socket_folder).stat().st_uid)
    os.chown(folder, owner.pw_uid, owner.pw_gid)
    process = subprocess.Popen(
        [PGBOUNCER, str(folder / "ini")],
        stderr=subprocess.PIPE,
        text=True,
        **({"user": owner.pw_uid, "group": owner.pw_gid} if os.geteuid() == 0 else {}),  # type: ignore[call-overload]
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "process up" in line:
            break
    yield f"127.0.0.1:{port}"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)


async def test_start_says_what_will_not_work(pooler: str, database_url: str) -> None:
    name = database_url.partition("?")[0].rpartition("/")[2]
    url = f"postgresql://toolbox@{pooler}/{name}"
    warning = await pooler_warning(url)
    assert warning is not None
    assert "transaction pooler" in warning
    assert "prepared statements" in warning
    with pytest.raises(DatabaseUnavailable, match="pooler refuses session settings"):
        await _use(url)


async def _use(url: str) -> None:
    async with open_database(url, pool_size=1, max_overflow=0, timeout_seconds=5) as database:
        await database.fetch("select 1")
