"""How the program of an upstream is put into a folder: fetched by git, installed by uv or pip, or by npm.

Each command is an argument list, runs under a keeper as servers do (nothing of it outlives ToolBox), has an environment
without ToolBox's own settings, and says what goes wrong in the upstream's log. Mirrors and proxies that the operator
has set for those programs (UV_..., PIP_..., npm_config_..., HTTPS_PROXY ...) count. What opens a repository is known to
the one `git fetch` alone, by its environment or a file, never by arguments: those can be seen by other users.
"""

import asyncio
import importlib.metadata
import json
import re
import shlex
import shutil
import sys
from base64 import b64encode
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from toolbox.errors import UpstreamFailed
from toolbox.upstreams.logs import Log
from toolbox.upstreams.process import READ_BYTES, describe_status, inherited_environment, start_process
from toolbox.upstreams.sources import GitSource, PackageSource, Source

STEP_SECONDS = 600.0
"""How long one command of an installation may take."""
CHECKOUT, VENV, MODULES, KEY = "checkout", "venv", "node_modules", "key"

_PASSED_ON = ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
_GIT_ONLY = ("SSH_AUTH_SOCK", "GIT_SSL_CAINFO")
_PREFIXES = ("UV_", "PIP_", "NPM_CONFIG_")

_GIT = (
    *("git", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "submodule.recurse=false"),
    *("-c", "credential.interactive=never", "-c", "init.defaultBranch=main", "-c", "advice.detachedHead=false"),
)
_NPM = ("npm", "--no-audit", "--no-fund", "--no-progress")

RUN_SCRIPT = (
    "import sys; from importlib.metadata import entry_points; name = sys.argv.pop(1); "
    "(found,) = entry_points(group='console_scripts', name=name); sys.argv[0] = name; sys.exit(found.load()())"
)
"""Runs a program of a virtual environment by its name: its script would name the folder that it was made in."""


class Program(Struct, frozen=True):
    """What to run of an installation, without the upstream's own arguments, and where."""

    command: tuple[str, ...]
    folder: Path | None = None


async def build(source: Source, folder: Path, *, environ: Mapping[str, str], log: Log, key: str | None = None) -> str:
    """Put the program of a source into a folder; gives back the commit or version that it is.

    `key` opens the repository that it comes from: a token or `user:password` for https, a private key for ssh.

    Raises:
        UpstreamFailed: It cannot be fetched or installed; the folder holds whatever was done by then.
    """
    work = _Work(environ, log)
    if isinstance(source, GitSource):
        return await _build_git(source, folder, work, key)
    if source.kind == "pypi":
        await _make_venv(folder / VENV, work)
        spec = f"{source.name}=={source.version}" if source.version else source.name
        await _install_python(folder / VENV, [spec], folder, work)
        return _read_distribution(folder / VENV, source.name).version
    spec = f"{source.name}@{source.version}" if source.version else source.name
    (folder / "package.json").write_text('{"private": true}')
    await work.run([*_NPM, "install", "--omit=dev", "--save-exact", "--", spec], folder)
    return str(_read_json(folder / MODULES / source.name / "package.json").get("version", ""))


def find_program(source: Source, folder: Path, command: str | None, *, commands: Collection[str]) -> Program:
    """What to run of what was built: a program of it, or one of `commands` on its files.

    Raises:
        UpstreamFailed: There is no such program, or it is not clear which one is meant.
    """
    root = folder / CHECKOUT / (source.folder or "") if isinstance(source, GitSource) else folder
    where = root if isinstance(source, GitSource) else None
    python = folder / VENV / "bin" / "python"
    if python.exists():
        if command in {"python", "python3"}:
            return Program((str(python),), where)
        if name := _choose(_python_programs(source, folder / VENV), command, source):
            return Program((str(python), "-P", "-c", RUN_SCRIPT, name), where)
    package = root if isinstance(source, GitSource) else folder / MODULES / source.name
    if (package / "package.json").is_file():
        programs = _node_programs(package)
        if name := _choose(programs, command, source):
            return Program(("node", str(_inside(package, programs[name]))), where)
    if command is not None and command in commands:
        return Program((command,), where)
    wanted = f"a program {command!r}" if command else "a program of its own"
    raise UpstreamFailed(
        f"its source has not {wanted}, and UPSTREAM_COMMANDS names none of this name: give it as `command`",
        is_lasting=True,
    )


