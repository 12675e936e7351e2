"""Repositories that are not for everybody: by a token over HTTP, by a private key over ssh, from real servers."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from tests.upstreams.packages import GitServer, Repository, server
from toolbox.definitions import Upstream
from toolbox.errors import InvalidRequest, UpstreamFailed
from toolbox.upstreams.config import check_upstream
from toolbox.upstreams.installations import Installations
from toolbox.upstreams.logs import Log
from toolbox.upstreams.masking import mask

TOKEN = "ghp-hunter2-swordfish"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "git")
    (made.folder / "server.py").write_text(server("1.0") + "\nmain()\n")
    made.commit()
    return made


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A user's, in which ssh knows nobody yet."""
    (tmp_path / "home" / ".ssh").mkdir(parents=True)
    return tmp_path / "home"


@pytest.fixture
def installations(tmp_path: Path, home: Path) -> Installations:
    environ = {"PATH": os.environ["PATH"], "HOME": str(home)}
    return Installations(tmp_path / "upstreams", environ=environ, commands=("python3",))


async def install(installations: Installations, source: str, log: Log, **options: Any) -> Path:
    async def resolve(text: str) -> str:
        return options.get("secret", TOKEN) if text == "${secret:git}" else text

    upstream = Upstream(name="pets", source=source, source_key="${secret:git}", command="python3")
    found = await installations.find(upstream, log, resolve=resolve)
    (installation,) = found.installations
    installation.release()
    return installation.folder


def everything_in(folder: Path) -> str:
    return "\n".join(path.read_text(errors="replace") for path in folder.rglob("*") if path.is_file())


async def test_a_token_opens_a_repository_and_is_seen_nowhere(
    installations: Installations, repository: Repository, tmp_path: Path
) -> None:
    served = GitServer(repository.bare.parent, password=TOKEN)
    source, log = f"git+{served.url}/pets.git", Log()
    try:
        folder = await install(installations, source, log)
        assert (folder / "checkout" / "server.py").exists()
        assert any("git" in command and "fetch" in command for command in served.commands)
        assert served.refused == []  # it is shown at once, so that nothing tells whether a repository is there

        with pytest.raises(UpstreamFailed) as caught:
            await install(installations, f"{source}@main", log, secret="wrong-hunter2")
        assert "git fetch" in caught.value.message
        said = "\n".join([caught.value.message, *served.commands, *(line.text for line in log.last())])
        for secret in (TOKEN, "wrong-hunter2", *map(str, filter(None, served.refused))):
            assert secret not in said + everything_in(tmp_path / "upstreams")

        # Whoever is asked shows the way to nobody else.
        other = GitServer(repository.bare.parent, password="another")
        moving = GitServer(repository.bare.parent, elsewhere=other.url)
        with pytest.raises(UpstreamFailed, match="git fetch"):
            await install(installations, f"git+{moving.url}/moved/pets.git", log)
        assert other.refused == []
        for each in (other, moving):
            each.close()
    finally:
        served.close()


@contextlib.asynccontextmanager
async def ssh_server(folder: Path, allowed: asyncssh.SSHKey) -> AsyncIterator[tuple[int, str]]:
    """Serves repositories below a folder to whoever has a key, by git's own program; its port, and its key."""
    own = asyncssh.generate_private_key("ssh-ed25519")

    async def serve(process: asyncssh.SSHServerProcess[bytes]) -> None:
        program, _, path = (process.command or "").partition(" ")
        assert program == "git-upload-pack"
        git = await asyncio.create_subprocess_exec(
            *("git", "-c", "safe.directory=*", "upload-pack", str(folder / path.strip("'/"))),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        asking = asyncio.create_task(pump(process.stdin, git.stdin))
        await pump(git.stdout, process.stdout)
        asking.cancel()
        process.exit(await git.wait())

    async def pump(source: Any, target: Any) -> None:
        while part := await source.read(65536):
            target.write(part)
            await target.drain()

    listening = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[own],
        authorized_client_keys=asyncssh.import_authorized_keys(allowed.export_public_key().decode()),
        process_factory=serve,
        encoding=None,
    )
    try:
        yield listening.get_port(), own.export_public_key().decode().strip()
    finally:
        listening.close()
        await listening.wait_closed()


async def test_a_private_key_opens_a_repository_of_a_host_that_is_known(
    installations: Installations, repository: Repository, home: Path, tmp_path: Path
) -> None:
    key, log = asyncssh.generate_private_key("ssh-ed25519"), Log()
    private = key.export_private_key().decode()
    async with ssh_server(repository.bare.parent, key) as (port, host_key):
        source = f"git+ssh://git@127.0.0.1:{port}/pets.git"
        with pytest.raises(UpstreamFailed, match="Host key verification failed"):
            await install(installations, source, log, secret=private)
        known = home / ".ssh" / "known_hosts"
        another = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
        known.write_text(f"[127.0.0.1]:{port} {another}")
        with pytest.raises(UpstreamFailed, match="Host key verification failed"):
            await install(installations, source, log, secret=private)

        known.write_text(f"[127.0.0.1]:{port} {host_key}\n")
        stranger = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
        with pytest.raises(UpstreamFailed, match="Permission denied"):
            await install(installations, source, log, secret=stranger)
        folder = await install(installations, source, log, secret=private)
    assert (folder / "checkout" / "server.py").exists()
    assert "PRIVATE KEY" not in everything_in(tmp_path / "upstreams") + "".join(line.text for line in log.last())
    assert known.read_text() == f"[127.0.0.1]:{port} {host_key}\n"


def test_what_opens_a_repository_is_for_repositories_and_is_not_shown() -> None:
    upstream = Upstream(name="pets", source="git+https://example.org/a", source_key=TOKEN)
    check_upstream(upstream, commands=("git",), origin="api")
    assert mask(upstream)["source_key"] == "***"
    for wrong in (
        Upstream(name="a", source="npm:pets", source_key="x"),
        Upstream(name="a", command="npx", source_key="x"),
    ):
        with pytest.raises(InvalidRequest, match="source_key is for"):
            check_upstream(wrong, commands=("npx", "npm"), origin="import")
