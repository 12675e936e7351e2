"""Stored tools: how they are run is stored with them, and known to every replica."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from msgspec import structs

from toolbox.auth.callers import Caller
from toolbox.auth.scopes import ALL
from toolbox.calls.service import CallRequest, CallService
from toolbox.definitions import ToolDefinition, ToolResult
from toolbox.errors import InvalidDefinition, ToolNotFound, ToolNotRunnable
from toolbox.search.schemas import FindRequest, to_match
from toolbox.services import Services, open_services, working
from toolbox.settings import Settings
from toolbox.tools.base import ToolContext
from toolbox.tools.kinds import Implementation, Kinds, fingerprint, read_implementation
from toolbox.tools.loading import ToolLoader
from toolbox.tools.registry import RegisteredTool, Registry
from toolbox.tools.repository import ToolRepository, set_active, write_tools

GREETING = ToolDefinition(
    name="greet", description="Greet somebody.", input_schema={"type": "object", "properties": {"name": {}}}
)


class Echo(Implementation, frozen=True, tag_field="kind", tag="echo"):
    words: str


class EchoTool:
    def __init__(self, definition: ToolDefinition, words: str) -> None:
        self.definition = definition
        self.words = words

    async def call(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        return ToolResult.of(f"{self.words} {arguments['name']}")


class EchoKind:
    def check(self, definition: ToolDefinition, implementation: Mapping[str, Any]) -> None:
        read_implementation(Echo, implementation)

    def create(self, definition: ToolDefinition, implementation: Mapping[str, Any]) -> EchoTool:
        return EchoTool(definition, read_implementation(Echo, implementation).words)


KINDS = Kinds({"echo": EchoKind()})


@pytest.fixture
async def services(settings: Settings) -> AsyncIterator[Services]:
    """Services that know the kind above, and hear events."""
    async with open_services(settings) as opened, working(opened):
        opened.registry = registry = Registry(opened.plugins.tools.values(), KINDS.names)
        opened.events.subscribe("tools", lambda _: registry.forget_stored())
        loader = ToolLoader(registry, opened.tools, KINDS)
        calls = opened.calls
        opened.calls = CallService(
            loader,
            calls._executor,
            opened.history,
            calls._results,
            access=calls._access,
            toolsets=calls._toolsets,
            limits=calls._limits,
        )
        yield opened


async def store(services: Services, implementation: dict[str, Any], **changed: Any) -> None:
    definition = structs.replace(GREETING, **changed)
    async with services.database.transaction() as connection:
        await write_tools(
            connection,
            [definition],
            source="admin:test",
            source_version="",
            implementations={definition.name: implementation},
        )


async def greet(services: Services, name: str = "greet") -> Any:
    request = CallRequest(tool_name=name, arguments={"name": "you"}, caller=Caller("c", ALL), channel="rest")
    return (await services.calls.call_tool(request)).value


async def greet_until_it_fails(services: Services) -> None:
    while True:
        await greet(services)


async def test_a_stored_tool_is_called_without_a_plugin(services: Services) -> None:
    await store(services, {"kind": "echo", "words": "hello"})
    assert await greet(services) == "hello you"


async def test_a_changed_implementation_is_what_the_next_call_runs(services: Services) -> None:
    await store(services, {"kind": "echo", "words": "hello"})
    assert await greet(services) == "hello you"
    await store(services, {"kind": "echo", "words": "goodbye"})
    while await greet(services) != "goodbye you":  # until the event is here
        await asyncio.sleep(0.01)
    async with services.database.transaction() as connection:
        await set_active(connection, [(await services.tools.get_tool("greet")).id], active=False)  # type: ignore[union-attr]
    with pytest.raises(ToolNotFound):
        await greet_until_it_fails(services)


def test_what_was_read_before_a_change_is_not_kept_after_it() -> None:
    registry, tool = Registry(), RegisteredTool(GREETING, EchoTool(GREETING, "hello"), "admin:test", "")
    before = registry.stored_revision
    registry.forget_stored()
    registry.keep_stored(tool, before)
    assert registry.get("greet") is None
    registry.keep_stored(tool, registry.stored_revision)
    assert registry.get("greet") is tool


async def test_listings_say_that_stored_tools_can_be_run(services: Services) -> None:
    await store(services, {"kind": "echo", "words": "hello"})
    await store(services, {"kind": "from tomorrow"}, name="unknown_kind")
    query = FindRequest(query="greet somebody").to_query(services.settings, Caller("c", ALL))
    found = (await services.search.find_tools(query)).matches
    shown = {match.tool.name: to_match(match, "summary", services.registry)["runnable"] for match in found}
    assert shown["greet"] is True
    assert shown["unknown_kind"] is False


async def test_an_implementation_that_cannot_be_used_says_why(services: Services) -> None:
    await store(services, {"kind": "from tomorrow"})
    with pytest.raises(ToolNotRunnable, match="'from tomorrow' is none of the kinds of tools here: echo"):
        await greet(services)


@pytest.mark.parametrize(
    ("implementation", "complaint"),
    [
        ({"kind": "echo"}, "implementation: it lacks the field `words`"),
        ({"kind": "echo", "words": 1}, "implementation/words: expected a text, got a whole number"),
        ({"kind": "echo", "words": "a", "wurds": "b"}, "there is no field `wurds`"),
        ({"kind": "echo", "words": "a", "concurrency": 0}, "implementation/concurrency: expected a whole number >= 1"),
        ({"words": "a"}, "implementation/kind: None is none of the kinds"),
        ({"kind": ["echo"]}, "implementation/kind"),
    ],
)
def test_a_wrong_implementation_is_refused_with_the_path(implementation: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidDefinition, match="implementation") as refused:
        KINDS.check_implementation(GREETING, implementation)
    assert complaint in refused.value.message


def test_an_implementation_that_is_nested_without_end_is_refused() -> None:
    bomb: dict[str, Any] = {}
    for _ in range(1000):
        bomb = {"kind": "echo", "words": bomb}
    with pytest.raises(InvalidDefinition, match="nested"):
        KINDS.check_implementation(GREETING, bomb)


async def test_each_version_keeps_how_it_was_run(services: Services) -> None:
    for words in ("hello", "goodbye"):
        await store(services, {"kind": "echo", "words": words})
    rows = await services.database.fetch("select implementation->>'words' as words from tool_versions order by number")
    assert [row["words"] for row in rows] == ["hello", "goodbye"]
    assert await ToolRepository(services.database).read_implementation("nothing") is None


def test_the_fingerprint_covers_the_implementation() -> None:
    assert fingerprint(GREETING) == GREETING.fingerprint()
    first, second = ({"kind": "echo", "words": words} for words in ("hello", "goodbye"))
    assert len({fingerprint(GREETING), fingerprint(GREETING, first), fingerprint(GREETING, second)}) == 3


def nest(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"items": schema}
    return schema


def fan_out(levels: int) -> dict[str, Any]:
    """References that apply to one value 2 ** levels times."""
    steps = {f"s{n}": {"allOf": [{"$ref": f"#/$defs/s{n + 1}"}] * 2} for n in range(levels)}
    return {"$defs": steps | {f"s{levels}": {}}, "type": "object", "properties": {"a": {"$ref": "#/$defs/s0"}}}


BOMBS = {
    "nested more than 64": {"type": "object", "properties": {"a": nest(100)}},
    "more than 20,000 values": {"type": "object", "properties": {"a": {"enum": list(range(30_000))}}},
    "multiply to more than 10,000": fan_out(40),
    r"pattern": {"type": "object", "properties": {"a": {"pattern": "(a{1000}){1000}"}}},
    "is not present": {"type": "object", "properties": {"a": {"$ref": "https://example.com/schema.json"}}},
    "file:///etc/passwd": {"type": "object", "properties": {"a": {"$ref": "file:///etc/passwd"}}},
    "Unknown meta-schema": {"$schema": "https://example.com/meta", "type": "object"},
    "must have type object": {"type": "array"},
}


@pytest.mark.parametrize("said", BOMBS)
def test_a_schema_that_would_harm_us_is_refused_whatever_the_kind(said: str) -> None:
    hurtful = structs.replace(GREETING, input_schema=BOMBS[said])
    with pytest.raises(InvalidDefinition, match=said):
        KINDS.check_implementation(hurtful, {"kind": "echo", "words": "Hello"})
    if BOMBS[said].get("type") == "object":
        with pytest.raises(InvalidDefinition, match=said):
            KINDS.check_implementation(
                structs.replace(GREETING, output_schema=BOMBS[said]), {"kind": "echo", "words": "Hello"}
            )


def test_a_schema_may_refer_to_itself() -> None:
    tree = {"type": "object", "properties": {"children": {"type": "array", "items": {"$ref": "#"}}}}
    shared = {"$defs": {"id": {"type": "string"}}, "type": "object", "properties": {"a": {"$ref": "#/$defs/id"}}}
    for schema in (tree, shared, fan_out(8)):
        KINDS.check_implementation(structs.replace(GREETING, input_schema=schema), {"kind": "echo", "words": "Hello"})
