"""Upstreams from git and from packages: a git server over HTTP, a folder of wheels, a registry of npm, all real."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.flows.node import find_node
from tests.upstreams.packages import GitServer, NpmRegistry, Repository, server, write_project, write_wheel
from tests.upstreams.test_supervisor import as_it_is, make_context
from toolbox.definitions import Upstream
from toolbox.errors import UpstreamFailed
from toolbox.upstreams.installations import Installations
from toolbox.upstreams.logs import Log
from toolbox.upstreams.supervised import Supervised
from toolbox.upstreams.supervisor import Supervisor

ROOT = Path(__file__).parents[2]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "git")


@pytest.fixture
def git_url(tmp_path: Path, repository: Repository) -> Iterator[str]:
    served = GitServer(repository.bare.parent)
    yield f"git+{served.url}/pets.git"
    served.close()


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """The environment of an operator who has set where packages come from: a folder, and nowhere else."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    own = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "UV_NO_INDEX": "1", "UV_FIND_LINKS": str(wheels)}
    return {**os.environ, **own, "UV_OFFLINE": "1", "UV_NO_CACHE": "1", "TOP_SECRET": "of ToolBox"}


@pytest.fixture
def installations(tmp_path: Path, environ: dict[str, str]) -> Installations:
    return Installations(tmp_path / "upstreams", environ=environ, commands=("python3",))


@pytest.fixture
async def supervisor(installations: Installations) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(resolve=as_it_is, installations=installations)
    async with supervisor.running():
        yield supervisor


def configure(supervisor: Supervisor, source: str, **options: Any) -> Supervised:
    upstream = Upstream(name="pets", source=source, backoff_seconds=0.01, **options)
    supervisor.configure({"pets": upstream})
    return supervisor.get("pets")


async def version_of(supervised: Supervised, *, seconds: float = 60) -> str:
    params = {"name": "version", "arguments": {}}
    result = await supervised.request("tools/call", params, make_context(seconds=seconds))
    return str(result["content"][0]["text"])


def look(tmp_path: Path) -> list[str]:
    """What lies in the folder of the upstream, without what differs from time to time."""
    return sorted(path.name.partition("-")[0] for path in (tmp_path / "upstreams" / "pets").iterdir())


async def wait_until_alone(tmp_path: Path) -> None:
    while look(tmp_path) != ["current", "lock", "v"]:
        await asyncio.sleep(0.02)


async def test_a_repository_is_installed_upgraded_and_what_is_broken_is_not_switched_to(
    supervisor: Supervisor, repository: Repository, git_url: str, tmp_path: Path
) -> None:
    write_project(repository.folder / "servers" / "pets", "1.0")
    first = repository.commit("v1")
    supervised = configure(supervisor, f"{git_url}#subdirectory=servers/pets", description="all of it")
    assert await version_of(supervised) == "1.0"
    assert supervised.status().version == first

    # What the branch says now is installed when somebody wishes it, and once for a wish.
    write_project(repository.folder / "servers" / "pets", "2.0")
    second = repository.commit()
    await supervised.close_sessions()
    assert await version_of(supervised) == "1.0"
    await asyncio.gather(supervisor.upgrade("pets", "a"), supervisor.upgrade("pets", "a"))
    supervised = supervisor.get("pets")
    assert (await version_of(supervised), supervised.status().version) == ("2.0", second)
    await wait_until_alone(tmp_path)

    # One that does not start leaves things as they are, its files too; so does one that cannot be fetched.
    write_project(repository.folder / "servers" / "pets", "3.0", is_broken=True)
    repository.commit("broken")
    pid = supervised.status().processes
    with pytest.raises(UpstreamFailed, match="it is broken"):
        await supervisor.upgrade("pets", "b")
    assert supervisor.get("pets") is supervised
    assert (await version_of(supervised), supervised.status().processes) == ("2.0", pid)
    assert "it is broken" in str(supervised.status().problem)
    broken = configure(supervisor, f"{git_url}@broken#subdirectory=servers/pets")
    await broken.session()
    assert await version_of(broken) == "2.0"
    assert "the one before still is" in str(broken.status().problem)
    missing = configure(supervisor, f"{git_url}@nothing#subdirectory=servers/pets")
    await missing.session()
    assert await version_of(missing) == "2.0"

    # A tag from before, by what it is called and by its commit; then it goes with all its files.
    for ref in ("v1", first):
        supervised = configure(supervisor, f"{git_url}@{ref}#subdirectory=servers/pets")
        await supervised.session()
        assert await version_of(supervised) == "1.0"
    supervisor.configure({})
    while (tmp_path / "upstreams" / "pets").exists():
        await asyncio.sleep(0.02)


