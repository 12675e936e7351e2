"""The cluster, PostgreSQL's data directory: made whole or not at all."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from toolbox.embedded.programs import Programs, bare_environment
from toolbox.errors import EmbeddedPostgresError


def ensure_cluster(cluster: Path, version: int, durable: bool, programs: Programs) -> None:
    """Make the cluster where there is none, and refuse one that these programs cannot run.

    Raises:
        EmbeddedPostgresError: It cannot be made, or is another user's or another PostgreSQL's.
    """
    for unfinished in cluster.parent.glob(f"{cluster.name}.new-*"):
        shutil.rmtree(unfinished, ignore_errors=True)
    if not cluster.exists():
        _make_cluster(cluster, version, durable, programs)
    user, owner = programs.account.user if programs.account else os.geteuid(), cluster.stat().st_uid
    if owner != user:
        raise EmbeddedPostgresError(
            f"{cluster} belongs to user {owner}, and PostgreSQL would run as user {user}: "
            f"`chown -R {user} {cluster}`, or run ToolBox as its owner"
        )
    try:
        found = (cluster / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        raise EmbeddedPostgresError(f"{cluster} holds no PostgreSQL cluster: move it away") from None
    if found != str(version):
        raise EmbeddedPostgresError(
            f"{cluster} was made by PostgreSQL {found}, and this is PostgreSQL {version}: export with the ToolBox that "
            "made it and import into a new DATA_DIR"
        )


def _make_cluster(cluster: Path, version: int, durable: bool, programs: Programs) -> None:
    """Make it beside its place, and move it there when it is whole and on disk."""
    new = Path(tempfile.mkdtemp(prefix=f"{cluster.name}.new-", dir=cluster.parent))
    if programs.account:
        os.chown(new, programs.account.user, programs.account.group)
    # The builtin provider sorts and folds the same on every machine; PostgreSQL 16 does not know it.
    builtin = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if version >= 17 else ["--lc-ctype=C.UTF-8"]
    # Trust is right where the only way in is a socket in a folder that only this user may enter.
    access = ["--username=toolbox", "--auth-local=trust", "--auth-host=reject"]
    options = ["--encoding=UTF8", "--locale=C", *builtin, *access, "--data-checksums", "--no-sync"]
    _run_program(programs, "initdb", "-D", str(new), *options)
    _run_program(programs, "postgres", "--single", "-D", str(new), "-F", "postgres", text="CREATE DATABASE toolbox\n")
    if durable:  # once for all files: seconds faster than each program for its own
        method = ["--sync-method=syncfs"] if sys.platform == "linux" and version >= 17 else []
        _run_program(programs, "initdb", "-D", str(new), "--sync-only", *method)
    new.rename(cluster)
    folder = os.open(cluster.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def _run_program(programs: Programs, program: str, *arguments: str, text: str = "") -> None:
    command = programs.command(program, *arguments, death_signal=signal.SIGKILL)
    done = subprocess.run(  # noqa: S603
        command,
        input=text,
        text=True,
        capture_output=True,
        check=False,
        cwd="/",
        env=bare_environment(),
        process_group=0,
    )
    if done.returncode or "ERROR:" in done.stderr:
        reason = done.stderr.strip()[-2000:]
        raise EmbeddedPostgresError(f"PostgreSQL's cluster cannot be made; correct this or set DATABASE_URL: {reason}")
