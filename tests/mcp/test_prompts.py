"""Prompts, in both eras."""

from collections.abc import Callable
from enum import Enum
from types import ModuleType
from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta

import toolbox
from tests.mcp.conftest import Client
from toolbox import (
    AudioContent,
    EmbeddedResource,
    Icon,
    ImageContent,
    PromptMessage,
    ResourceContents,
    ResourceLink,
    TextContent,
    ToolContext,
    ToolError,
    prompt,
)
from toolbox.plugins import Plugins

ERAS = ["handshake", "stateless"]


class Tone(Enum):
    """A closed choice."""

    KIND = "kind"
    CURT = "curt"


def simple() -> str:
    """Greet."""
    return "Say hello."


@prompt(
    title="Write a letter",
    icons=[Icon("https://example.com/a.svg", theme="dark")],
    metadata={"example.com/origin": "tests"},
)
async def letter(
    to: Annotated[str, Meta(title="Addressee")],
    lines: Annotated[int, Meta(ge=1, le=50)] = 10,
    tone: Tone = Tone.KIND,
    *,
    signed: bool = True,
) -> str:
    """Write a letter to somebody.

    Args:
        to: who reads it
        lines: how long it may be
    """
    return f"Write {lines} {tone.value} lines to {to}{', signed' if signed else ''}."


@prompt(name="demo_kinds", description="Everything that a message can hold.")
async def all_kinds() -> list[Any]:
    return [
        "as text",
        TextContent("as content"),
        PromptMessage("assistant", ImageContent("aW1hZ2U=", "image/png")),
        AudioContent("c291bmQ=", "audio/wav"),
        EmbeddedResource(ResourceContents("test://a", "text/plain", text="inside")),
        ResourceLink("file:///a.txt", "a.txt"),
    ]


@prompt
async def single() -> PromptMessage:
    return PromptMessage("assistant", TextContent("I am here to help."))


async def who(context: ToolContext) -> str:
    """Say who asks."""
    return f"{context.caller} asks for {context.tool_name}"


async def refuse() -> str:
    """Fail in its own words."""
    raise ToolError("it is closed on Sundays")


async def crash() -> str:
    """Fail with a secret inside."""
    raise RuntimeError("the secret is swordfish")


async def opaque() -> Any:
    """Give what is no message."""
    return {"role": "user"}


async def surrogate() -> Any:
    """Give what is no Unicode."""
    return "\ud800"


PROMPTS = [simple, letter, all_kinds, single, who, refuse, crash, opaque, surrogate]


def offering(prompts: Any) -> ModuleType:
    module = ModuleType("plugin")
    module.toolbox_prompts = toolbox.hookimpl(specname="toolbox_prompts")(lambda: prompts)  # type: ignore[attr-defined]
    return module


@pytest.fixture
def plugins(make_plugins: Callable[..., Plugins]) -> Plugins:
    plugins = make_plugins(demo=offering(PROMPTS))
    assert plugins.plugins[0].problems == []
    return plugins


async def ask(mcp: Client, era: str, method: str, params: dict[str, Any] | None = None) -> Any:
    return (await getattr(mcp, era)(method, params)).json()


async def get(mcp: Client, era: str, name: str, /, **arguments: Any) -> Any:
    return await ask(mcp, era, "prompts/get", {"name": name, "arguments": arguments})


@pytest.mark.parametrize("era", ERAS)
async def test_prompts_are_listed_by_name_behind_their_plugins_prefix(mcp: Client, era: str) -> None:
    listed = (await ask(mcp, era, "prompts/list"))["result"]["prompts"]
    names = [shown["name"] for shown in listed]
    assert names == sorted(names)
    assert names[-2:] == ["demo_surrogate", "demo_who"]
    assert "demo_kinds" in names
    assert next(shown for shown in listed if shown["name"] == "demo_who")["arguments"] == []


async def test_a_listed_prompt_says_everything_that_a_client_shows(mcp: Client) -> None:
    everything = {
        "name": "demo_letter",
        "title": "Write a letter",
        "description": "Write a letter to somebody.",
        "icons": [{"src": "https://example.com/a.svg", "theme": "dark"}],
        "_meta": {"example.com/origin": "tests"},
        "arguments": [
            {"name": "to", "required": True, "title": "Addressee", "description": "who reads it"},
            {"name": "lines", "required": False, "description": "how long it may be"},
            {"name": "tone", "required": False},
            {"name": "signed", "required": False},
        ],
    }
    assert await _listed(mcp, "2026-07-28") == everything
    assert await _listed(mcp, "2025-11-25") == everything
    without_icons = {name: value for name, value in everything.items() if name != "icons"}
    assert await _listed(mcp, "2025-06-18") == without_icons
    oldest = await _listed(mcp, "2025-03-26")
    assert set(oldest) == {"name", "description", "arguments"}
    assert oldest["arguments"][0] == {"name": "to", "required": True, "description": "who reads it"}