async def test_what_runs_answers_until_another_version_is_installed_and_has_started(
    supervisor: Supervisor, repository: Repository, git_url: str, tmp_path: Path
) -> None:
    write_project(repository.folder, "1.0")
    repository.commit("v1")
    started = tmp_path / "started"
    write_project(repository.folder, "2.0", waits_for=started)
    repository.commit("v2")
    first = configure(supervisor, f"{git_url}@v1")
    assert await version_of(first) == "1.0"
    second = configure(supervisor, f"{git_url}@v2")
    assert await version_of(second) == "1.0"
    while not (started.exists() and started.read_text()):
        await asyncio.sleep(0.02)
    assert await version_of(second) == "1.0"
    assert second.status().state == "running"
    started.unlink()
    while await version_of(second) != "2.0":
        await asyncio.sleep(0.02)
    await wait_until_alone(tmp_path)


INSTALL = """
import asyncio, os, signal, sys
from pathlib import Path
from toolbox.definitions import Upstream
from toolbox.upstreams.installations import Installations
from toolbox.upstreams.logs import Log

async def main(folder, source, is_killed):
    installations = Installations(Path(folder), environ=os.environ)
    found = await installations.find(Upstream(name="pets", source=source), Log())
    print(found.installations[0].folder.name, flush=True)
    if is_killed == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    await installations.switch("pets", found.installations[0])

asyncio.run(main(*sys.argv[1:]))
"""


def is_building(started: Path) -> bool:
    return started.exists() and started.read_text() != ""


async def wait_for_build(started: Path, process: subprocess.Popen[str]) -> None:
    while not is_building(started):
        assert process.poll() is None
        await asyncio.sleep(0.02)


