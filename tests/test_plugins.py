"""Plugins: what they offer is collected, what is wrong with one harms no other."""

import contextlib
import re
from collections.abc import AsyncIterator, Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import toolbox
from toolbox.definitions import ToolDefinition, ToolResult
from toolbox.errors import PluginError
from toolbox.plugins import Plugins, load_plugins, source_folders
from toolbox.settings import Settings
from toolbox.tools.base import ToolContext

MakePlugins = Callable[..., Plugins]


def hello() -> str:
    """Say hello."""
    return "hello"


def untyped(text):  # type: ignore[no-untyped-def]
    """Has no type hints."""


class WithSchema:
    """A Tool of its own kind."""

    def __init__(
        self, input_schema: dict[str, Any], name: str = "custom", output_schema: dict[str, Any] | None = None
    ) -> None:
        self.definition = ToolDefinition(name=name, input_schema=input_schema, output_schema=output_schema)

    async def call(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        return ToolResult.of(arguments)


def problems(plugins: Plugins) -> dict[str, list[str]]:
    """Without the lines of this file where they arose."""
    return {
        p.name: [re.sub(r" \(at test_plugins.py:\d+\)$", "", f"{q.where}: {q.message}") for q in p.problems]
        for p in plugins.plugins
    }


def test_a_tool_is_named_after_its_plugin_and_takes_over_what_it_leaves_open(make_plugins: MakePlugins) -> None:
    plugins = make_plugins(demo=[hello])
    registered = plugins.tools["demo_hello"]
    assert registered.source == "plugin:demo"
    assert (registered.definition.category, registered.definition.description) == ("demo", "Say hello.")
    assert plugins.plugins[0].tools == ["demo_hello"]


def test_a_prefix_is_not_doubled_and_a_long_name_is_shortened_without_a_clash(make_plugins: MakePlugins) -> None:
    long = [WithSchema({"type": "object"}, "x" * 80 + end) for end in "ab"]
    plugins = make_plugins(demo=[WithSchema({"type": "object"}, "demo_already"), *long])
    names = list(plugins.tools)
    assert names[0] == "demo_already"
    assert len(set(names)) == 3
    assert all(len(name) <= 64 for name in names)


def test_a_plugin_that_cannot_be_imported_leaves_others_working(make_plugins: MakePlugins) -> None:
    plugins = make_plugins(good=[hello])
    plugins.load([EntryPoint("broken", "no.such.module", "toolbox")])
    assert list(plugins.tools) == ["good_hello"]
    assert [plugin.state for plugin in plugins.plugins] == ["loaded", "failed"]
    assert "ModuleNotFoundError" in problems(plugins)["broken"][0]


def test_a_plugin_that_exits_while_it_is_imported_does_not_end_the_server(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / "exiting_plugin.py").write_text("raise SystemExit('bye')")
    monkeypatch.syspath_prepend(tmp_path)
    plugins = Plugins()
    plugins.load([EntryPoint("exiting", "exiting_plugin", "toolbox")])
    assert problems(plugins) == {"exiting": ["import: SystemExit: bye (at exiting_plugin.py:1)"]}


BROKEN = '''
import json
import toolbox
from broken_plugin.helping import read

class Odd: ...

def odd(thing: Odd) -> str:
    """Take something odd."""

@toolbox.hookimpl
def toolbox_tools():
    return [odd]

@toolbox.hookimpl
def toolbox_prompts():
    yield read("{")
'''


def test_a_problem_says_in_one_line_what_is_wrong_and_where_in_the_plugins_own_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    package = tmp_path / "broken_plugin"
    package.mkdir()
    (package / "__init__.py").write_text(BROKEN)
    (package / "helping.py").write_text("import json\n\ndef read(text):\n    return json.loads(text)\n")
    monkeypatch.syspath_prepend(tmp_path)
    plugins = Plugins()
    plugins.load([EntryPoint("broken", "broken_plugin", "toolbox")])
    odd, unread = problems(plugins)["broken"]
    said = "parameter 'thing' has no JSON form: type broken_plugin.Odd is not supported"
    assert odd == f"tool odd: {said} (at broken_plugin/__init__.py:8)"
    assert unread.startswith("toolbox_prompts: JSONDecodeError: ")
    assert unread.endswith(" (at broken_plugin/helping.py:4)")


def test_a_syntax_error_says_its_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "unreadable_plugin.py").write_text("one = 1\ndef :\n")
    monkeypatch.syspath_prepend(tmp_path)
    plugins = Plugins()
    plugins.load([EntryPoint("unreadable", "unreadable_plugin", "toolbox")])
    assert problems(plugins)["unreadable"][0].endswith("(at unreadable_plugin.py:2)")


