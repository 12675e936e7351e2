"""Resources and resource templates, in both eras."""

import asyncio
import threading
from base64 import b64encode
from collections.abc import Callable
from types import ModuleType
from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta, Struct, json

import toolbox
from tests.mcp.conftest import Client
from toolbox import Annotations, Icon, ResourceContents, ToolContext, ToolError, resource
from toolbox.definitions import ToolDefinition
from toolbox.mcp.catalogue import Catalogue
from toolbox.mcp.messages import ProtocolError
from toolbox.mcp.offers import Offers
from toolbox.mcp.runner import Runner
from toolbox.plugins import Plugins
from toolbox.resources import as_resource
from toolbox.services import Services
from toolbox.tools.client import SILENT
from toolbox.tools.repository import write_tools

ERAS = ["handshake", "stateless"]


class Point(Struct):
    """Something that is JSON."""

    x: int
    y: int


@resource(
    "test://static-text",
    name="static",
    title="A text",
    description="A text that never changes.",
    mime_type="text/markdown",
    size=5,
    annotations=Annotations(audience=("user",), priority=0.5, last_modified="2026-01-01T00:00:00Z"),
    icons=[Icon("https://example.com/a.png", "image/png", ("48x48",))],
    metadata={"example.com/origin": "tests"},
    cache_seconds=2.5,
)
async def static_text() -> str:
    return "hello"


@resource("test://static-binary")
def static_binary() -> bytes:
    """Bytes."""
    return b"\x00\xff"


@resource("test://point")
async def point() -> Point:
    return Point(1, 2)


@resource("test://empty")
async def empty() -> list[int]:
    return []


@resource("test://several")
async def several() -> list[ResourceContents]:
    return [
        ResourceContents("test://several/1", text=""),
        ResourceContents("test://several/2", "image/png", blob="AA=="),
    ]


@resource("test://template/{id}/data", mime_type="application/json")
async def by_id(id: Annotated[int, Meta(ge=0)]) -> dict[str, int] | None:  # noqa: A002
    """Data by number."""
    return {"id": id} if id < 1000 else None


@resource("test://paths/{kind}/{+path}")
def by_path(kind: Literal["a", "b"], path: str) -> str:
    return f"{kind}:{path}"


@resource("test://texts/{text}")
async def by_text(text: str) -> str:
    return text


@resource("test://template/7/data")
async def seven() -> str:
    return "the seventh is special"


@resource("test://whoever")
async def who(context: ToolContext) -> str:
    return await context.run_blocking(
        lambda: f"{context.caller} {threading.current_thread() is not threading.main_thread()}"
    )


@resource("test://fails/refuse")
async def refuse() -> str:
    raise ToolError("it is closed on Sundays")


@resource("test://fails/crash")
async def crash() -> str:
    raise RuntimeError("the secret is swordfish")


@resource("test://fails/exit")
def leave() -> str:
    raise SystemExit(3)


@resource("test://fails/cancel")
async def cancel() -> str:
    raise asyncio.CancelledError


@resource("test://fails/nan")
async def nan() -> float:
    return float("nan")


@resource("test://fails/opaque")
async def opaque() -> object:
    return object()


@resource("test://fails/contents")
async def contents() -> ResourceContents:
    return ResourceContents("test://fails/contents")


@resource("test://fails/blob")
async def blob() -> ResourceContents:
    return ResourceContents("test://fails/blob", blob="no base64!")


@resource("test://fails/surrogate")
async def surrogate() -> str:
    return "\ud800"


FAILING = [refuse, crash, leave, cancel, nan, opaque, contents, blob, surrogate]
RESOURCES = [static_text, static_binary, point, empty, several, by_id, by_path, by_text, seven, who, *FAILING]


def offering(resources: Any) -> ModuleType:
    module = ModuleType("plugin")
    offer = toolbox.hookimpl(specname="toolbox_resources")(lambda: resources)
    module.toolbox_resources = offer  # type: ignore[attr-defined]
    return module


@pytest.fixture
def plugins(make_plugins: Callable[..., Plugins]) -> Plugins:
    plugins = make_plugins(demo=offering(RESOURCES))
    assert plugins.plugins[0].problems == []
    return plugins


async def ask(mcp: Client, era: str, method: str, params: dict[str, Any] | None = None) -> Any:
    """The whole answer; where headers must repeat the URI, they do."""
    if era == "handshake":
        return (await mcp.handshake(method, params)).json()
    name = {"mcp_name": _header(params["uri"])} if method == "resources/read" and params else {}
    return (await mcp.stateless(method, params, **name)).json()