async def _listed(mcp: Client, version: str) -> Any:
    if version == "2026-07-28":
        answer = await mcp.stateless("prompts/list")
    else:
        answer = await mcp.handshake("prompts/list", version=version)
    return next(shown for shown in answer.json()["result"]["prompts"] if shown["name"] == "demo_letter")


@pytest.mark.parametrize("era", ERAS)
async def test_arguments_come_as_text_and_become_what_their_types_say(mcp: Client, era: str) -> None:
    async def read(**arguments: str) -> str:
        (message,) = (await get(mcp, era, "demo_letter", **arguments))["result"]["messages"]
        assert message["role"] == "user"
        text: str = message["content"]["text"]
        return text

    assert await read(to="Ada") == "Write 10 kind lines to Ada, signed."
    assert await read(to="7", lines="3", tone="curt", signed="false") == "Write 3 curt lines to 7."
    assert await read(to="x" * 500_000) == f"Write 10 kind lines to {'x' * 500_000}, signed."


@pytest.mark.parametrize("era", ERAS)
async def test_arguments_that_do_not_fit_are_named(mcp: Client, era: str) -> None:
    for arguments, said in (
        ({}, "`to`"),
        ({"to": "Ada", "lines": "many"}, "/lines"),
        ({"to": "Ada", "lines": "0"}, "/lines"),
        ({"to": "Ada", "lines": "9" * 5000}, "/lines"),
        ({"to": "Ada", "tone": "rude"}, "/tone"),
        ({"to": "Ada", "signed": "perhaps"}, "/signed"),
        ({"to": "Ada", "color": "red"}, "`color`"),
        ({"to": 5}, "arguments"),
        ({"to": None}, "arguments"),
        ({"to": ["Ada"]}, "arguments"),
    ):
        error = (await get(mcp, era, "demo_letter", **arguments))["error"]
        assert error["code"] == -32602
        assert said in error["message"]
    for wrong in (5, "to=Ada", ["Ada"]):
        answer = await ask(mcp, era, "prompts/get", {"name": "demo_letter", "arguments": wrong})
        assert answer["error"]["code"] == -32602


@pytest.mark.parametrize("era", ERAS)
async def test_no_arguments_may_be_said_in_any_way(mcp: Client, era: str) -> None:
    for params in ({}, {"arguments": {}}, {"arguments": None}):
        result = (await ask(mcp, era, "prompts/get", {"name": "demo_simple"} | params))["result"]
        assert result["description"] == "Greet."
        assert result["messages"] == [{"role": "user", "content": {"type": "text", "text": "Say hello."}}]


@pytest.mark.parametrize("era", ERAS)
async def test_a_message_holds_any_content_and_has_a_role(mcp: Client, era: str) -> None:
    messages = (await get(mcp, era, "demo_kinds"))["result"]["messages"]
    assert messages == [
        {"role": "user", "content": {"type": "text", "text": "as text"}},
        {"role": "user", "content": {"type": "text", "text": "as content"}},
        {"role": "assistant", "content": {"type": "image", "data": "aW1hZ2U=", "mimeType": "image/png"}},
        {"role": "user", "content": {"type": "audio", "data": "c291bmQ=", "mimeType": "audio/wav"}},
        {
            "role": "user",
            "content": {
                "type": "resource",
                "resource": {"uri": "test://a", "mimeType": "text/plain", "text": "inside"},
            },
        },
        {"role": "user", "content": {"type": "resource_link", "uri": "file:///a.txt", "name": "a.txt"}},
    ]
    (single,) = (await get(mcp, era, "demo_single"))["result"]["messages"]
    assert single["role"] == "assistant"


async def test_earlier_versions_get_what_they_can_carry(mcp: Client) -> None:
    params = {"name": "demo_kinds"}
    messages = (await mcp.handshake("prompts/get", params, version="2024-11-05")).json()["result"]["messages"]
    assert [message["content"]["type"] for message in messages] == ["text", "text", "image", "text", "resource", "text"]


@pytest.mark.parametrize("era", ERAS)
async def test_a_prompt_may_know_who_asks(mcp: Client, era: str) -> None:
    (message,) = (await get(mcp, era, "demo_who"))["result"]["messages"]
    assert message["content"]["text"] == "anonymous asks for prompt demo_who"