class _Work:
    """Runs the commands of one installation."""

    def __init__(self, environ: Mapping[str, str], log: Log) -> None:
        self._environ = environ
        self._log = log

    def find(self, program: str) -> str | None:
        """Where a program is, if it is there."""
        return shutil.which(program, path=self._environ.get("PATH"))

    async def run(self, command: Sequence[str], folder: Path, more: Mapping[str, str] | None = None) -> None:
        """Run a command, and wait for its end.

        Raises:
            UpstreamFailed: It failed, or took too long.
        """
        what = " ".join([Path(command[0]).name, *(part for part in command[1:] if re.fullmatch(r"[a-z]+", part))][:3])
        process = await start_process(
            command, environment=self._environment() | dict(more or {}), folder=folder, log=self._log
        )
        process.input.close()
        try:
            async with asyncio.timeout(STEP_SECONDS):
                while chunk := await process.output.read(READ_BYTES):
                    for line in chunk.decode(errors="replace").splitlines()[-20:]:
                        self._log.add("stdout", line)
                await process.ended.wait()
        except TimeoutError:
            raise UpstreamFailed(f"`{what}` has not ended within {STEP_SECONDS:g} s") from None
        finally:
            await asyncio.shield(asyncio.create_task(process.stop()))
        if process.status != 0:
            said = self._log.tail(5)
            raise UpstreamFailed(f"`{what}` failed ({describe_status(process.status)}){f': {said}' if said else ''}")

    def _environment(self) -> dict[str, str]:
        passed = {
            name: value
            for name, value in self._environ.items()
            if name.upper() in _PASSED_ON or name.upper().startswith(_PREFIXES)
        }
        return inherited_environment(self._environ) | passed

    def git_environment(self, source: GitSource) -> dict[str, str]:
        """Git asks nobody, and speaks nothing but what the source does."""
        return {name: self._environ[name] for name in _GIT_ONLY if name in self._environ} | {
            "GIT_ALLOW_PROTOCOL": "http" if source.is_local else "https:ssh",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_SSH_COMMAND": shlex.join(self._ssh()),
            "GIT_LFS_SKIP_SMUDGE": "1",
        }

    def key_environment(self, source: GitSource, key: str, file: Path) -> dict[str, str]:
        """What lets git alone open a repository; a private key is written into `file` for that."""
        if source.is_ssh:
            file.touch(mode=0o600)
            file.write_text(key.strip() + "\n")
            return {"GIT_SSH_COMMAND": shlex.join([*self._ssh(), "-oIdentitiesOnly=yes", f"-oIdentityFile={file}"])}
        # Any name goes with a token at GitHub and GitLab; theirs is for GitHub's own tokens of applications.
        shown = b64encode((key if ":" in key else f"x-access-token:{key}").encode()).decode()
        settings = {
            f"http.{source.url}.extraHeader": f"Authorization: Basic {shown}",
            "http.followRedirects": "false",  # else it would be shown to whomever the server names
        }
        numbered = enumerate(settings.items())
        pairs = [((f"GIT_CONFIG_KEY_{n}", name), (f"GIT_CONFIG_VALUE_{n}", value)) for n, (name, value) in numbered]
        return {"GIT_CONFIG_COUNT": str(len(settings)), **dict(pair for both in pairs for pair in both)}

    def _ssh(self) -> list[str]:
        """Ssh that asks nobody, and speaks to no host whose key it does not know."""
        known = Path(self._environ.get("HOME") or Path.home()) / ".ssh" / "known_hosts"
        return ["ssh", "-oBatchMode=yes", "-oStrictHostKeyChecking=yes", f"-oUserKnownHostsFile={known}"]