def test_the_folders_of_plugins_that_are_installed_as_copies_are_not_their_authors(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "single_plugin.py").touch()
    (tmp_path / "package_plugin").mkdir()
    (tmp_path / "package_plugin" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    found = [
        EntryPoint("single", "single_plugin", "toolbox"),
        EntryPoint("package", "package_plugin.part:thing", "toolbox"),
        EntryPoint("copy", "pluggy", "toolbox"),
        EntryPoint("missing", "no.such.module", "toolbox"),
    ]
    assert source_folders(found) == [tmp_path, tmp_path / "package_plugin"]


def test_a_failing_hook_leaves_other_plugins_tools_callable(make_plugins: MakePlugins) -> None:
    module = ModuleType("bad")

    @toolbox.hookimpl
    def toolbox_tools() -> list[Any]:
        raise RuntimeError("no tools today")

    module.toolbox_tools = toolbox_tools  # type: ignore[attr-defined]
    plugins = make_plugins(bad=module, good=[hello])
    assert list(plugins.tools) == ["good_hello"]
    assert problems(plugins)["bad"] == ["toolbox_tools: RuntimeError: no tools today"]


def test_a_plugin_of_which_nothing_works_has_failed_and_one_of_which_something_works_is_there_partly(
    make_plugins: MakePlugins,
) -> None:
    plugins = make_plugins(all=[hello], none=[untyped], some=[untyped, hello])
    states = {plugin.name: plugin.state for plugin in plugins.plugins}
    assert states == {"all": "loaded", "none": "failed", "some": "partly"}


def _module(name: str, value: Any) -> ModuleType:
    module = ModuleType("plugin")
    setattr(module, name, value)
    return module


def test_a_hook_that_nobody_would_call_is_a_problem_that_says_what_to_do(make_plugins: MakePlugins) -> None:
    def unmarked() -> list[Any]:
        return [hello]

    @toolbox.hookimpl
    def misspelled() -> list[Any]:
        return [hello]

    plugins = make_plugins(
        unmarked=_module("toolbox_tools", unmarked),
        misspelled=_module("toolbox_tool", misspelled),
        nothing=ModuleType("plugin"),
    )
    assert {plugin.state for plugin in plugins.plugins} == {"failed"}
    assert problems(plugins) == {
        "unmarked": [
            "toolbox_tools: it is not marked as a hook, so nobody calls it: put @toolbox.hookimpl above it",
        ],
        "misspelled": ["toolbox_tool: there is no such hook; near names: toolbox_tools"],
        "nothing": ["hooks: it has none: put @toolbox.hookimpl above a function toolbox_tools"],
    }


def test_one_hook_that_nobody_would_call_leaves_the_others_working(make_plugins: MakePlugins) -> None:
    module = _module("toolbox_tools", toolbox.hookimpl(lambda: [hello]))
    module.toolbox_lifespan = contextlib.nullcontext  # type: ignore[attr-defined]
    plugins = make_plugins(demo=module)
    assert (plugins.plugins[0].state, list(plugins.tools)) == ("partly", ["demo_hello"])
    assert "toolbox_lifespan: it is not marked" in problems(plugins)["demo"][0]


def test_a_hook_for_another_version_of_toolbox_may_be_marked_as_optional(make_plugins: MakePlugins) -> None:
    module = _module("toolbox_tools", toolbox.hookimpl(lambda: [hello]))
    module.toolbox_future = toolbox.hookimpl(optionalhook=True)(hello)  # type: ignore[attr-defined]
    assert problems(make_plugins(demo=module)) == {"demo": []}


def test_a_hook_without_a_return_is_a_problem(make_plugins: MakePlugins) -> None:
    plugins = make_plugins(demo=_module("toolbox_tools", toolbox.hookimpl(lambda: None)))
    assert problems(plugins) == {"demo": ["toolbox_tools: it gave back None: is a return missing?"]}
    assert plugins.plugins[0].state == "failed"


def test_a_generator_that_fails_midway_keeps_what_it_had_given(make_plugins: MakePlugins) -> None:
    def offer() -> Iterator[Any]:
        yield hello
        raise RuntimeError("out of tools")

    plugins = make_plugins(demo=offer())
    assert list(plugins.tools) == ["demo_hello"]
    assert problems(plugins)["demo"] == ["toolbox_tools: RuntimeError: out of tools"]


def test_one_bad_tool_leaves_the_others_of_its_plugin(make_plugins: MakePlugins) -> None:
    bad_schemas = [
        WithSchema({"type": "string"}, "not_an_object"),
        WithSchema({"type": "object", "properties": {"a": {"type": "nonsense"}}}, "no_schema"),
        WithSchema({"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:9/x"}}}, "remote"),
    ]
    plugins = make_plugins(demo=[untyped, 42, *bad_schemas, hello, hello])
    assert list(plugins.tools) == ["demo_hello"]
    said = problems(plugins)["demo"]
    assert len(said) == 6
    assert "parameter 'text' has no type hint" in said[0]
    assert "neither a typed function nor a Tool" in said[1]
    assert "root must have type object" in said[2]
    assert "demo_no_schema" in said[3]
    assert "demo_remote" in said[4]
    assert "'demo_hello' is taken" in said[5]


