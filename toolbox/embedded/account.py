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
        EmbeddedPostgresError: There is no such user, or PostgreSQL will not find it.
    """
    if os.geteuid() != 0:
        if not cluster.exists():
            _refuse_nameless(os.geteuid())
        return None
    if cluster.exists() and (owner := cluster.stat()).st_uid:
        return _owning(owner)
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


def _refuse_nameless(user: int) -> None:
    """Say what PostgreSQL's initdb would only hint at: containers like to run under a number that nobody has named."""
    try:
        pwd.getpwuid(user)
    except KeyError:
        raise EmbeddedPostgresError(
            f"PostgreSQL cannot be set up by user {user}, who has no name: add a line for {user} to /etc/passwd, run "
            "ToolBox as a user who has one, or set DATABASE_URL"
        ) from None


def _owning(cluster: os.stat_result) -> Account:
    """The owner of a cluster; one without a name, as containers make them, may run it all the same."""
    try:
        return _account(pwd.getpwuid(cluster.st_uid))
    except KeyError:
        return Account(f"user {cluster.st_uid}", cluster.st_uid, cluster.st_gid)


def _account(entry: "pwd.struct_passwd") -> Account:
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
