"""Plugins: pip packages that offer tools through the entry-point group "toolbox".

A plugin that fails to load, a hook that raises and a tool that makes no sense are kept as problems of that plugin;
everything else of it, and every other plugin, goes on.
"""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

import pluggy
from jsonschema_rs import validator_for
from msgspec import Struct, structs

import toolbox.hookspecs
from toolbox.definitions import ToolDefinition, shorten_name
from toolbox.embeddings.base import Embedder
from toolbox.errors import InvalidDefinition, PluginError
from toolbox.settings import Settings
from toolbox.tools.function import as_tool
from toolbox.tools.registry import RegisteredTool
from toolbox.tools.sync import PLUGIN_SOURCE
from toolbox.tools.validity import compile_error

GROUP = "toolbox"


class PluginProblem(Struct, frozen=True):
    """Something of a plugin that does not work: where, and what was said."""

    where: str
    message: str


class Plugin(Struct):
    """A plugin as operators see it."""

    name: str
    distribution: str
    version: str
    state: Literal["loaded", "failed", "disabled"] = "loaded"
    tools: list[str] = []
    embedders: list[str] = []
    problems: list[PluginProblem] = []

    def fail(self, where: str, error: BaseException) -> None:
        """Keep a problem."""
        self.problems.append(PluginProblem(where, f"{type(error).__name__}: {error}"))


class Plugins:
    """All plugins of this process, with what they offer and what went wrong."""

    def __init__(self) -> None:
        self.plugins: list[Plugin] = []
        self.tools: dict[str, RegisteredTool] = {}
        self.embedders: dict[str, Embedder] = {}
        self._manager = pluggy.PluginManager(GROUP)
        self._manager.add_hookspecs(toolbox.hookspecs)

    def load(self, found: Iterable[EntryPoint], disabled: Iterable[str] = ()) -> None:
        """Load plugins in the order of their names; the first of two with one name wins."""
        switched_off = set(disabled)
        for entry_point in sorted(found, key=lambda candidate: candidate.name):
            plugin = _describe(entry_point)
            self.plugins.append(plugin)
            if plugin.name in switched_off:
                plugin.state = "disabled"
            elif self._manager.has_plugin(plugin.name):
                plugin.state = "failed"
                plugin.fail("entry point", PluginError(f"another package offers a plugin named {plugin.name!r} too"))
            elif self._register(plugin, entry_point):
                self._collect_tools(plugin)
                self._collect_embedders(plugin)

    @contextlib.asynccontextmanager
    async def lifespan(self, settings: Settings) -> AsyncIterator[None]:
        """Enter every plugin's lifespan; one that fails takes only its own plugin's tools away."""
        async with contextlib.AsyncExitStack() as stack:
            for plugin in self._loaded():
                for context in self._call(plugin, "toolbox_lifespan", settings=settings):
                    with _kept(plugin, "toolbox_lifespan"):
                        await context.__aenter__()
                        stack.push_async_exit(_leaving(plugin, context))
                        continue
                    self._withdraw(plugin)
            yield

    def refuse_problems(self) -> None:
        """Raise if anything is wrong with any plugin (PLUGINS_STRICT).

        Raises:
            PluginError: Names every problem.
        """
        problems = [
            f"{plugin.name}: {problem.where}: {problem.message}"
            for plugin in self.plugins
            for problem in plugin.problems
        ]
        if problems:
            raise PluginError("PLUGINS_STRICT is set and plugins have problems:\n" + "\n".join(problems))

    def _loaded(self) -> list[Plugin]:
        return [plugin for plugin in self.plugins if plugin.state == "loaded"]

    def _register(self, plugin: Plugin, entry_point: EntryPoint) -> bool:
        with _kept(plugin, "import"):
            self._manager.register(entry_point.load(), name=plugin.name)
            return True
        plugin.state = "failed"
        return False

    def _collect_tools(self, plugin: Plugin) -> None:
        for offered in self._call(plugin, "toolbox_tools"):
            for candidate in _iterate(plugin, "toolbox_tools", offered):
                with _kept(plugin, f"tool {getattr(candidate, '__name__', candidate)!s}"):
                    self._add_tool(plugin, candidate)

    def _add_tool(self, plugin: Plugin, candidate: Any) -> None:
        tool = as_tool(candidate)
        definition = _complete(tool.definition, plugin)
        check_schemas(definition)
        if definition.name in self.tools:
            raise InvalidDefinition(f"the name {definition.name!r} is taken by {self.tools[definition.name].source}")
        self.tools[definition.name] = RegisteredTool(definition, tool, PLUGIN_SOURCE + plugin.name, plugin.version)
        plugin.tools.append(definition.name)

    def _collect_embedders(self, plugin: Plugin) -> None:
        for offered in self._call(plugin, "toolbox_embedders"):
            for embedder in _iterate(plugin, "toolbox_embedders", offered):
                with _kept(plugin, f"embedder {embedder!r}"):
                    if not isinstance(embedder, Embedder):
                        raise InvalidDefinition("it is no toolbox.Embedder: it needs name, dimensions and embed()")
                    if embedder.name in self.embedders:
                        raise InvalidDefinition(f"the name {embedder.name!r} is taken")
                    self.embedders[embedder.name] = embedder
                    plugin.embedders.append(embedder.name)

    def _call(self, plugin: Plugin, hook: str, **arguments: Any) -> list[Any]:
        """What this plugin's implementation of a hook gave back: nothing or one thing."""
        others = [other for name, other in self._manager.list_name_plugin() if name != plugin.name]
        caller: Callable[..., list[Any]] = self._manager.subset_hook_caller(hook, others)
        with _kept(plugin, hook):
            return [result for result in caller(**arguments) if result is not None]
        return []

    def _withdraw(self, plugin: Plugin) -> None:
        plugin.state = "failed"
        for name in plugin.tools:
            self.tools.pop(name, None)
        for name in plugin.embedders:
            self.embedders.pop(name, None)
        plugin.tools, plugin.embedders = [], []


