"""Hot reload, with plugins as pip leaves them behind: what changed counts without a restart, or not at all."""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.auth.conftest import mcp_request
from tests.conftest import running
from toolbox.app import create_app
from toolbox.index.embeddings import count_pending
from toolbox.services import open_services
from toolbox.settings import Settings
from toolbox.tools.replicas import Replica

CODE = '''
import asyncio
import contextlib
from pathlib import Path
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


@toolbox.resource("hot://words")
def words() -> str:
    """The words."""
    return "{words}"


@toolbox.hookimpl
def toolbox_tools():
    return [greet, wait{extra}]


@toolbox.hookimpl
def toolbox_prompts():
    return [{prompt}]


@toolbox.hookimpl
def toolbox_resources():
    return [words]


@toolbox.hookimpl
def toolbox_skills():
    return sorted((Path(__file__).parent / "skills").iterdir())


@toolbox.hookimpl
def toolbox_upstreams():
    return [toolbox.Upstream(name="{words}", transport="http", url="https://127.0.0.1:9/{words}", enabled=False)]


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
        package = self.folder / "hot_plugin"
        package.mkdir()
        (package / "__init__.py").write_text(code.format(words=words, extra=extra, more=more, prompt=f"say_{words}"))
        self.write_skill("wave", f"Say {words}.")
        record = self.folder / f"hot-{version}.dist-info"
        record.mkdir()
        (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: hot\nVersion: {version}\n")
        (record / "entry_points.txt").write_text("[toolbox]\nhot = hot_plugin\n")

    def write_skill(self, name: str, text: str) -> None:
        folder = self.folder / "hot_plugin" / "skills" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "SKILL.md").write_text(f"---\nname: {name}\ndescription: How to {name}.\n---\n\n{text}\n")

    def remove(self) -> None:
        for folder in (self.folder / "hot_plugin", *self.folder.glob("*.dist-info")):
            shutil.rmtree(folder, ignore_errors=True)


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


async def ask(client: httpx.AsyncClient, method: str, **params: Any) -> Any:
    content, headers = mcp_request(method, params)
    answer = (await client.post("/mcp", content=content, headers=headers)).json()
    return answer.get("result") or answer["error"]


async def read(client: httpx.AsyncClient, uri: str) -> Any:
    answer = await ask(client, "resources/read", uri=uri)
    return answer["contents"][0]["text"] if "contents" in answer else answer["message"]


async def prompts(client: httpx.AsyncClient) -> set[str]:
    return {one["name"] for one in (await ask(client, "prompts/list"))["prompts"] if one["name"].startswith("hot_")}


async def skills(client: httpx.AsyncClient) -> dict[str, str]:
    """The skills of the plugin, and what stands in each."""
    listed = (await ask(client, "skills/list"))["skills"]
    uris = [skill["uri"] for skill in listed if skill["uri"].startswith("skill://hot/")]
    return {uri.split("/")[3]: (await read(client, uri)).rpartition("---")[2].strip() for uri in uris}


async def upstreams(client: httpx.AsyncClient) -> list[str]:
    return [upstream["name"] for upstream in (await client.get("/admin/upstreams")).json()]


async def test_what_a_reload_brings_is_embedded_before_it_answers(package: Package, settings: Settings) -> None:
    async with open_services(settings) as services, services.events.running():
        services.replica = Replica(services.database, uuid4())
        await services.sync(services.replica)
        services.is_fill_due = False  # as when nothing has changed for a while
        package.install("1.0", "hello")
        await services.reload()
        assert services.embed
        assert await count_pending(services.database, services.embed[0]) == 0


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


async def test_what_a_plugin_offers_beside_tools_comes_changes_and_goes(
    client: httpx.AsyncClient, package: Package
) -> None:
    package.install("1.0", "hello")
    (planned,) = await reload(client, dry_run=True)
    assert planned["others_added"] == [
        "prompt hot_say_hello",
        "resource hot://words",
        "resource skill://hot/wave/SKILL.md",
        "skill skill://hot/wave/SKILL.md",
        "upstream hello",
    ]
    assert "no resource" in await read(client, "hot://words")
    assert (await prompts(client), await skills(client), await upstreams(client)) == (set(), {}, [])
    assert await reload(client) == [planned]
    assert await read(client, "hot://words") == "hello"
    assert await skills(client) == {"wave": "Say hello."}
    assert (await prompts(client), await upstreams(client)) == ({"hot_say_hello"}, ["hello"])

    package.write_skill("wave", "Say it twice.")
    package.write_skill("bow", "Bend.")
    (change,) = await reload(client)
    assert (change["outcome"], change["version"], change["tools_changed"]) == ("upgraded", "1.0", [])
    assert change["others_added"] == ["resource skill://hot/bow/SKILL.md", "skill skill://hot/bow/SKILL.md"]
    assert change["others_changed"] == ["resource skill://hot/wave/SKILL.md", "skill skill://hot/wave/SKILL.md"]
    assert await skills(client) == {"wave": "Say it twice.", "bow": "Bend."}

    package.install("2.0", "goodbye")
    await reload(client)
    assert await read(client, "hot://words") == "goodbye"
    assert await skills(client) == {"wave": "Say goodbye."}
    assert (await prompts(client), await upstreams(client)) == ({"hot_say_goodbye"}, ["goodbye"])

    package.remove()
    (gone,) = await reload(client)
    assert (gone["outcome"], "upstream goodbye" in gone["others_removed"]) == ("removed", True)
    assert "no resource" in await read(client, "hot://words")
    assert (await prompts(client), await skills(client), await upstreams(client)) == (set(), {}, [])


async def test_a_reload_may_come_while_the_start_configures_upstreams(
    package: Package, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    other = tmp_path_factory.mktemp("other")
    monkeypatch.syspath_prepend(other)
    (other / "early_plugin.py").write_text(
        "import toolbox\n\n\n@toolbox.hookimpl\ndef toolbox_upstreams():\n"
        '    return [toolbox.Upstream(name="early", transport="http", url="https://127.0.0.1:9/", enabled=False)]\n'
    )
    record = other / "early-1.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: early\nVersion: 1.0\n")
    (record / "entry_points.txt").write_text("[toolbox]\nearly = early_plugin\n")
    package.install("1.0", "hello")
    async with open_services(settings) as services, services.events.running():
        async with services.database.transaction() as connection:
            await connection.execute("lock table upstreams in exclusive mode")  # the first of the two waits for it
            start = asyncio.create_task(services.configure_upstreams())
            waiting = "select 1 from pg_locks where relation = 'upstreams'::regclass and not granted"
            while not await connection.fetchval(waiting):
                await asyncio.sleep(0.01)
            package.install("2.0", "goodbye")
            upgrade = asyncio.create_task(services.reload())
            while "goodbye" not in services.plugins.upstreams:
                await asyncio.sleep(0.01)
        await asyncio.gather(start, upgrade)
        assert set(await services.upstreams.repository.read_all()) == {"early", "goodbye"}


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
