"""The one way in to the server: a Unix socket in a folder that only PostgreSQL's user may enter."""

import hashlib
import os
import shutil
import socket
import tempfile
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

from toolbox.embedded.account import Account, closed_step
from toolbox.errors import EmbeddedPostgresError

PORT = 5432
"""Only part of the socket's name."""
_PATH_BYTES = 103
"""How long the path of a socket may be on macOS; Linux has room for four more."""


def make_socket_folder(held: ExitStack, data_dir: Path, account: Account | None) -> Path:
    """Make the socket's folder, in the data directory where that is possible; it goes when `held` is closed.

    Raises:
        EmbeddedPostgresError: The account may not enter it.
    """
    folder = data_dir / "socket"
    prefix = f"toolbox-{hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]}-"
    for left_over in (folder, *Path(tempfile.gettempdir()).glob(f"{prefix}*")):
        shutil.rmtree(left_over, ignore_errors=True)
    # Clients read a comma as the start of another host.
    if len(os.fsencode(folder)) + len(f"/.s.PGSQL.{PORT}") > _PATH_BYTES or "," in str(folder):
        folder = Path(tempfile.mkdtemp(prefix=prefix)).resolve()
    else:
        folder.mkdir(mode=0o700)
    held.callback(shutil.rmtree, folder, ignore_errors=True)
    if account:
        os.chown(folder, account.user, account.group)
        if closed := closed_step(folder, account):
            raise EmbeddedPostgresError(f"{account.name!r} may not enter {closed}: use a shorter DATA_DIR")
    return folder


def to_database_url(folder: Path) -> str:
    """The URL of the database behind a socket; it leaves nothing that matters to the user's PG* variables."""
    no_tls = "sslmode=disable&sslnegotiation=postgres"  # sockets have none, and asyncpg obeys PGSSLMODE even so
    return f"postgresql:///toolbox?host={quote(str(folder))}&port={PORT}&user=toolbox&{no_tls}&target_session_attrs=any"


def accepts_connections(database_url: str) -> bool:
    """Whether anyone listens there: a socket file alone may be left over."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1)
        try:
            folder = parse_qs(urlsplit(database_url).query)["host"][0]
            client.connect(f"{folder}/.s.PGSQL.{PORT}")
        except OSError:
            return False
    return True