def install_elsewhere(folder: Path, source: str, environ: dict[str, str], how: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", INSTALL, str(folder), source, how]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ, cwd=ROOT)


async def test_what_a_killed_process_left_harms_nobody(
    supervisor: Supervisor, repository: Repository, git_url: str, tmp_path: Path, environ: dict[str, str]
) -> None:
    started = tmp_path / "started"
    write_project(repository.folder, "1.0")
    repository.commit("v1")
    write_project(repository.folder, "2.0", waits_for=started)
    repository.commit("v2")
    assert await version_of(configure(supervisor, f"{git_url}@v1")) == "1.0"
    supervisor.configure({"pets": Upstream(name="pets", source=f"{git_url}@v1", enabled=False)})
    while supervisor._closing:  # it tidies up at the end, also what follows here
        await asyncio.sleep(0.02)

    # Between the checkout and the switch: it is installing when it is killed, and so is everything that it started.
    process = install_elsewhere(tmp_path / "upstreams", f"{git_url}@v2", environ, "")
    await wait_for_build(started, process)
    builder = psutil.Process(int(started.read_text()))
    process.kill()
    process.communicate()
    while builder.is_running() and builder.status() != psutil.STATUS_ZOMBIE:
        await asyncio.sleep(0.02)
    assert look(tmp_path) == ["current", "lock", "new", "v"]
    assert await version_of(configure(supervisor, f"{git_url}@v1")) == "1.0"

    # Whole, but not switched to: the next one uses it.
    started.unlink()
    process = install_elsewhere(tmp_path / "upstreams", f"{git_url}@v2", environ, "")
    await wait_for_build(started, process)
    others = [install_elsewhere(tmp_path / "upstreams", f"{git_url}@v2", environ, how) for how in ("killed", "killed")]
    started.unlink()
    said = {each.communicate()[0] for each in (process, *others)}
    assert len(said) == 1  # three processes at the same time have installed it once
    assert [each.returncode for each in others] == [-signal.SIGKILL] * 2
    assert look(tmp_path) == ["current", "lock", "v", "v"]  # this process holds the other one
    supervised = configure(supervisor, f"{git_url}@v2")
    await supervised.session()
    assert await version_of(supervised) == "2.0"
    supervisor.configure({})
    while (tmp_path / "upstreams" / "pets").exists():
        await asyncio.sleep(0.02)


async def test_a_package_is_installed_into_a_virtual_environment_of_its_own(
    supervisor: Supervisor, tmp_path: Path, environ: dict[str, str]
) -> None:
    for version in ("1.0", "1.1"):
        write_wheel(tmp_path / "wheels", version, server(version))
    assert await version_of(configure(supervisor, "pypi:Pets_Server==1.0")) == "1.0"
    newest = configure(supervisor, "pypi:pets-server")
    await newest.session()
    assert (await version_of(newest), newest.status().version) == ("1.1", "1.1")
    await wait_until_alone(tmp_path)
    missing = configure(supervisor, "pypi:no-such-package")
    await missing.session()
    assert "no-such-package" in str(missing.status().problem)
    wrong = configure(supervisor, "pypi:pets-server", command="cats")
    with pytest.raises(UpstreamFailed, match="has not a program 'cats'"):
        await wrong.session()


async def test_pip_installs_where_uv_is_not(tmp_path: Path, environ: dict[str, str]) -> None:
    write_wheel(tmp_path / "wheels", "1.0", server("1.0"))
    installations = Installations(tmp_path / "upstreams", environ=environ | {"PATH": "/usr/bin:/bin"})
    supervisor = Supervisor(resolve=as_it_is, installations=installations)
    async with supervisor.running():
        assert await version_of(configure(supervisor, "pypi:pets-server")) == "1.0"


async def test_a_package_of_npm_s_is_installed_into_a_folder_of_its_own(
    supervisor: Supervisor, environ: dict[str, str], tmp_path: Path
) -> None:
    find_node(oldest_major=18)
    registry = NpmRegistry("@test/pets", ["1.0.0", "1.1.0"])
    environ |= {"npm_config_registry": registry.url, "npm_config_cache": str(tmp_path / "cache")}
    try:
        supervised = configure(supervisor, "npm:@test/pets@1.0.0", env={"PATH_TO": "x"})
        assert await version_of(supervised) == "1.0.0"
        newest = configure(supervisor, "npm:@test/pets")
        await newest.session()
        assert await version_of(newest) == "1.1.0"
    finally:
        registry.close()


async def test_a_repository_without_a_project_is_run_by_a_program_that_is_allowed(
    supervisor: Supervisor, repository: Repository, git_url: str, tmp_path: Path
) -> None:
    (repository.folder / "server.py").write_text(server("0") + "\nmain()\n")
    repository.commit()
    assert await version_of(configure(supervisor, git_url, command="python3", args=("server.py",))) == "0"
    refused = configure(supervisor, f"{git_url}@main", command="bash")
    with pytest.raises(UpstreamFailed, match="has not a program 'bash'"):
        await refused.session()
    assert "TOP_SECRET" not in json.dumps([line.text for line in refused.log.last()])


async def test_a_link_in_a_repository_leads_nowhere_else(
    installations: Installations, repository: Repository, git_url: str
) -> None:
    (repository.folder / "inside").symlink_to("/etc")
    repository.commit()
    with pytest.raises(UpstreamFailed, match="leads out of its folder"):
        await installations.find(Upstream(name="pets", source=f"{git_url}#subdirectory=inside"), Log())
    began = time.monotonic()
    with pytest.raises(UpstreamFailed, match="git fetch"):
        await installations.find(Upstream(name="pets", source="git+http://127.0.0.1:9/nothing"), Log())
    assert time.monotonic() - began < 60
