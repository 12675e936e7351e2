"""Skills (extension io.modelcontextprotocol/skills): folders of instructions that plugins offer."""

import contextlib
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import toolbox
from tests.mcp.conftest import Client
from toolbox.plugins import Plugins
from toolbox.settings import Settings

EXTENSION = "io.modelcontextprotocol/skills"
HEAD = "---\nname: {name}\ndescription: How to {name}.\nmetadata:\n  version: '1.0'\n---\n\nDo it well.\n"
ROOT = "skill://demo/tie-knots"


def write_skill(folder: Path, name: str, files: dict[str, bytes] | None = None) -> Path:
    skill = folder / name
    for path, content in ({"SKILL.md": HEAD.format(name=name).encode()} | (files or {})).items():
        (skill / path).parent.mkdir(parents=True, exist_ok=True)
        (skill / path).write_bytes(content)
    return skill


def offering(*folders: Any) -> ModuleType:
    module = ModuleType("plugin")
    module.toolbox_skills = toolbox.hookimpl(specname="toolbox_skills")(lambda: folders)  # type: ignore[attr-defined]
    return module


@pytest.fixture
def knots(tmp_path: Path) -> Path:
    return write_skill(
        tmp_path,
        "tie-knots",
        {
            "knots/bow line.md": "# The bowline ⛵\r\n".encode(),
            "knots/loops/bight": b"\xff\x00",
            "pictures/bowline.png": b"\x89PNG\r\n\x1a\n",
            ".hidden": b"not for clients",
            "knots/__pycache__/a.pyc": b"not for clients",
        },
    )


@pytest.fixture
def plugins(make_plugins: Callable[..., Plugins], tmp_path: Path, knots: Path) -> Plugins:
    plugins = make_plugins(demo=offering(knots, write_skill(tmp_path, "sail")))
    assert plugins.plugins[0].problems == []
    return plugins


async def ask(mcp: Client, method: str, **params: Any) -> Any:
    answer = (await mcp.stateless(method, params)).json()
    return answer.get("result") or answer["error"]


async def read(mcp: Client, uri: str) -> Any:
    return (await mcp.stateless("resources/read", {"uri": uri}, mcp_name=uri)).json()["result"]["contents"][0]


def entry(uri: str, content: bytes) -> dict[str, Any]:
    return {"uri": uri, "digest": f"sha256:{sha256(content).hexdigest()}", "size": len(content)}


async def test_a_skill_is_listed_with_its_head_and_all_its_files(mcp: Client) -> None:
    listed = await ask(mcp, "skills/list")
    assert [skill["uri"] for skill in listed["skills"]] == ["skill://demo/sail/SKILL.md", f"{ROOT}/SKILL.md"]
    assert listed["skills"][1] == {
        "uri": f"{ROOT}/SKILL.md",
        "frontmatter": {"name": "tie-knots", "description": "How to tie-knots.", "metadata": {"version": "1.0"}},
        "resources": [
            entry(f"{ROOT}/SKILL.md", HEAD.format(name="tie-knots").encode()),
            entry(f"{ROOT}/knots/bow%20line.md", "# The bowline ⛵\r\n".encode()),
            entry(f"{ROOT}/knots/loops/bight", b"\xff\x00"),
            entry(f"{ROOT}/pictures/bowline.png", b"\x89PNG\r\n\x1a\n"),
        ],
    }
    assert (listed["resultType"], listed["cacheScope"], listed["ttlMs"] > 0) == ("complete", "public", True)
    assert "io.modelcontextprotocol/serverInfo" in listed["_meta"]


async def test_one_skill_is_found_by_its_uri(mcp: Client) -> None:
    found = await ask(mcp, "skills/get", uri=f"{ROOT}/SKILL.md")
    assert found["skill"] == (await ask(mcp, "skills/list"))["skills"][1]
    assert (found["resultType"], found["cacheScope"], found["ttlMs"] > 0) == ("complete", "public", True)
    for uri in (ROOT, f"{ROOT}/pictures/bowline.png", "skill://demo/fly/SKILL.md"):
        refused = await ask(mcp, "skills/get", uri=uri)
        assert (refused["code"], uri in refused["message"]) == (-32602, True)


async def test_every_file_is_read_as_it_was_digested(mcp: Client) -> None:
    first = await read(mcp, f"{ROOT}/SKILL.md")
    assert first == {"uri": f"{ROOT}/SKILL.md", "mimeType": "text/markdown", "text": HEAD.format(name="tie-knots")}
    text = await read(mcp, f"{ROOT}/knots/bow%20line.md")
    assert text == {"uri": f"{ROOT}/knots/bow%20line.md", "mimeType": "text/markdown", "text": "# The bowline ⛵\r\n"}
    opaque = await read(mcp, f"{ROOT}/knots/loops/bight")
    assert (opaque["mimeType"], opaque["blob"]) == ("application/octet-stream", "/wA=")
    assert (await read(mcp, f"{ROOT}/pictures/bowline.png"))["mimeType"] == "image/png"


