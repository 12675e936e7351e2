"""Toolsets as the official MCP registry lists servers, and as server cards describe them."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from jsonschema_rs import validator_for
from litestar.testing import AsyncTestClient
from msgspec import structs

from tests.conftest import BASE_URL, wait_until_ready
from toolbox.app import create_app
from toolbox.services import Services
from toolbox.settings import Settings
from toolbox.toolsets.registry import to_namespace
from toolbox.toolsets.schemas import Rule, Rules, ToolsetDefinition
from toolbox.toolsets.service import ToolsetService

NAME = {"type": "string", "minLength": 3, "maxLength": 200, "pattern": "^[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+$"}
TEXT = {"type": "string", "minLength": 1, "maxLength": 100}
MOMENT = {"type": "string", "format": "date-time"}
REMOTE = {
    "type": "object",
    "required": ["type", "url"],
    "properties": {
        "type": {"enum": ["streamable-http", "sse"]},
        "url": {"type": "string", "pattern": r"^(https?://[^\s]+|\{[a-zA-Z_][a-zA-Z0-9_]*\}[^\s]*)$"},
        "supportedProtocolVersions": {"type": "array", "items": {"type": "string"}},
    },
}
SERVER = {
    "type": "object",
    "required": ["name", "description", "version"],
    "properties": {
        "$schema": {"type": "string", "format": "uri"},
        "name": NAME,
        "title": TEXT,
        "description": TEXT,
        "version": {"type": "string", "maxLength": 255},
        "remotes": {"type": "array", "items": REMOTE},
    },
}
RESPONSE = {
    "type": "object",
    "required": ["server"],
    "properties": {
        "server": SERVER,
        "_meta": {
            "type": "object",
            "properties": {
                "io.modelcontextprotocol.registry/official": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        "status": {"enum": ["active", "deprecated", "deleted"]},
                        "statusMessage": {"type": "string", "maxLength": 500},
                        "statusChangedAt": MOMENT,
                        "publishedAt": MOMENT,
                        "updatedAt": MOMENT,
                        "isLatest": {"type": "boolean"},
                    },
                }
            },
        },
    },
}
LIST = {
    "type": "object",
    "required": ["servers"],
    "properties": {
        "servers": {"type": "array", "items": RESPONSE},
        "metadata": {
            "type": "object",
            "properties": {"nextCursor": {"type": "string"}, "count": {"type": "integer"}},
        },
    },
}
ERROR = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
CARD = {
    **SERVER,
    "required": ["$schema", "description", "name", "version"],
    "properties": SERVER["properties"]
    | {"$schema": {"const": "https://static.modelcontextprotocol.io/schemas/v1/server-card.schema.json"}},
}


def assert_fits(document: Any, schema: Any) -> None:
    errors = [
        f"{'/'.join(map(str, error.instance_path))}: {error.message}"
        for error in validator_for(schema, validate_formats=True).iter_errors(document)
    ]
    assert errors == []


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return structs.replace(settings, public_url="https://tools.example.com", allow_anonymous=True)


@pytest.fixture
async def toolsets(services: Services) -> ToolsetService:
    """Three toolsets."""
    every = Rules((Rule(name="*"),))
    await services.toolsets.apply(
        {
            "weather": ToolsetDefinition(rules=every, title="Weather", description="Tells the weather. " * 20),
            "mail": ToolsetDefinition(rules=every, version="2.1.0", is_direct=False),
            "calendar": ToolsetDefinition(rules=every),
        }
    )
    return services.toolsets


@pytest.fixture
async def http(settings: Settings, toolsets: ToolsetService) -> AsyncIterator[AsyncTestClient[Any]]:
    async with AsyncTestClient(create_app(settings), base_url=BASE_URL) as opened:
        await wait_until_ready(opened)
        yield opened


async def get_names(http: AsyncTestClient[Any], **query: Any) -> list[str]:
    answer = await http.get("/v0.1/servers", params=query)
    assert answer.status_code == 200
    assert_fits(answer.json(), LIST)
    assert answer.json()["metadata"]["count"] == len(answer.json()["servers"])
    return [server["server"]["name"].rpartition("/")[2] for server in answer.json()["servers"]]


async def test_a_toolset_is_a_server_in_the_registry(http: AsyncTestClient[Any], services: Services) -> None:
    answer = await http.get("/v0.1/servers/com.example.tools%2Fmail/versions/latest")
    assert_fits(answer.json(), RESPONSE)
    toolset = await services.toolsets.get("mail")
    meta = answer.json()["_meta"]
    assert answer.json()["server"] == {
        "$schema": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json",
        "name": "com.example.tools/mail",
        "title": "mail",
        "description": "mail: a toolset of ToolBox",
        "version": "2.1.0",
        "remotes": [{"type": "streamable-http", "url": "https://tools.example.com/toolsets/mail/mcp"}],
    }
    assert meta["dev.toolbox/toolset"] == {"tools": toolset.tools, "showsTools": False, "revision": toolset.revision}
    assert meta["io.modelcontextprotocol.registry/official"]["status"] == "active"
    assert meta["io.modelcontextprotocol.registry/official"]["isLatest"] is True


async def test_the_list_is_read_in_pages(http: AsyncTestClient[Any]) -> None:
    first = await http.get("/v0.1/servers", params={"limit": 2})
    assert_fits(first.json(), LIST)
    cursor = first.json()["metadata"]["nextCursor"]
    assert await get_names(http, limit=2) == ["calendar", "mail"]
    assert await get_names(http, limit=2, cursor=cursor) == ["weather"]
    assert await get_names(http) == ["calendar", "mail", "weather"]
    assert "nextCursor" not in (await http.get("/v0.1/servers")).json()["metadata"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"search": "EA"}, ["weather"]),
        ({"search": "example.tools/ma"}, ["mail"]),
        ({"search": "100%"}, []),
        ({"version": "latest"}, ["calendar", "mail", "weather"]),
        ({"version": "2.1.0"}, ["mail"]),
        ({"updated_since": "2020-01-01T00:00:00Z"}, ["calendar", "mail", "weather"]),
        ({"updated_since": "2099-01-01T00:00:00+00:00"}, []),
        ({"search": ""}, ["calendar", "mail", "weather"]),
    ],
)
async def test_the_list_is_narrowed(http: AsyncTestClient[Any], query: dict[str, str], expected: list[str]) -> None:
    assert await get_names(http, **query) == expected


async def test_what_was_deleted_is_told_to_those_who_ask_for_changes(
    http: AsyncTestClient[Any], toolsets: ToolsetService
) -> None:
    await toolsets.delete("mail")
    assert await get_names(http) == ["calendar", "weather"]
    assert await get_names(http, include_deleted="true") == ["calendar", "mail", "weather"]
    changed = (await http.get("/v0.1/servers", params={"updated_since": "2020-01-01T00:00:00Z"})).json()["servers"]
    statuses = [server["_meta"]["io.modelcontextprotocol.registry/official"]["status"] for server in changed]
    assert statuses == ["active", "deleted", "active"]
    path = "/v0.1/servers/com.example.tools%2Fmail/versions"
    assert (await http.get(path)).status_code == 404
    assert (await http.get(path, params={"include_deleted": "true"})).status_code == 200


@pytest.mark.parametrize("slash", ["%2F", "/"])
async def test_a_server_has_the_version_that_its_endpoint_serves(http: AsyncTestClient[Any], slash: str) -> None:
    path = f"/v0.1/servers/com.example.tools{slash}mail/versions"
    listed = (await http.get(path)).json()
    assert_fits(listed, LIST)
    assert [server["server"]["version"] for server in listed["servers"]] == ["2.1.0"]
    latest, exact = await http.get(f"{path}/latest"), await http.get(f"{path}/2.1.0")
    assert latest.json() == exact.json() == listed["servers"][0]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v0.1/servers/com.example.tools%2Fnone/versions", 404),
        ("/v0.1/servers/com.example.tools%2Fnone/versions/latest", 404),
        ("/v0.1/servers/com.example.tools%2Fmail/versions/3.0.0", 404),
        ("/v0.1/servers/com.elsewhere%2Fmail/versions", 404),
        ("/v0.1/servers?limit=0", 400),
        ("/v0.1/servers?limit=many", 400),
        ("/v0.1/servers?cursor=%C3%A4", 400),
        ("/v0.1/servers?updated_since=yesterday", 400),
        ("/v0.1/servers?updated_since=2025-01-01T00:00:00", 400),
        ("/v0.1/servers?include_deleted=perhaps", 400),
    ],
)
async def test_an_error_is_said_as_the_registry_says_it(http: AsyncTestClient[Any], path: str, status: int) -> None:
    answer = await http.get(path)
    assert answer.status_code == status
    assert_fits(answer.json(), ERROR)


@pytest.mark.parametrize(
    ("url", "namespace"),
    [
        ("https://tools.example.com/", "com.example.tools"),
        ("https://tools.example.com:8443/x", "com.example.tools"),
        ("http://127.0.0.1:8000", "local.toolbox"),
        ("http://[::1]:8000", "local.toolbox"),
        ("http://localhost", "local.toolbox"),
        ("http://my_host.example", "local.toolbox"),
        ("http://" + "a" * 70 + ".example", "local.toolbox"),
        ("https://bücher.example", "example.xn--bcher-kva"),
    ],
)
def test_servers_are_named_after_the_domain(url: str, namespace: str) -> None:
    assert to_namespace(url) == namespace


async def test_the_catalogue_leads_to_a_card_of_each_endpoint(http: AsyncTestClient[Any]) -> None:
    catalogue = await http.get("/.well-known/ai-catalog.json", headers={"origin": "https://elsewhere.example"})
    assert catalogue.headers["content-type"] == "application/ai-catalog+json"
    assert catalogue.headers["access-control-allow-origin"] == "*"
    entries = catalogue.json()["entries"]
    assert catalogue.json()["specVersion"] == "1.0"
    assert [entry["identifier"] for entry in entries] == [
        "urn:air:tools.example.com:toolbox",
        "urn:air:tools.example.com:calendar",
        "urn:air:tools.example.com:mail",
        "urn:air:tools.example.com:weather",
    ]
    for entry in entries:
        assert entry["type"] == "application/mcp-server-card+json"
        card = await http.get(entry["url"].removeprefix("https://tools.example.com"))
        assert card.headers["content-type"] == "application/mcp-server-card+json"
        assert_fits(card.json(), CARD)
        (remote,) = card.json()["remotes"]
        assert f"{remote['url']}/server-card" == entry["url"]
        assert "2026-07-28" in remote["supportedProtocolVersions"]
        assert "2025-11-25" in remote["supportedProtocolVersions"]


async def test_there_is_no_card_of_an_unknown_toolset(http: AsyncTestClient[Any]) -> None:
    assert (await http.get("/toolsets/none/mcp/server-card")).status_code == 404


async def test_pages_of_others_learn_nothing_of_a_toolbox_that_is_not_public(
    settings: Settings, toolsets: ToolsetService
) -> None:
    private = structs.replace(settings, public_url=None)
    async with AsyncTestClient(create_app(private), base_url=BASE_URL) as http:
        await wait_until_ready(http)
        elsewhere = {"origin": "https://elsewhere.example"}
        assert (await http.get("/.well-known/ai-catalog.json", headers=elsewhere)).status_code == 403
        own = await http.get("/.well-known/ai-catalog.json")
        assert "access-control-allow-origin" not in own.headers
        assert own.json()["entries"][0]["url"] == f"{BASE_URL}/mcp/server-card"