@pytest.mark.parametrize("era", ERAS)
async def test_an_unknown_prompt_is_an_error_that_names_near_ones(mcp: Client, era: str) -> None:
    error = (await get(mcp, era, "demo_lettr"))["error"]
    assert error["code"] == -32602
    assert error["message"].startswith("there is no prompt 'demo_lettr'; near names: demo_letter")
    for name in ("", "x" * 100_000):
        assert (await get(mcp, era, name))["error"]["code"] == -32602
    for params in ({}, {"name": 5}, {"name": None}):
        assert (await ask(mcp, "handshake", "prompts/get", params))["error"]["code"] == -32602


@pytest.mark.parametrize("era", ERAS)
async def test_a_failure_in_its_own_words_reaches_the_client(mcp: Client, era: str) -> None:
    assert (await get(mcp, era, "demo_refuse"))["error"] == {"code": -32603, "message": "it is closed on Sundays"}


@pytest.mark.parametrize("era", ERAS)
async def test_a_crash_is_an_error_that_says_only_where_the_log_explains_it(mcp: Client, era: str) -> None:
    for name in ("demo_crash", "demo_opaque", "demo_surrogate"):
        answer = await get(mcp, era, name)
        assert answer["error"]["code"] == -32603
        assert len(answer["error"]["data"]["error_id"]) == 32
        assert "swordfish" not in str(answer)


async def test_results_of_the_stateless_era_are_complete_and_lists_may_be_kept(mcp: Client) -> None:
    listed = (await ask(mcp, "stateless", "prompts/list"))["result"]
    assert (listed["resultType"], listed["ttlMs"], listed["cacheScope"]) == ("complete", 300_000, "public")
    got = (await get(mcp, "stateless", "demo_simple"))["result"]
    assert set(got) == {"resultType", "description", "messages", "_meta"}
    assert set((await get(mcp, "handshake", "demo_simple"))["result"]) == {"description", "messages"}


async def test_the_header_must_repeat_the_name(mcp: Client) -> None:
    answer = await mcp.stateless("prompts/get", {"name": "demo_simple"}, mcp_name="demo_letter")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32020)


@pytest.mark.parametrize("era", ERAS)
async def test_pages_follow_each_other(mcp: Client, plugins: Plugins, era: str) -> None:
    (one,) = [plugins.prompts["demo_simple"]]
    plugins.prompts.clear()
    names = [f"demo_{number:03}" for number in range(150)]
    plugins.prompts.update({name: one.renamed(name) for name in reversed(names)})
    first = (await ask(mcp, era, "prompts/list"))["result"]
    second = (await ask(mcp, era, "prompts/list", {"cursor": first["nextCursor"]}))["result"]
    assert [shown["name"] for page in (first, second) for shown in page["prompts"]] == names
    assert "nextCursor" not in second
    assert (await ask(mcp, era, "prompts/list", {"cursor": "nonsense"}))["error"]["code"] == -32602


@pytest.mark.parametrize("era", ERAS)
async def test_without_prompts_there_are_no_methods_for_them(mcp: Client, plugins: Plugins, era: str) -> None:
    plugins.prompts.clear()
    assert (await ask(mcp, era, "prompts/list"))["error"]["code"] == -32601
    assert (await get(mcp, era, "demo_simple"))["error"]["code"] == -32601


async def test_capabilities_name_prompts_where_there_are_some(mcp: Client) -> None:
    capabilities = (await ask(mcp, "stateless", "server/discover"))["result"]["capabilities"]
    assert "prompts" in capabilities
    assert "resources" not in capabilities


def test_what_makes_no_sense_is_a_problem_of_its_plugin(make_plugins: Callable[..., Plugins]) -> None:
    def untyped(text) -> str:  # type: ignore[no-untyped-def]
        return str(text)

    def takes_a_list(names: list[str]) -> str:
        return names[0]

    def any_text(text: str | None = None, choice: Literal[1, 2] = 1) -> str:
        return f"{text} {choice}"

    @prompt(complete={"nothing": lambda _prefix, _given: []})
    def completes_nothing(text: str) -> str:
        return text

    @prompt(icons=["a.png"])  # type: ignore[list-item]
    def wrong_icons() -> str:
        return ""

    bad = [untyped, takes_a_list, completes_nothing, wrong_icons, 42]
    plugins = make_plugins(demo=offering([*bad, any_text, any_text]), fine=offering([simple]))
    assert list(plugins.prompts) == ["demo_any_text", "fine_simple"]
    assert plugins.plugins[0].prompts == ["demo_any_text"]
    said = [problem.message for problem in plugins.plugins[0].problems]
    assert len(said) == len(bad) + 1
    assert "no type hint" in said[0]
    assert "no text can become its type" in said[1]
    assert "'nothing'" in said[2]
    assert "'demo_any_text' is taken" in said[-1]
