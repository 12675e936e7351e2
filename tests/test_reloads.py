"""Hot reload, with plugins as pip leaves them behind: what changed counts without a restart, or not at all."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import running
from toolbox.app import create_app
from toolbox.settings import Settings

CODE = '''
import asyncio
import contextlib
import toolbox

state = {{"is_open": False}}
go_on = asyncio.Event()


def greet() -> str:
    """Greet somebody{more}."""
    return "{words}" if state["is_open"] else "closed"


async def wait() -> str:
    """Wait until told to go on."""
    state["waits"] = True
    await go_on.wait()
    return greet()


def tell() -> None:
    """Tell those who wait."""
    go_on.set()


@toolbox.prompt
def {prompt}() -> str:
    """Say something."""
    return "{words}"


@toolbox.hookimpl
def toolbox_tools():
    return [greet, wait{extra}]


@toolbox.hookimpl
def toolbox_prompts():
    return [{prompt}]


@toolbox.hookimpl
@contextlib.asynccontextmanager
async def toolbox_lifespan(settings):
    state["is_open"] = True
    yield
'''


class Package:
    """A plugin in a folder on sys.path, with its dist-info."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(self, version: str, words: str, *, code: str = CODE, extra: str = "", more: str = "") -> None:
        self.remove()
        (self.folder / "hot_plugin.py").write_text(
            code.format(words=words, extra=extra, more=more, prompt=f"say_{words}")
        )
        record = self.folder / f"hot-{version}.dist-info"
        record.mkdir()
        (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: hot\nVersion: {version}\n")
        (record / "entry_points.txt").write_text("[toolbox]\nhot = hot_plugin\n")

    def remove(self) -> None:
        for record in self.folder.glob("*.dist-info"):
            for file in record.iterdir():
                file.unlink()
            record.rmdir()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    return Package(tmp_path)


@pytest.fixture
async def client(package: Package, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with running(create_app(settings)) as opened:
        yield opened


async def call(client: httpx.AsyncClient, name: str) -> Any:
    answer = (await client.post("/mcp/call_tool", json={"tool_name": name})).json()
    return answer["result"] if answer.get("success") else answer.get("error", answer.get("code"))


async def reload(client: httpx.AsyncClient, **query: Any) -> Any:
    answer = await client.post("/admin/reload", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["changes"]


async def prompts(client: httpx.AsyncClient) -> set[str]:
    plugins = (await client.get("/admin/plugins")).json()
    return {prompt for plugin in plugins if plugin["name"] == "hot" for prompt in plugin["prompts"]}


async def test_plugins_come_change_and_go_without_a_restart(client: httpx.AsyncClient, package: Package) -> None:
    assert await reload(client) == []
    package.install("1.0", "hello")
    (planned,) = await reload(client, dry_run=True)
    assert (planned["outcome"], planned["tools_added"]) == ("installed", ["hot_greet", "hot_wait"])
    assert await call(client, "hot_greet") == "tool_not_found"
    assert await reload(client) == [planned]
    assert await call(client, "hot_greet") == "hello"
    assert await prompts(client) == {"hot_say_hello"}

    waiting = asyncio.create_task(call(client, "hot_wait"))
    old = sys.modules["hot_plugin"]
    while "waits" not in old.state:
        await asyncio.sleep(0.01)
    package.install("2.0", "goodbye", extra=", tell", more=" else")
    (change,) = await reload(client)
    assert (change["outcome"], change["was_version"], change["version"]) == ("upgraded", "1.0", "2.0")
    assert (change["tools_added"], change["tools_changed"]) == (["hot_tell"], ["hot_greet", "hot_wait"])
    assert await call(client, "hot_greet") == "goodbye"
    assert await prompts(client) == {"hot_say_goodbye"}
    assert not waiting.done()
    old.go_on.set()
    assert await waiting == "hello"

    package.install("3.0", "broken", code="import no_such_module_at_all  # {words}{extra}{more}{prompt}")
    (failed,) = await reload(client)
    assert (failed["outcome"], failed["problems"][0]["where"]) == ("failed", "import")
    assert await call(client, "hot_greet") == "goodbye"
    assert await reload(client) == []

    package.remove()
    (gone,) = await reload(client)
    assert (gone["outcome"], gone["tools_removed"]) == ("removed", ["hot_greet", "hot_tell", "hot_wait"])
    assert await call(client, "hot_greet") == "tool_not_found"
    assert (await client.get("/admin/tools/hot_greet")).json()["is_offered"] is False


async def test_a_plugin_that_is_installed_as_editable_is_found(
    client: httpx.AsyncClient, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pip leaves a .pth file beside the other packages, which Python itself reads at its start only."""
    packages, source = tmp_path_factory.mktemp("packages"), tmp_path_factory.mktemp("source")
    monkeypatch.setattr("site.getsitepackages", lambda: [str(packages)])
    monkeypatch.setattr("sys.path", list(sys.path))
    Package(source).install("1.0", "hello")
    next(source.glob("*.dist-info")).rename(packages / "hot-1.0.dist-info")
    (packages / "hot.pth").write_text(f"{source}\n")
    (change,) = await reload(client)
    assert (change["plugin"], change["outcome"]) == ("hot", "installed")
    assert await call(client, "hot_greet") == "hello"


async def test_sighup_and_another_process_reload_as_well(
    client: httpx.AsyncClient, package: Package, settings: Settings
) -> None:
    package.install("1.0", "hello")
    os.kill(os.getpid(), signal.SIGHUP)
    while await call(client, "hot_greet") != "hello":
        await asyncio.sleep(0.01)
    async with running(create_app(settings)) as other:
        package.install("2.0", "goodbye", more=" else")
        await reload(client)
        while await call(other, "hot_greet") != "goodbye":
            await asyncio.sleep(0.01)