async def _build_git(source: GitSource, folder: Path, work: _Work, key: str | None) -> str:
    if work.find("git") is None:
        raise UpstreamFailed("git is not installed here", is_lasting=True)
    checkout, environment = folder / CHECKOUT, work.git_environment(source)
    checkout.mkdir()
    await work.run([*_GIT, "init", "--quiet"], checkout, environment)
    fetch = ["fetch", "--quiet", "--depth", "1", "--no-tags", "--no-recurse-submodules"]
    key_file = folder / KEY
    opening = work.key_environment(source, key, key_file) if key else {}
    try:
        await work.run([*_GIT, *fetch, "--", source.url, source.ref or "HEAD"], checkout, environment | opening)
    finally:
        key_file.unlink(missing_ok=True)
    await work.run([*_GIT, "checkout", "--quiet", "--detach", "FETCH_HEAD"], checkout, environment)
    root = _inside(checkout, source.folder or ".")
    if not root.is_dir():
        raise UpstreamFailed(f"the repository has no folder {source.folder!r}", is_lasting=True)
    if (root / "pyproject.toml").is_file() or (root / "setup.py").is_file():
        await _make_venv(folder / VENV, work)
        await _install_python(folder / VENV, [str(root)], root, work)
    elif (root / "requirements.txt").is_file():
        await _make_venv(folder / VENV, work)
        await _install_python(folder / VENV, ["-r", str(root / "requirements.txt")], root, work)
    if (root / "package.json").is_file():
        await work.run([*_NPM, "ci" if (root / "package-lock.json").is_file() else "install"], root)
    return (checkout / ".git" / "HEAD").read_text().strip()


async def _make_venv(venv: Path, work: _Work) -> None:
    if uv := work.find("uv"):
        await work.run(
            [uv, "venv", "--quiet", "--no-project", "--relocatable", "--python", sys.executable, str(venv)], venv.parent
        )
    else:
        await work.run([sys.executable, "-I", "-m", "venv", str(venv)], venv.parent)


async def _install_python(venv: Path, what: list[str], folder: Path, work: _Work) -> None:
    python = str(venv / "bin" / "python")
    if uv := work.find("uv"):
        await work.run([uv, "pip", "install", "--quiet", "--no-config", "--python", python, *what], folder)
    else:
        await work.run([python, "-I", "-m", "pip", "install", "--quiet", "--no-input", *what], folder)


def _python_programs(source: Source, venv: Path) -> dict[str, str]:
    """The programs that the source itself brings, by name."""
    if isinstance(source, PackageSource):
        own = [_read_distribution(venv, source.name)]
    else:
        own = [each for each in _distributions(venv) if each.read_text("direct_url.json")]
    return {entry.name: entry.value for each in own for entry in each.entry_points.select(group="console_scripts")}


def _distributions(venv: Path) -> list[importlib.metadata.Distribution]:
    return list(importlib.metadata.distributions(path=[str(each) for each in venv.glob("lib/python*/site-packages")]))


def _read_distribution(venv: Path, name: str) -> importlib.metadata.Distribution:
    wanted = re.sub(r"[-_.]+", "-", name).lower()
    for each in _distributions(venv):
        if re.sub(r"[-_.]+", "-", each.name).lower() == wanted:
            return each
    raise UpstreamFailed(f"the package {name!r} was not installed")


def _node_programs(package: Path) -> dict[str, str]:
    said = _read_json(package / "package.json")
    programs, name = said.get("bin"), str(said.get("name", package.name)).rpartition("/")[2]
    if isinstance(programs, str):
        return {name: programs}
    return {str(each): str(path) for each, path in programs.items()} if isinstance(programs, dict) else {}


def _choose(programs: Mapping[str, str], command: str | None, source: Source) -> str | None:
    """The program that is meant: the named one; else the only one, or the one that is called like the package."""
    if command is not None:
        return command if command in programs else None
    name = source.name.rpartition("/")[2] if isinstance(source, PackageSource) else ""
    if name in programs or len(programs) < 2:
        return name if name in programs else next(iter(programs), None)
    raise UpstreamFailed(
        f"its source has several programs ({', '.join(sorted(programs)[:20])}): name one as `command`", is_lasting=True
    )


def _inside(folder: Path, path: str) -> Path:
    """A place below a folder, whatever links lie there."""
    found = (folder / path).resolve()
    if not found.is_relative_to(folder.resolve()):
        raise UpstreamFailed(f"{path[:100]!r} leads out of its folder", is_lasting=True)
    return found


def _read_json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UpstreamFailed(f"{file.name} cannot be read: {error}", is_lasting=True) from error
    return found if isinstance(found, dict) else {}