def _header(value: str) -> str:
    return value if value.isascii() else f"=?base64?{b64encode(value.encode()).decode()}?="


async def read(mcp: Client, era: str, uri: str) -> Any:
    return (await ask(mcp, era, "resources/read", {"uri": uri}))["result"]["contents"]


@pytest.mark.parametrize("era", ERAS)
async def test_resources_are_listed_in_the_order_of_their_uris(mcp: Client, era: str) -> None:
    result = (await ask(mcp, era, "resources/list"))["result"]
    uris = [listed["uri"] for listed in result["resources"]]
    assert uris == sorted(uris)
    assert len(uris) == len(RESOURCES) - 3
    assert "nextCursor" not in result


async def test_a_listed_resource_says_everything_that_a_client_shows(mcp: Client) -> None:
    everything = {
        "uri": "test://static-text",
        "name": "static",
        "title": "A text",
        "description": "A text that never changes.",
        "mimeType": "text/markdown",
        "size": 5,
        "annotations": {"audience": ["user"], "priority": 0.5, "lastModified": "2026-01-01T00:00:00Z"},
        "icons": [{"src": "https://example.com/a.png", "mimeType": "image/png", "sizes": ["48x48"]}],
        "_meta": {"example.com/origin": "tests"},
    }
    assert await _listed(mcp, "2026-07-28") == everything
    assert await _listed(mcp, "2025-11-25") == everything
    without_icons = {name: value for name, value in everything.items() if name != "icons"}
    assert await _listed(mcp, "2025-06-18") == without_icons
    oldest = {name: value for name, value in without_icons.items() if name not in {"title", "_meta"}}
    oldest["annotations"] = {"audience": ["user"], "priority": 0.5}
    assert await _listed(mcp, "2025-03-26") == oldest
    assert await _listed(mcp, "2024-11-05") == oldest


async def _listed(mcp: Client, version: str) -> Any:
    if version == "2026-07-28":
        answer = await mcp.stateless("resources/list")
    else:
        answer = await mcp.handshake("resources/list", version=version)
    found = answer.json()["result"]["resources"]
    return next(listed for listed in found if listed["uri"] == "test://static-text")


@pytest.mark.parametrize("era", ERAS)
async def test_templates_have_a_list_of_their_own(mcp: Client, era: str) -> None:
    result = (await ask(mcp, era, "resources/templates/list"))["result"]
    assert result["resourceTemplates"] == [
        {"uriTemplate": "test://paths/{kind}/{+path}", "name": "by_path"},
        {
            "uriTemplate": "test://template/{id}/data",
            "name": "by_id",
            "description": "Data by number.",
            "mimeType": "application/json",
        },
        {"uriTemplate": "test://texts/{text}", "name": "by_text"},
    ]


@pytest.mark.parametrize("era", ERAS)
async def test_what_a_function_returns_becomes_contents(mcp: Client, era: str) -> None:
    assert await read(mcp, era, "test://static-text") == [
        {"uri": "test://static-text", "mimeType": "text/markdown", "text": "hello"}
    ]
    assert await read(mcp, era, "test://static-binary") == [
        {"uri": "test://static-binary", "mimeType": "application/octet-stream", "blob": "AP8="}
    ]
    assert await read(mcp, era, "test://point") == [
        {"uri": "test://point", "mimeType": "application/json", "text": '{"x":1,"y":2}'}
    ]
    assert await read(mcp, era, "test://empty") == [
        {"uri": "test://empty", "mimeType": "application/json", "text": "[]"}
    ]
    assert await read(mcp, era, "test://several") == [
        {"uri": "test://several/1", "text": ""},
        {"uri": "test://several/2", "mimeType": "image/png", "blob": "AA=="},
    ]


@pytest.mark.parametrize("era", ERAS)
async def test_a_template_is_read_by_the_uris_that_it_makes(mcp: Client, era: str) -> None:
    for uri, text in (
        ("test://template/123/data", '{"id":123}'),
        ("test://template/7/data", "the seventh is special"),
        ("test://paths/a/b/c?d=e#f", "a:b/c?d=e#f"),
        ("test://paths/b/%2E%2E%2Fetc%2Fpasswd", "b:../etc/passwd"),
        ("test://texts/Gr%C3%BC%C3%9Fe%20%2F%20%25", "Grüße / %"),
        ("test://texts/Grüße", "Grüße"),
        ("test://texts/" + "x" * 4000, "x" * 4000),
    ):
        (contents,) = await read(mcp, era, uri)
        assert (contents["uri"], contents["text"]) == (uri, text)