def test_a_schema_that_names_an_unknown_draft_is_refused_and_the_draft_is_not_fetched(
    make_plugins: MakePlugins, requests_seen: tuple[str, list[str]]
) -> None:
    address, seen = requests_seen
    unknown = {"type": "object", "$schema": f"{address}/draft"}
    plugins = make_plugins(demo=[WithSchema(unknown, "in"), WithSchema({"type": "object"}, "out", unknown), hello])
    assert list(plugins.tools) == ["demo_hello"]
    said = problems(plugins)["demo"]
    assert len(said) == 2
    assert "demo_in: the input schema is not JSON Schema" in said[0]
    assert "demo_out: the output schema is not JSON Schema" in said[1]
    assert seen == []


def test_a_schema_of_an_older_draft_that_says_so_is_taken(make_plugins: MakePlugins) -> None:
    properties = {"pair": {"type": "array", "items": [{"type": "string"}, {"type": "integer"}]}}
    old = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "properties": properties}
    assert list(make_plugins(demo=[WithSchema(old)]).tools) == ["demo_custom"]


def test_of_two_plugins_with_one_name_the_first_is_kept(make_plugins: MakePlugins) -> None:
    plugins = make_plugins(demo=[hello])
    plugins.load([EntryPoint("demo", "json", "toolbox")])
    assert [plugin.state for plugin in plugins.plugins] == ["loaded", "failed"]
    assert list(plugins.tools) == ["demo_hello"]


def test_a_disabled_plugin_is_shown_but_not_loaded(make_plugins: MakePlugins) -> None:
    plugins = make_plugins(("demo",), demo=[hello])
    assert (plugins.plugins[0].state, list(plugins.tools)) == ("disabled", [])


