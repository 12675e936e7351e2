"""What is installed for upstreams on this machine: whole or not there, and the old one until the new one has started.

    upstreams/NAME/lock              held by the one process that changes something here
    upstreams/NAME/new-TOKEN/        in the making; whoever has the lock next removes what a killed process left
    upstreams/NAME/v-DIGEST-TOKEN/   whole: it got its name when it was; DIGEST stands for the source
    upstreams/NAME/current           a link to the one that has started last

Every process that may run something of an installation holds a lock on its `in-use` file, so that nobody removes it.
"""

import asyncio
import contextlib
import fcntl
import os
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from pathlib import Path
from typing import TypeAlias

import msgspec
from msgspec import Struct

from toolbox.definitions import Upstream
from toolbox.errors import UpstreamFailed
from toolbox.upstreams.builds import Program, build, find_program
from toolbox.upstreams.logs import Log
from toolbox.upstreams.sources import read_source, source_digest

CURRENT, FACTS, IN_USE, LOCK = "current", "installed.json", "in-use", "lock"
WHOLE, UNFINISHED, GONE = "v-", "new-", "gone-"
LOCK_SECONDS = 1800.0
"""How long a process waits for another one that installs the same."""
TIDY_SECONDS = 30.0
LOOK_SECONDS = 0.1
INSTALLS_AT_ONCE = 2

Resolve: TypeAlias = Callable[[str], Awaitable[str]]


class Facts(Struct, frozen=True):
    """What is installed: of which source, as what commit or version, and for which wish of an operator."""

    source: str
    version: str
    upgrade: str = ""


class Installation:
    """One that is whole, kept from being removed until it is released."""

    def __init__(self, folder: Path, facts: Facts, held: int) -> None:
        self.folder = folder
        self.facts = facts
        self._held: int | None = held

    @property
    def version(self) -> str:
        """The commit or version."""
        return self.facts.version

    def release(self) -> None:
        """Let it be removed when something else is current. Twice is once."""
        if self._held is not None:
            os.close(self._held)
            self._held = None


class Candidates(Struct, frozen=True):
    """What may be run, in the order of preference, and why the first is not what was asked for."""

    installations: list[Installation]
    problem: str | None = None


class Installations:
    """All installations of this machine."""

    def __init__(self, folder: Path, *, environ: Mapping[str, str], commands: Collection[str] = ()) -> None:
        """`commands` are the programs that may be run on the files of a repository that brings none."""
        self._folder = folder
        self._environ = environ
        self._commands = commands
        self._installing = asyncio.Semaphore(INSTALLS_AT_ONCE)

    async def find(
        self, upstream: Upstream, log: Log, *, upgrade: str = "", resolve: Resolve | None = None
    ) -> Candidates:
        """What an upstream may run; it is installed if it is not yet, or not yet for this `upgrade`.

        What ran before comes behind it, and alone where the new one cannot be installed. `resolve` fills in what opens
        its repository.

        Raises:
            UpstreamFailed: It cannot be installed, and nothing ran before.
        """
        text = upstream.source or ""
        if not upgrade and (held := _hold_current(self._folder / upstream.name, text)):
            return Candidates([held])  # whoever installs something beside it keeps nobody from running it
        async with self._locked(upstream.name) as folder:
            current = _read_current(folder)
            found = _look_for(folder, text, current, upgrade)
            problem = None
            if found is None:
                try:
                    key = upstream.source_key
                    key = await resolve(key) if key and resolve else key
                    found = await self._install(folder, text, log, upgrade, key)
                except UpstreamFailed as error:
                    if current is None:
                        raise
                    problem = error.message
            chosen = [each for each in dict.fromkeys((found, current)) if each is not None]
            return Candidates([_hold(each) for each in chosen], problem)

    async def find_program(self, installation: Installation, upstream: Upstream) -> Program:
        """What to run of an installation.

        Raises:
            UpstreamFailed: It has not what the upstream names.
        """
        source = read_source(installation.facts.source)
        return await asyncio.to_thread(
            find_program, source, installation.folder, upstream.command, commands=self._commands
        )

    async def switch(self, name: str, installation: Installation) -> None:
        """Let one be what is run from now on, since it has started."""
        if _read_current(self._folder / name) != installation.folder:
            async with self._locked(name) as folder:
                link = folder / f"{UNFINISHED}{secrets.token_hex(4)}"
                link.symlink_to(installation.folder.name)
                link.rename(folder / CURRENT)
        await self.tidy(name)

    async def tidy(self, name: str, *, is_gone: bool = False) -> None:
        """Remove what is not current, and what is if the upstream `is_gone`, but for what a process may still run.

        Where another process is at work for long, that one does it.
        """
        if not (self._folder / name).is_dir():
            return
        with contextlib.suppress(UpstreamFailed):
            async with self._locked(name, seconds=TIDY_SECONDS) as folder:
                await asyncio.to_thread(_tidy, folder, is_gone)

    async def _install(self, folder: Path, text: str, log: Log, upgrade: str, key: str | None) -> Path:
        await asyncio.to_thread(_remove_unfinished, folder)
        new, token = folder / f"{UNFINISHED}{secrets.token_hex(4)}", secrets.token_hex(4)
        log.add("toolbox", f"installing {text}")
        began = time.monotonic()
        async with self._installing:
            try:
                new.mkdir(mode=0o700)
                version = await build(read_source(text), new, key=key, environ=self._environ, log=log)
                (new / IN_USE).touch()
                (new / FACTS).write_bytes(msgspec.json.encode(Facts(text, version, upgrade)))
                whole = new.rename(folder / f"{WHOLE}{source_digest(text)}-{token}")
            except OSError as error:
                raise UpstreamFailed(f"it cannot be installed in {folder}: {error}") from error
            finally:
                await asyncio.shield(asyncio.create_task(asyncio.to_thread(_remove, new)))
        log.add("toolbox", f"installed {text} ({version}) in {time.monotonic() - began:.1f} s")
        return whole

    @contextlib.asynccontextmanager
    async def _locked(self, name: str, *, seconds: float = LOCK_SECONDS) -> AsyncIterator[Path]:
        """The folder of an upstream, which no other process and no other task changes meanwhile."""
        folder, end = self._folder / name, time.monotonic() + seconds
        while True:
            try:
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except FileNotFoundError:  # whoever removes the folder was faster
                continue
            except OSError as error:
                raise UpstreamFailed(
                    f"nothing can be installed in {folder}: {error}; DATA_DIR names the place"
                ) from error
            try:
                if _try_lock(lock, fcntl.LOCK_EX):
                    if _is_same(lock, folder / LOCK):
                        yield folder
                        return
                elif time.monotonic() > end:
                    raise UpstreamFailed("another process has been installing it for too long")
                else:
                    await asyncio.sleep(LOOK_SECONDS)
            finally:
                os.close(lock)