@pytest.mark.parametrize("era", ERAS)
async def test_a_function_may_know_who_reads_and_run_what_blocks(mcp: Client, era: str) -> None:
    assert (await read(mcp, era, "test://whoever"))[0]["text"] == "anonymous True"


@pytest.mark.parametrize("era", ERAS)
async def test_a_uri_that_names_nothing_is_not_found(mcp: Client, era: str) -> None:
    for uri in (
        "test://unknown",
        "test://static-text/",
        "TEST://STATIC-TEXT",
        "test://template/{id}/data",
        "test://template//data",
        "test://template/1/2/data",
        "test://template/one/data",
        "test://template/-1/data",
        "test://template/" + "9" * 3000 + "/data",
        "test://template/1000/data",
        "test://paths/c/x",
        "test://texts/%FF",
        "test://texts/a b",
        "test://texts/a?b",
        "test://texts/" + "x" * 5000,
        "no uri",
        "",
    ):
        error = (await ask(mcp, era, "resources/read", {"uri": uri}))["error"]
        assert (error["code"], error["data"]) == (-32602 if era == "stateless" else -32002, {"uri": uri})
        assert error["message"].startswith("there is no resource")
        assert len(error["message"]) < 300


@pytest.mark.parametrize("era", ERAS)
async def test_a_read_needs_a_uri(mcp: Client, era: str) -> None:
    for params in ({}, {"uri": 5}, {"uri": None}, {"uri": ["test://static-text"]}):
        answer = await getattr(mcp, era)("resources/read", params)
        assert answer.json()["error"]["code"] == -32602
        assert answer.status_code == (200 if era == "handshake" else 400)


@pytest.mark.parametrize("era", ERAS)
async def test_a_failure_in_its_own_words_reaches_the_client(mcp: Client, era: str) -> None:
    error = (await ask(mcp, era, "resources/read", {"uri": "test://fails/refuse"}))["error"]
    assert error == {"code": -32603, "message": "it is closed on Sundays"}
    error = (await ask(mcp, era, "resources/read", {"uri": "test://fails/nan"}))["error"]
    assert error["code"] == -32603
    assert "NaN or infinite" in error["message"]


@pytest.mark.parametrize("era", ERAS)
async def test_a_crash_is_an_error_that_says_only_where_the_log_explains_it(mcp: Client, era: str) -> None:
    for name in ("crash", "exit", "cancel", "opaque", "contents", "blob", "surrogate"):
        answer = await ask(mcp, era, "resources/read", {"uri": f"test://fails/{name}"})
        assert answer["error"]["code"] == -32603, name
        assert len(answer["error"]["data"]["error_id"]) == 32
        assert "swordfish" not in str(answer)
    assert (await read(mcp, era, "test://static-text"))[0]["text"] == "hello"


async def test_results_of_the_stateless_era_say_how_long_they_may_be_kept(mcp: Client) -> None:
    for method in ("resources/list", "resources/templates/list"):
        result = (await ask(mcp, "stateless", method))["result"]
        assert (result["resultType"], result["ttlMs"], result["cacheScope"]) == ("complete", 300_000, "public")
        assert result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "toolbox"
    result = (await ask(mcp, "stateless", "resources/read", {"uri": "test://static-text"}))["result"]
    assert (result["resultType"], result["ttlMs"], result["cacheScope"]) == ("complete", 2500, "private")
    result = (await ask(mcp, "stateless", "resources/read", {"uri": "test://point"}))["result"]
    assert result["ttlMs"] == 0


async def test_results_of_the_handshake_era_do_not_know_of_it(mcp: Client) -> None:
    listed = (await ask(mcp, "handshake", "resources/list"))["result"]
    assert set(listed) == {"resources"}
    assert set((await ask(mcp, "handshake", "resources/read", {"uri": "test://point"}))["result"]) == {"contents"}


async def test_the_header_must_repeat_the_uri(mcp: Client) -> None:
    params = {"uri": "test://static-text"}
    for headers in ({}, {"mcp_name": "test://point"}):
        answer = await mcp.stateless("resources/read", params, **headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32020)
    encoded = f"=?base64?{b64encode(b'test://static-text').decode()}?="
    assert (await mcp.stateless("resources/read", params, mcp_name=encoded)).status_code == 200


async def test_capabilities_name_what_is_offered(mcp: Client) -> None:
    discovered = (await mcp.stateless("server/discover")).json()["result"]["capabilities"]
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    initialized = (await mcp.handshake("initialize", params, version=None)).json()["result"]["capabilities"]
    for capabilities in (discovered, initialized):
        assert {"resources", "completions"} <= set(capabilities)  # by_path completes its kinds
        assert "prompts" not in capabilities