def test_disabling_what_is_not_there_is_a_problem_with_near_names(make_plugins: MakePlugins) -> None:
    plugins = make_plugins(("txt", "data"), text=[hello], data=[hello])
    states = {plugin.name: plugin.state for plugin in plugins.plugins}
    assert states == {"data": "disabled", "text": "loaded", "txt": "missing"}
    assert problems(plugins)["txt"] == [
        "PLUGINS_DISABLED: there is no plugin of this name to disable; near names: text"
    ]


def test_strict_refuses_to_start_and_names_every_problem(make_plugins: MakePlugins) -> None:
    with pytest.raises(PluginError, match="broken: import: ModuleNotFoundError"):
        load_plugins(Settings(plugins_strict=True), [EntryPoint("broken", "no.such.module", "toolbox")])
    load_plugins(Settings(plugins_strict=True), [])


def _with_lifespan(events: list[str], *, fails: bool = False, fails_at_the_end: bool = False) -> ModuleType:
    module = ModuleType("living")

    @toolbox.hookimpl
    def toolbox_tools() -> list[Any]:
        return [hello]

    @toolbox.hookimpl
    @contextlib.asynccontextmanager
    async def toolbox_lifespan(settings: Settings) -> AsyncIterator[None]:
        if fails:
            raise RuntimeError("no connection")
        events.append("open")
        yield
        events.append("close")
        if fails_at_the_end:
            raise RuntimeError("cannot let go")

    module.toolbox_tools, module.toolbox_lifespan = toolbox_tools, toolbox_lifespan  # type: ignore[attr-defined]
    return module


async def test_a_lifespan_surrounds_the_server(make_plugins: MakePlugins) -> None:
    events: list[str] = []
    plugins = make_plugins(living=_with_lifespan(events, fails=False))
    async with plugins.lifespan(Settings()):
        assert events == ["open"]
    assert events == ["open", "close"]


async def test_a_lifespan_that_fails_takes_its_own_tools_away_and_no_others(make_plugins: MakePlugins) -> None:
    plugins = make_plugins(living=_with_lifespan([], fails=True), good=[hello])
    async with plugins.lifespan(Settings()):
        assert list(plugins.tools) == ["good_hello"]
    assert problems(plugins)["living"] == ["toolbox_lifespan: RuntimeError: no connection"]


async def test_a_lifespan_that_is_no_context_manager_takes_its_own_tools_away(make_plugins: MakePlugins) -> None:
    def fail() -> None:
        raise RuntimeError("no connection")

    for lifespan, said in (
        (lambda: 42, "42 is no async context manager: see contextlib.asynccontextmanager"),
        (lambda: None, "it gave back None: is a return missing?"),
        (fail, "RuntimeError: no connection"),
    ):
        module = _with_lifespan([])
        module.toolbox_lifespan = toolbox.hookimpl(specname="toolbox_lifespan")(lifespan)  # type: ignore[attr-defined]
        plugins = make_plugins(living=module)
        async with plugins.lifespan(Settings()):
            assert (plugins.plugins[0].state, list(plugins.tools)) == ("failed", [])
        assert problems(plugins)["living"] == [f"toolbox_lifespan: {said}"]


async def test_a_lifespan_that_fails_on_the_way_out_keeps_no_other_from_closing(make_plugins: MakePlugins) -> None:
    events: list[str] = []
    bad, good = _with_lifespan(events, fails_at_the_end=True), _with_lifespan(events)
    plugins = make_plugins(good=good, worse=bad)
    async with plugins.lifespan(Settings()):
        pass
    assert events == ["open", "open", "close", "close"]
    assert problems(plugins)["worse"] == ["toolbox_lifespan: RuntimeError: cannot let go"]


def test_the_installed_plugins_have_no_problems() -> None:
    plugins = load_plugins(Settings())
    assert {name: said for name, said in problems(plugins).items() if said} == {}
    assert len(plugins.tools) >= 30
    assert list(plugins.embedders) == ["MiniLM-L6-tools-4-int8"]
