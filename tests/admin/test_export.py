"""Everything as one document, and back into an empty database: all of it, or nothing."""

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from msgspec import structs

from tests.auth.conftest import showing
from tests.conftest import execute, in_database, running
from toolbox.app import create_app
from toolbox.plugins import Plugins
from toolbox.settings import Secret, Settings

KEY = "the operator's own key"
Open = Callable[[Settings], Any]


def hello() -> str:
    """Say hello."""
    return "hello"


@pytest.fixture
def settings(database_url: str) -> Settings:
    return Settings(database_url=Secret(database_url), api_key=Secret(KEY), secret_key=Secret("x" * 32))


@pytest.fixture
def open_toolbox(make_plugins: Callable[..., Plugins]) -> Open:
    """Starts a ToolBox with one plugin, and gives back a client of it."""

    @contextlib.asynccontextmanager
    async def opened(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
        async with running(create_app(settings, make_plugins(demo=[hello]))) as client:
            client.headers.update(showing(KEY))
            yield client

    return opened


async def fill(client: httpx.AsyncClient) -> None:
    ping = {"name": "ping", "tags": ["net"], "implementation": {"kind": "http", "url": "https://api.example/v1"}}
    lines = '{"name": "mine_one", "description": "One."}\n{"name": "mine_two", "active": false}'
    upstream = {"command": "npx", "args": ["-y", "x"], "enabled": False}
    for answer in (
        await client.post("/admin/tools", json=ping),
        await client.post("/admin/tools/import?source=mine", content=lines),
        await client.post("/admin/tools/demo_hello/deactivate"),
        await client.put("/admin/toolsets/net", json={"rules": {"include": [{"tags": ["net"]}]}}),
        await client.put("/admin/policies", json={"upstream:*": "hold"}),
        await client.post("/admin/upstreams", json=upstream | {"name": "known", "env": {"KEY": "${secret:key}"}}),
        await client.post("/admin/upstreams", json=upstream | {"name": "secretive", "env": {"KEY": "value"}}),
        await client.post("/admin/keys", json={"name": "ci", "toolsets": ["net"]}),
        await client.post("/admin/keys", json={"name": "gone"}),
        await client.delete("/admin/keys/gone"),
    ):
        assert answer.is_success, answer.text


def essence(document: dict[str, Any]) -> dict[str, Any]:
    """What is the same wherever a document is brought in."""
    keys = [
        {name: key[name] for name in ("name", "scopes", "toolsets", "expires_at")}
        for key in document["keys"]
        if not key["revoked_at"]
    ]
    tools = sorted(document["tools"], key=lambda tool: str(tool["name"]))
    return document | {"keys": keys, "tools": tools, "made_at": None}


async def test_an_export_is_brought_into_an_empty_database(
    open_toolbox: Open, settings: Settings, postgres: str, template: str
) -> None:
    async with open_toolbox(settings) as client:
        await fill(client)
        exported = (await client.get("/admin/export")).json()
        again = await client.post("/admin/import", json=exported)
        assert again.json()["tools_unchanged"] == 3
        assert again.json()["toolsets"] == {"net": "unchanged"}
        assert essence((await client.get("/admin/export")).json()) == essence(exported)
    await execute(postgres, f"create database elsewhere template {template}")
    try:
        there = structs.replace(settings, database_url=Secret(in_database(postgres, "elsewhere")))
        async with open_toolbox(there) as client:
            looked = (await client.post("/admin/import?dry_run=true", json=exported)).json()
            assert (looked["is_dry_run"], looked["tools_added"]) == (True, ["ping", "mine_one", "mine_two"])
            assert (await client.get("/admin/toolsets")).json() == []
            done = await client.post("/admin/import", json=exported)
            assert done.json() == looked | {"is_dry_run": False}
            assert done.json()["upstreams"] == {"known": "created", "secretive": "created"}
            assert [(one["kind"], one["name"]) for one in done.json()["remarks"]] == [
                ("upstream", "secretive"),
                ("key", "ci"),
            ]
            assert essence((await client.get("/admin/export")).json()) == essence(exported)
            assert (await client.get("/admin/toolsets/net")).json()["first_tools"] == ["ping"]
            assert (await client.get("/admin/tools/demo_hello")).json()["active"] is False
            assert (await client.post("/admin/keys/ci/rotate", json={})).status_code == 200
            actions = {change["action"] for change in (await client.get("/admin/audit?limit=100")).json()}
            assert actions >= {"toolset.created", "source.imported", "upstream.created", "key.created"}
    finally:
        await execute(postgres, "drop database elsewhere with (force)")


async def test_one_bad_part_leaves_nothing_half_done(open_toolbox: Open, settings: Settings) -> None:
    good = {
        "format": "toolbox-export/1",
        "tools": [{"name": "ping", "source": "admin"}],
        "toolsets": {"net": {"rules": {"include": [{"name": "*"}]}}},
        "policies": {"upstream:*": "hold"},
    }
    server = {"origin": "api", "config": {"name": "shell", "command": "bash"}}
    bad = {
        "tools[1]": {"tools": [*good["tools"], {"name": "bad name", "source": "admin"}]},
        "there twice": {"tools": good["tools"] * 2},
        "must have type object": {"tools": [{"name": "x", "source": "a", "input_schema": {"type": "array"}}]},
        "rules.include is empty": {"toolsets": {"net": {"rules": {"include": []}}}},
        "bash": {"upstreams": [server]},
        "toolbox-export/1": {"format": "other"},
    }
    async with open_toolbox(settings) as client:
        for said, part in bad.items():
            refused = await client.post("/admin/import", json=good | part)
            assert refused.status_code in {400, 422}, refused.text
            assert said in refused.json()["detail"]
        assert (await client.get("/admin/tools/ping")).status_code == 404
        assert (await client.get("/admin/toolsets")).json() == []
        assert (await client.get("/admin/policies")).json() == {}
        writer = {"name": "writer", "scopes": ["tools:read", "tools:write"]}
        limited = showing((await client.post("/admin/keys", json=writer)).json()["secret"])
        assert (await client.post("/admin/import", json=good, headers=limited)).status_code == 200
        known = {"upstreams": [server | {"config": {"name": "x", "url": "https://x.example"}}]}
        assert (await client.post("/admin/import", json=good | known, headers=limited)).status_code == 403