def load_plugins(settings: Settings, found: Iterable[EntryPoint] | None = None) -> Plugins:
    """Load the plugins that are installed in this environment, or the given ones.

    Raises:
        PluginError: One has a problem, and PLUGINS_STRICT is set.
    """
    plugins = Plugins()
    plugins.load(entry_points(group=GROUP) if found is None else found, settings.plugins_disabled)
    if settings.plugins_strict:
        plugins.refuse_problems()
    return plugins


def check_schemas(definition: ToolDefinition) -> None:
    """Refuse schemas that no validator could use.

    Raises:
        InvalidDefinition: A schema is not valid in its draft, or the input's root is no object.
    """
    if definition.input_schema.get("type") != "object":
        raise InvalidDefinition(f"{definition.name}: the input schema's root must have type object")
    for what, schema in (("input", definition.input_schema), ("output", definition.output_schema)):
        error = None if schema is None else compile_error(schema, validator_for)
        if error is not None:
            raise InvalidDefinition(f"{definition.name}: the {what} schema is not JSON Schema: {error}")


def _describe(entry_point: EntryPoint) -> Plugin:
    distribution = entry_point.dist
    return Plugin(
        name=entry_point.name,
        distribution=distribution.name if distribution else entry_point.value,
        version=distribution.version if distribution else "0",
    )


def _complete(definition: ToolDefinition, plugin: Plugin) -> ToolDefinition:
    """What the plugin as a whole says stands in for what the tool leaves open; its name leads the tool's name."""
    prefix = f"{plugin.name}_"
    name = definition.name if definition.name.startswith(prefix) else prefix + definition.name
    return structs.replace(
        definition,
        name=shorten_name(name),
        version=definition.version or plugin.version,
        category=definition.category or plugin.name,
    )


def _leaving(plugin: Plugin, context: Any) -> Callable[..., Awaitable[bool]]:
    """Leave a plugin's lifespan; one that fails on the way out keeps no other from leaving."""

    async def leave(*error: Any) -> bool:
        with _kept(plugin, "toolbox_lifespan"):
            await context.__aexit__(*error)
        return False

    return leave


def _iterate(plugin: Plugin, hook: str, offered: Any) -> Iterator[Any]:
    """The members of what a hook gave back, as far as it can be iterated: generators may raise on the way."""
    with _kept(plugin, hook):
        yield from offered


class _kept:  # noqa: N801 - it reads as what it does: `with _kept(plugin, "import"):`
    """Plugins are foreign code: whatever they raise is kept as their problem, and ToolBox goes on."""

    def __init__(self, plugin: Plugin, where: str) -> None:
        self._plugin = plugin
        self._where = where

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> bool:
        if isinstance(error, Exception | SystemExit):
            self._plugin.fail(self._where, error)
            return True
        return False