@pytest.mark.parametrize("method", ["resources/subscribe", "resources/unsubscribe"])
async def test_the_handshake_era_may_subscribe_to_what_there_is(mcp: Client, method: str) -> None:
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    session = (await mcp.handshake("initialize", hello, version=None)).headers["mcp-session-id"]
    for uri in ("test://static-text", "test://template/1/data"):
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"uri": uri}}
        headers = {"mcp-protocol-version": "2025-11-25", "mcp-session-id": session}
        assert (await mcp.send(message, headers)).json()["result"] == {}
    assert (await mcp.handshake(method, {"uri": "test://static-text"})).json()["error"]["code"] == -32602
    assert (await mcp.handshake(method, {"uri": "test://unknown"})).json()["error"]["code"] == -32002
    assert (await mcp.stateless(method, {"uri": "test://static-text"})).status_code == 404


@pytest.mark.parametrize("era", ERAS)
async def test_pages_follow_each_other_and_stay_in_place(
    mcp: Client, plugins: Plugins, make_plugins: Callable[..., Plugins], era: str
) -> None:
    plugins.resources.clear()
    uris = [f"many://{number:03}" for number in range(250)]
    plugins.resources.update({uri: as_resource(resource(uri)(_nothing())) for uri in reversed(uris)})
    first = (await ask(mcp, era, "resources/list"))["result"]
    del plugins.resources["many://000"]
    second = (await ask(mcp, era, "resources/list", {"cursor": first["nextCursor"]}))["result"]
    third = (await ask(mcp, era, "resources/list", {"cursor": second["nextCursor"]}))["result"]
    listed = [shown["uri"] for page in (first, second, third) for shown in page["resources"]]
    assert listed == uris
    assert "nextCursor" not in third


@pytest.mark.parametrize("era", ERAS)
async def test_a_cursor_that_is_none_of_ours_is_refused(mcp: Client, era: str) -> None:
    for method in ("resources/list", "resources/templates/list"):
        for cursor in ("nonsense", "ä", "YWJj", 5, []):
            assert (await ask(mcp, era, method, {"cursor": cursor}))["error"]["code"] == -32602


def _nothing() -> Callable[[], str]:
    def read() -> str:
        return ""

    return read


@pytest.mark.parametrize("era", ERAS)
async def test_without_resources_there_are_no_methods_for_them(mcp: Client, plugins: Plugins, era: str) -> None:
    plugins.resources.clear()
    for method in ("resources/list", "resources/read", "resources/templates/list"):
        answer = await ask(mcp, era, method, {"uri": "test://point"})
        assert answer["error"]["code"] == -32601


def test_what_makes_no_sense_is_a_problem_of_its_plugin(make_plugins: Callable[..., Plugins]) -> None:
    def takes(name: str) -> str:
        return name

    def takes_a_list(names: list[str]) -> str:
        return names[0]

    bad = {
        "no scheme": resource("static")(_nothing()),
        "a blank": resource("test://a b")(_nothing()),
        "a brace": resource("test://{")(_nothing()),
        "level 4": resource("test://{a,b}")(_nothing()),
        "two neighbours": resource("test://{a}{b}")(_nothing()),
        "an open one before another": resource("test://{+a}/{b}")(_nothing()),
        "no parameter": resource("test://{id}")(_nothing()),
        "no variable": resource("test://a")(_copy(takes)),
        "twice": resource("test://{name}/{name}")(_copy(takes)),
        "a list": resource("test://{names}")(takes_a_list),
        "a wrong option": resource("test://x", size="big")(_nothing()),  # type: ignore[arg-type]
        "our own scheme": resource("toolbox://mine")(_nothing()),
        "a completer of nothing": resource("test://x", complete={"y": lambda _prefix, _given: []})(_nothing()),
        "no URI": _nothing(),
        "no function": 42,
    }
    good = resource("test://good")(_nothing())
    plugins = make_plugins(demo=offering([*bad.values(), good, good]))
    assert list(plugins.resources) == plugins.plugins[0].resources == ["test://good"]
    assert plugins.plugins[0].state == "partly"
    assert len(plugins.plugins[0].problems) == len(bad) + 1
    assert "the URI 'test://good' is taken" in plugins.plugins[0].problems[-1].message


def _copy(function: Callable[[str], str]) -> Callable[[str], str]:
    def read(name: str) -> str:
        return function(name)

    return read


async def test_what_takes_too_long_is_given_up() -> None:
    async def never(_context: ToolContext) -> None:
        await asyncio.Event().wait()

    with pytest.raises(ProtocolError, match=r"resource test://slow took longer than 0.01 s"):
        await Runner(timeout_seconds=0.01).run("resource test://slow", never, caller="test", client=SILENT)