def _read_current(folder: Path) -> Path | None:
    link = folder / CURRENT
    try:
        found = folder / link.readlink().name
    except OSError:
        return None
    return found if (found / FACTS).is_file() else None


def _read_facts(installation: Path) -> Facts | None:
    try:
        return msgspec.json.decode((installation / FACTS).read_bytes(), type=Facts)
    except (OSError, msgspec.MsgspecError):
        return None


def _look_for(folder: Path, text: str, current: Path | None, upgrade: str) -> Path | None:
    """What is installed of a source already, what is current first, else the newest."""
    there = [
        each
        for each in folder.glob(f"{WHOLE}{source_digest(text)}-*")
        if (facts := _read_facts(each)) and facts.source == text and (not upgrade or facts.upgrade == upgrade)
    ]
    return max(there, key=lambda each: (each == current, each.stat().st_mtime), default=None)


def _hold_current(folder: Path, text: str) -> Installation | None:
    """What is current, if it is of this source, and nobody is just removing it."""
    current = _read_current(folder)
    try:
        held = _hold(current) if current else None
    except OSError:
        return None
    if held and (held.facts.source != text or not (held.folder / IN_USE).exists()):
        held.release()
        return None
    return held


def _hold(installation: Path) -> Installation:
    held = os.open(installation / IN_USE, os.O_RDWR | os.O_CLOEXEC)
    _try_lock(held, fcntl.LOCK_SH)
    return Installation(installation, _read_facts(installation) or Facts("", ""), held)


def _tidy(folder: Path, is_gone: bool) -> None:
    if is_gone:
        (folder / CURRENT).unlink(missing_ok=True)
    current = _read_current(folder)
    for each in folder.glob(f"{WHOLE}*"):
        if each != current:
            _remove_unused(each)
    _remove_unfinished(folder)
    if [each.name for each in folder.iterdir()] == [LOCK]:  # whoever waits for it looks whether it is still there
        (folder / LOCK).unlink()
        folder.rmdir()


def _remove_unused(installation: Path) -> None:
    """Remove one, unless a process holds it."""
    try:
        held = os.open(installation / IN_USE, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if _try_lock(held, fcntl.LOCK_EX):
            gone = installation.rename(installation.with_name(f"{GONE}{secrets.token_hex(4)}"))
            _remove(gone)
    finally:
        os.close(held)


def _remove_unfinished(folder: Path) -> None:
    for pattern in (f"{UNFINISHED}*", f"{GONE}*"):
        for left in folder.glob(pattern):
            _remove(left)


def _remove(path: Path) -> None:
    if path.is_symlink():
        path.unlink(missing_ok=True)
    elif path.exists():
        shutil.rmtree(path, ignore_errors=True)


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_same(descriptor: int, path: Path) -> bool:
    """Whether a file that is open still is the one at a path: it may have been removed meanwhile."""
    with contextlib.suppress(OSError):
        return os.path.samestat(os.fstat(descriptor), path.stat())
    return False
