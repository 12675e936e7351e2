"""Whom PostgreSQL runs as when ToolBox runs as root, which it refuses, and what that user may not reach."""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from toolbox.errors import EmbeddedPostgresError

if sys.platform != "win32":
    import pwd


class Account(NamedTuple):
    """A user of this machine."""

    name: str
    user: int
    group: int


def choose_account(cluster: Path) -> Account | None:
    """Choose the user whose cluster it is, else toolbox, else nobody; None where ToolBox does not run as root.

    Raises:
        EmbeddedPostgresError: There is no such user.
    """
    if os.geteuid() != 0:
        return None
    if cluster.exists() and (owner := cluster.stat().st_uid):
        return _account(pwd.getpwuid(owner))
    for name in ("toolbox", "nobody"):
        with suppress(KeyError):
            return _account(pwd.getpwnam(name))
    raise EmbeddedPostgresError("PostgreSQL refuses root: add a user named toolbox, or set DATABASE_URL")


def closed_step(path: Path, account: Account) -> Path | None:
    """The first step on the way to `path` that the account may not enter or run."""
    for step in (*reversed(path.parents), path):
        about = step.stat()
        shift = 6 if about.st_uid == account.user else 3 if about.st_gid == account.group else 0
        if not about.st_mode >> shift & 0o1:
            return step
    return None


def _account(entry: "pwd.struct_passwd") -> Account:
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