async def test_a_request_that_is_cancelled_takes_the_function_with_it() -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def wait(_context: ToolContext) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    task = asyncio.create_task(Runner().run("resource", wait, caller="test", client=SILENT))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


class TestTheCatalogue:
    """ToolBox's own resources."""

    @pytest.fixture
    def catalogue(self, services: Services) -> Catalogue:
        async def read_stats() -> dict[str, int]:
            return {"tools": 3}

        def can_run(name: str, _kind: str | None) -> bool:
            return name in services.plugins.tools

        return Catalogue(services.database, services.tools, can_run, read_stats)

    @pytest.fixture
    def offers(self, catalogue: Catalogue) -> Offers:
        return Offers(catalogue.resources())

    @pytest.fixture
    def plugins(self, make_plugins: Callable[..., Plugins]) -> Plugins:
        @toolbox.tool(category="numbers")
        def add(a: int, b: int) -> int:
            """Add two numbers."""
            return a + b

        def shout(text: str) -> str:
            """Write a text in capitals."""
            return text.upper()

        return make_plugins(demo=[add, shout])

    @pytest.mark.parametrize("era", ERAS)
    async def test_it_is_listed(self, mcp: Client, era: str) -> None:
        listed = (await ask(mcp, era, "resources/list"))["result"]["resources"]
        assert [shown["uri"] for shown in listed] == ["toolbox://categories", "toolbox://stats"]
        (template,) = (await ask(mcp, era, "resources/templates/list"))["result"]["resourceTemplates"]
        assert (template["uriTemplate"], template["mimeType"]) == ("toolbox://tools/{name}", "application/json")

    @pytest.mark.parametrize("era", ERAS)
    async def test_categories_are_counted_anew_when_the_catalogue_has_changed(
        self, mcp: Client, services: Services, catalogue: Catalogue, era: str
    ) -> None:
        before = [{"name": "demo", "tools": 1}, {"name": "numbers", "tools": 1}]
        assert await _read_json(mcp, era, "toolbox://categories") == {"categories": before}
        loose = [ToolDefinition(name=f"loose_{number}") for number in range(3)]
        async with services.database.transaction() as connection:
            await write_tools(connection, loose, source="import:loose", source_version="1")
        assert await _read_json(mcp, era, "toolbox://categories") == {"categories": before}
        catalogue.forget()
        after = [{"name": "uncategorized", "tools": 3}, *before]
        assert await _read_json(mcp, era, "toolbox://categories") == {"categories": after}

    @pytest.mark.parametrize("era", ERAS)
    async def test_statistics_are_handed_on(self, mcp: Client, era: str) -> None:
        assert await _read_json(mcp, era, "toolbox://stats") == {"tools": 3}

    @pytest.mark.parametrize("era", ERAS)
    async def test_a_tool_is_described_in_full(self, mcp: Client, era: str) -> None:
        described = await _read_json(mcp, era, "toolbox://tools/demo_add")
        assert (described["name"], described["category"], described["runnable"]) == ("demo_add", "numbers", True)
        assert set(described["input_schema"]["properties"]) == {"a", "b"}
        error = (await ask(mcp, era, "resources/read", {"uri": "toolbox://tools/unknown"}))["error"]
        assert error["data"] == {"uri": "toolbox://tools/unknown"}

    @pytest.mark.parametrize("era", ERAS)
    async def test_names_of_tools_are_completed(self, mcp: Client, services: Services, era: str) -> None:
        many = [ToolDefinition(name=f"many_{number:03}") for number in range(150)]
        async with services.database.transaction() as connection:
            await write_tools(connection, many, source="import:many", source_version="1")
        reference = {"type": "ref/resource", "uri": "toolbox://tools/{name}"}

        async def complete(typed: str) -> Any:
            params = {"ref": reference, "argument": {"name": "name", "value": typed}}
            return (await ask(mcp, era, "completion/complete", params))["result"]["completion"]

        assert await complete("demo_s") == {"values": ["demo_shout"], "total": 1, "hasMore": False}
        assert await complete("nothing%") == {"values": [], "total": 0, "hasMore": False}
        found = await complete("many_")
        assert found["values"] == [f"many_{number:03}" for number in range(100)]
        assert found["hasMore"]
        assert "total" not in found


async def _read_json(mcp: Client, era: str, uri: str) -> Any:
    (contents,) = await read(mcp, era, uri)
    assert (contents["uri"], contents["mimeType"]) == (uri, "application/json")
    return json.decode(contents["text"])