@pytest.mark.parametrize("path", [".hidden", "knots", "knots/../SKILL.md", "knots/__pycache__/a.pyc", "other.md"])
async def test_what_is_no_file_of_a_skill_cannot_be_read(mcp: Client, path: str) -> None:
    uri = f"{ROOT}/{path}"
    answer = await mcp.stateless("resources/read", {"uri": uri}, mcp_name=uri)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32602)


async def test_a_file_that_changes_later_is_served_as_it_was(mcp: Client, knots: Path) -> None:
    (knots / "SKILL.md").write_text("something else")
    assert (await read(mcp, f"{ROOT}/SKILL.md"))["text"] == HEAD.format(name="tie-knots")


@pytest.mark.parametrize("era", ["handshake", "stateless"])
async def test_other_clients_see_the_first_file_and_a_template(mcp: Client, era: str) -> None:
    listed = (await getattr(mcp, era)("resources/list")).json()["result"]["resources"]
    assert listed[1] == {
        "uri": f"{ROOT}/SKILL.md",
        "name": "tie-knots",
        "description": "How to tie-knots.",
        "mimeType": "text/markdown",
        "size": len(HEAD.format(name="tie-knots")),
    }
    templates = (await getattr(mcp, era)("resources/templates/list")).json()["result"]["resourceTemplates"]
    assert [template["uriTemplate"] for template in templates] == [ROOT + "/{+path}"]


async def test_the_paths_of_a_skill_are_completed(mcp: Client) -> None:
    reference = {"type": "ref/resource", "uri": ROOT + "/{+path}"}
    completed = await ask(mcp, "completion/complete", ref=reference, argument={"name": "path", "value": "knots/l"})
    assert completed["completion"]["values"] == ["knots/loops/bight"]


async def test_a_folder_shows_what_lies_directly_in_it(mcp: Client) -> None:
    shown = await ask(mcp, "resources/directory/read", uri=ROOT)
    assert shown["resultType"] == "complete"
    assert shown["resources"] == [
        {
            "uri": f"{ROOT}/SKILL.md",
            "name": "tie-knots",
            "description": "How to tie-knots.",
            "mimeType": "text/markdown",
            "size": len(HEAD.format(name="tie-knots")),
        },
        {"uri": f"{ROOT}/knots", "name": "knots", "mimeType": "inode/directory"},
        {"uri": f"{ROOT}/pictures", "name": "pictures", "mimeType": "inode/directory"},
    ]
    deeper = await ask(mcp, "resources/directory/read", uri=f"{ROOT}/knots")
    assert [(child["name"], child["mimeType"]) for child in deeper["resources"]] == [
        ("bow line.md", "text/markdown"),
        ("loops", "inode/directory"),
    ]
    above = await ask(mcp, "resources/directory/read", uri="skill://demo")
    assert [child["name"] for child in above["resources"]] == ["sail", "tie-knots"]


@pytest.mark.parametrize("uri", [f"{ROOT}/SKILL.md", f"{ROOT}/", f"{ROOT}/kno", "skill:", "skill:/", "skill://", ""])
async def test_what_is_no_folder_is_refused(mcp: Client, uri: str) -> None:
    refused = await ask(mcp, "resources/directory/read", uri=uri)
    assert (refused["code"], refused["data"]) == (-32602, {"uri": uri})


async def test_a_large_folder_comes_in_pages(
    make_plugins: Callable[..., Plugins], plugins: Plugins, mcp: Client, tmp_path: Path
) -> None:
    many = write_skill(tmp_path, "many", {f"{number:03}.md": b"x" for number in range(250)})
    plugins.skills.update(make_plugins(more=offering(many)).skills)
    names, cursor = list[str](), {}
    while True:
        page = await ask(mcp, "resources/directory/read", uri="skill://more/many", **cursor)
        names += [child["name"] for child in page["resources"]]
        if "nextCursor" not in page:
            break
        cursor = {"cursor": page["nextCursor"]}
    assert sorted(names) == sorted(["many", *(f"{number:03}.md" for number in range(250))])
    assert (await ask(mcp, "resources/directory/read", uri="skill://more/many", cursor="?"))["code"] == -32602


async def test_the_extension_is_declared_where_there_are_skills(mcp: Client, plugins: Plugins) -> None:
    declared = (await ask(mcp, "server/discover"))["capabilities"]
    assert declared["extensions"][EXTENSION] == {"directoryRead": True}
    assert "resources" in declared
    plugins.skills.clear()
    assert EXTENSION not in (await ask(mcp, "server/discover"))["capabilities"].get("extensions", {})
    for method in ("skills/list", "skills/get", "resources/directory/read"):
        assert (await mcp.stateless(method, {"uri": ROOT})).status_code == 404


async def test_clients_of_the_handshake_era_have_no_extension(mcp: Client) -> None:
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    assert "extensions" not in (await mcp.handshake("initialize", hello)).json()["result"]["capabilities"]
    assert (await mcp.handshake("skills/list")).json()["error"]["code"] == -32601


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "there is no SKILL.md"),
        (b"# no head\n", "between two lines of ---"),
        (b"---\n- a\n---\n", "between two lines of ---"),
        (b"---\nname: [\n---\n", "cannot be read"),
        (b"---\nname: \xff\n---\n", "cannot be read"),
        (b"---\nname: !!python/object:os.system x\n---\n", "cannot be read"),
        (b"---\nname: Faulty\ndescription: x\n---\n", "the name 'Faulty' must be"),
        (b"---\ndescription: x\n---\n", "the name None must be"),
        (b"---\nname: other\ndescription: x\n---\n", "must be that of the folder"),
        (b"---\nname: faulty\n---\n", "needs a description"),
        (b"---\nname: faulty\ndescription: " + b"x" * 1025 + b"\n---\n", "needs a description"),
    ],
)
def test_a_skill_that_makes_no_sense_is_a_problem_of_its_plugin(
    make_plugins: Callable[..., Plugins], tmp_path: Path, content: bytes | None, said: str
) -> None:
    faulty = tmp_path / "faulty"
    faulty.mkdir()
    if content is not None:
        (faulty / "SKILL.md").write_bytes(content)
    (plugin,) = make_plugins(demo=offering(faulty, write_skill(tmp_path, "sail"))).plugins
    assert (plugin.state, plugin.skills) == ("partly", ["skill://demo/sail/SKILL.md"])
    assert said in plugin.problems[0].message


def test_a_skill_that_clients_need_not_take_is_refused(make_plugins: Callable[..., Plugins], tmp_path: Path) -> None:
    long = write_skill(tmp_path, "long", {f"{number}.md": b"" for number in range(512)})
    large = write_skill(tmp_path, "large", {"large.bin": b"\0" * 16 * 1024 * 1024})
    messages = [problem.message for problem in make_plugins(demo=offering(long, large)).plugins[0].problems]
    assert messages == [
        "long: 513 files are too many; a skill has at most 512",
        "large: it is too large; a skill has at most 16,777,216 bytes",
    ]


async def test_a_plugin_that_cannot_start_offers_no_skills(
    make_plugins: Callable[..., Plugins], settings: Settings, knots: Path
) -> None:
    @contextlib.asynccontextmanager
    async def fail(settings: Settings) -> AsyncIterator[None]:
        raise RuntimeError("no ropes")
        yield

    module = offering(knots)
    module.toolbox_lifespan = toolbox.hookimpl(specname="toolbox_lifespan")(fail)  # type: ignore[attr-defined]
    plugins = make_plugins(demo=module)
    async with plugins.lifespan(settings):
        assert (plugins.skills, plugins.resources, plugins.plugins[0].skills) == ({}, {}, [])


def test_two_skills_with_one_name_cannot_be_told_apart(make_plugins: Callable[..., Plugins], tmp_path: Path) -> None:
    first, second = write_skill(tmp_path / "a", "sail"), write_skill(tmp_path / "b", "sail")
    (plugin,) = make_plugins(demo=offering(first, second)).plugins
    assert [problem.message for problem in plugin.problems] == ["the URI 'skill://demo/sail/SKILL.md' is taken"]


def test_a_head_is_read_as_clients_read_it(make_plugins: Callable[..., Plugins], tmp_path: Path) -> None:
    head = b"""\xef\xbb\xbf---
name: read
description: >
  Read it
  well.
yes: no
when: 2026-11-21
number: 010
octal: 0o10
share: 1.5e3
time: 12:30
nothing: ~
empty:
on: true
infinite: .inf
---"""
    folder = write_skill(tmp_path, "read", {"SKILL.md": head})
    plugins = make_plugins(demo=offering(folder))
    assert plugins.skills["skill://demo/read/SKILL.md"].frontmatter == {
        "name": "read",
        "description": "Read it well.\n",
        "yes": "no",
        "when": "2026-11-21",
        "number": 10,
        "octal": 8,
        "share": 1500.0,
        "time": "12:30",
        "nothing": None,
        "empty": None,
        "on": True,
        "infinite": ".inf",
    }
