"""Plugins: pip packages that offer tools through the entry-point group "toolbox".

A plugin that fails to load, a hook that raises or has a wrong name, and a tool that makes no sense are kept as problems
of that plugin; everything else of it, and every other plugin, goes on.
"""

import contextlib
import importlib.util
import sysconfig
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator
from contextlib import AbstractAsyncContextManager
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Literal

import msgspec
import pluggy
import structlog
from msgspec import Struct, structs

import toolbox.hookspecs
from toolbox.definitions import ToolDefinition, Upstream, shorten_name
from toolbox.embeddings.base import Embedder
from toolbox.errors import InvalidDefinition, PluginError, ToolboxError
from toolbox.prompts import Prompt, as_prompt
from toolbox.resources import Resource, as_resource
from toolbox.settings import Settings
from toolbox.skills import Skill, read_skill
from toolbox.tools.function import as_tool
from toolbox.tools.loading import PLUGIN_SOURCE
from toolbox.tools.places import find_definition, find_place
from toolbox.tools.registry import RegisteredTool
from toolbox.tools.validity import check_definition

logger = structlog.get_logger(__name__)

GROUP = "toolbox"
OWN_SCHEME = "toolbox:"


class PluginProblem(Struct, frozen=True):
    """Something of a plugin that does not work: where, and what was said."""

    where: str
    message: str


class Plugin(Struct):
    """A plugin as operators see it."""

    name: str
    distribution: str
    version: str
    state: Literal["loaded", "partly", "failed", "disabled", "missing"] = "loaded"
    """partly: something of it works and something does not; missing: the settings name it, and it is not installed."""
    tools: list[str] = []
    embedders: list[str] = []
    resources: list[str] = []
    """URIs, and URI templates."""
    prompts: list[str] = []
    skills: list[str] = []
    """URIs."""
    upstreams: list[str] = []
    problems: list[PluginProblem] = []

    def report(self, where: str, message: str) -> None:
        """Keep a problem."""
        self.problems.append(PluginProblem(where, message))

    def fail(self, where: str, error: BaseException, subject: Any = None) -> None:
        """Keep an error as a problem of one line, with the place in the plugin's files where there is one.

        Ours says all in its message, a foreign one not without its name. `subject` is the function that it is about.
        """
        said = error.message if isinstance(error, ToolboxError) else f"{type(error).__name__}: {error}"
        about, _, rest = said.partition(": ")
        if rest and about.rpartition(".")[2] == where.rpartition(" ")[2]:
            said = rest  # `where` has named it
        place = find_place(error) or find_definition(subject)
        self.report(where, " ".join(said.split()) + (f" (at {place})" if place else ""))
        if not isinstance(error, ToolboxError):
            whole = "".join(traceback.format_exception(error))
            logger.debug("a plugin failed", plugin=self.name, where=where, exception=whole)


class Plugins:
    """All plugins of this process, with what they offer and what went wrong."""

    def __init__(self) -> None:
        self.plugins: list[Plugin] = []
        self.tools: dict[str, RegisteredTool] = {}
        self.embedders: dict[str, Embedder] = {}
        self.resources: dict[str, Resource] = {}
        self.prompts: dict[str, Prompt] = {}
        self.skills: dict[str, Skill] = {}
        self.upstreams: dict[str, Upstream] = {}
        self._opened: contextlib.AsyncExitStack | None = None
        self._manager = pluggy.PluginManager(GROUP)
        self._manager.add_hookspecs(toolbox.hookspecs)

    def load(self, found: Iterable[EntryPoint], disabled: Iterable[str] = ()) -> None:
        """Load plugins in the order of their names; the first of two with one name wins."""
        switched_off, found = set(disabled), list(found)
        for entry_point in sorted(found, key=lambda candidate: candidate.name):
            plugin = _describe(entry_point)
            self.plugins.append(plugin)
            if plugin.name in switched_off:
                plugin.state = "disabled"
            elif self._manager.has_plugin(plugin.name):
                plugin.state = "failed"
                plugin.fail("entry point", PluginError(f"another package offers a plugin named {plugin.name!r} too"))
            elif self._register(plugin, entry_point):
                self._check_hooks(plugin)
                self._collect_tools(plugin)
                self._collect_embedders(plugin)
                self._collect_resources(plugin)
                self._collect_prompts(plugin)
                self._collect_skills(plugin)
                self._collect_upstreams(plugin)
                plugin.state = _judge(plugin)
        installed = {entry_point.name for entry_point in found}
        self.plugins += [_missing(name, installed) for name in sorted(switched_off - installed)]

    @contextlib.asynccontextmanager
    async def lifespan(self, settings: Settings) -> AsyncIterator[None]:
        """Enter every plugin's lifespan; one that fails takes only its own plugin's tools away."""
        async with contextlib.AsyncExitStack() as stack:
            self._opened = stack
            for plugin in self._working():
                if not await self._enter(stack, plugin, settings):
                    self._withdraw(plugin)
            yield

    async def replace(self, old: Plugin | None, new: Plugin, fresh: "Plugins", settings: Settings) -> bool:
        """Put a plugin that was loaded anew in the place of its former self; false if its lifespan cannot be entered.

        What the former one has opened stays open: calls in flight may use it.
        """
        if self._opened is not None and not await fresh._enter(self._opened, new, settings):  # noqa: SLF001 - its own kind
            return False
        self.remove(old or new)
        self.tools = self.tools | fresh.tools
        self.resources.update(fresh.resources)
        self.prompts.update(fresh.prompts)
        self.skills.update(fresh.skills)
        self.upstreams.update(fresh.upstreams)
        self.plugins = sorted([*self.plugins, new], key=lambda plugin: plugin.name)
        return True

    def remove(self, plugin: Plugin) -> None:
        """Offer no more what a plugin offers; its embedding models stay until the process ends."""
        self.tools = {name: tool for name, tool in self.tools.items() if name not in plugin.tools}
        # These are looked at by whoever was given them, so they change in place.
        for offered, names in (
            (self.resources, plugin.resources),
            (self.prompts, plugin.prompts),
            (self.skills, plugin.skills),
            (self.upstreams, plugin.upstreams),
        ):
            for name in names:
                offered.pop(name, None)
        self.plugins = [other for other in self.plugins if other.name != plugin.name]

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

    def _working(self) -> list[Plugin]:
        return [plugin for plugin in self.plugins if plugin.state in {"loaded", "partly"}]

    def _register(self, plugin: Plugin, entry_point: EntryPoint) -> bool:
        with _kept(plugin, "import"):
            self._manager.register(entry_point.load(), name=plugin.name)
            return True
        plugin.state = "failed"
        return False

    def _check_hooks(self, plugin: Plugin) -> None:
        """Find what the author meant as a hook and nobody would ever call."""
        module = self._manager.get_plugin(plugin.name)
        callers = self._manager.get_hookcallers(module) or []
        hooks = {hook for hook in vars(toolbox.hookspecs) if hook.startswith("toolbox_")}
        for caller in callers:
            is_optional = all(implementation.optionalhook for implementation in caller.get_hookimpls())
            if not caller.has_spec() and not is_optional:
                plugin.report(caller.name, f"there is no such hook{_near(caller.name, hooks)}")
        marked = {caller.name for caller in callers}
        for hook in sorted(hooks - marked):
            if callable(getattr(module, hook, None)):
                plugin.report(hook, "it is not marked as a hook, so nobody calls it: put @toolbox.hookimpl above it")
        if not callers and not plugin.problems:
            plugin.report("hooks", "it has none: put @toolbox.hookimpl above a function toolbox_tools")

    def _collect_tools(self, plugin: Plugin) -> None:
        for offered in self._call(plugin, "toolbox_tools"):
            for candidate in _iterate(plugin, "toolbox_tools", offered):
                with _kept(plugin, f"tool {_label(candidate)}", candidate):
                    self._add_tool(plugin, candidate)

    def _add_tool(self, plugin: Plugin, candidate: Any) -> None:
        tool = as_tool(candidate)
        definition = _complete(tool.definition, plugin, prefix=getattr(tool, "prefix", True))
        check_definition(definition)
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

    def _collect_resources(self, plugin: Plugin) -> None:
        for offered in self._call(plugin, "toolbox_resources"):
            for candidate in _iterate(plugin, "toolbox_resources", offered):
                with _kept(plugin, f"resource {_label(candidate)}", candidate):
                    self._add_resource(plugin, as_resource(candidate))

    def _add_resource(self, plugin: Plugin, resource: Resource) -> None:
        uri = resource.definition.uri
        if uri.startswith(OWN_SCHEME):
            raise InvalidDefinition(f"{uri!r}: URIs that begin with {OWN_SCHEME} are ToolBox's own")
        if uri in self.resources:
            raise InvalidDefinition(f"the URI {uri!r} is taken")
        self.resources[uri] = resource
        plugin.resources.append(uri)

    def _collect_prompts(self, plugin: Plugin) -> None:
        for offered in self._call(plugin, "toolbox_prompts"):
            for candidate in _iterate(plugin, "toolbox_prompts", offered):
                with _kept(plugin, f"prompt {_label(candidate)}", candidate):
                    self._add_prompt(plugin, as_prompt(candidate))

    def _add_prompt(self, plugin: Plugin, prompt: Prompt) -> None:
        name = _prefix(prompt.definition.name, plugin)
        if name in self.prompts:
            raise InvalidDefinition(f"the name {name!r} is taken")
        self.prompts[name] = prompt.renamed(name)
        plugin.prompts.append(name)

    def _collect_skills(self, plugin: Plugin) -> None:
        for offered in self._call(plugin, "toolbox_skills"):
            for folder in _iterate(plugin, "toolbox_skills", offered):
                with _kept(plugin, f"skill {folder!s}"):
                    self._add_skill(plugin, read_skill(Path(folder), plugin.name))

    def _add_skill(self, plugin: Plugin, skill: Skill) -> None:
        for resource in skill.to_resources():
            self._add_resource(plugin, resource)
        self.skills[skill.uri] = skill
        plugin.skills.append(skill.uri)

    def _collect_upstreams(self, plugin: Plugin) -> None:
        for offered in self._call(plugin, "toolbox_upstreams"):
            for candidate in _iterate(plugin, "toolbox_upstreams", offered):
                with _kept(plugin, f"upstream {getattr(candidate, 'name', candidate)}"):
                    self._add_upstream(plugin, candidate)

    def _add_upstream(self, plugin: Plugin, candidate: Any) -> None:
        if not isinstance(candidate, Upstream):
            raise InvalidDefinition(f"{candidate!r} is no toolbox.Upstream")
        upstream = msgspec.convert(msgspec.to_builtins(candidate), Upstream)  # constructors look at no limits
        if upstream.name in self.upstreams:
            raise InvalidDefinition(f"the name {upstream.name!r} is taken")
        self.upstreams[upstream.name] = upstream
        plugin.upstreams.append(upstream.name)

    async def _enter(self, stack: contextlib.AsyncExitStack, plugin: Plugin, settings: Settings) -> bool:
        """Whether the plugin may be used: it has no lifespan, or one that was entered."""
        with _kept(plugin, "toolbox_lifespan"):
            for context in self._ask(plugin, "toolbox_lifespan", settings=settings):
                if not isinstance(context, AbstractAsyncContextManager):
                    raise PluginError(f"{context!r} is no async context manager: see contextlib.asynccontextmanager")
                await context.__aenter__()
                stack.push_async_exit(_leaving(plugin, context))
            return True
        return False

    def _call(self, plugin: Plugin, hook: str) -> list[Any]:
        """What this plugin's implementation of a hook gave back, if it has one that works."""
        with _kept(plugin, hook):
            return self._ask(plugin, hook)
        return []

    def _ask(self, plugin: Plugin, hook: str, **arguments: Any) -> list[Any]:
        """What this plugin's implementation of a hook gives back, if it has one: a list of one thing."""
        caller: pluggy.HookCaller = getattr(self._manager.hook, hook)
        module = self._manager.get_plugin(plugin.name)
        if all(implementation.plugin is not module for implementation in caller.get_hookimpls()):
            return []
        others = [other for name, other in self._manager.list_name_plugin() if name != plugin.name]
        results: list[Any] = self._manager.subset_hook_caller(hook, others)(**arguments)
        if not results:
            raise PluginError("it gave back None: is a return missing?")
        return results

    def _withdraw(self, plugin: Plugin) -> None:
        plugin.state = "failed"
        for name in plugin.tools:
            self.tools.pop(name, None)
        for name in plugin.embedders:
            self.embedders.pop(name, None)
        for uri in plugin.resources:
            self.resources.pop(uri, None)
        for name in plugin.prompts:
            self.prompts.pop(name, None)
        for uri in plugin.skills:
            self.skills.pop(uri, None)
        for name in plugin.upstreams:
            self.upstreams.pop(name, None)
        plugin.tools, plugin.embedders, plugin.resources, plugin.prompts, plugin.skills = [], [], [], [], []
        plugin.upstreams = []


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


def source_folders(found: Iterable[EntryPoint] | None = None) -> list[Path]:
    """Where the code of plugins lies that somebody may be writing: those that are not installed as copies."""
    installed = [Path(sysconfig.get_path(kind)).resolve() for kind in ("purelib", "platlib")]
    folders = set[Path]()
    for entry_point in entry_points(group=GROUP) if found is None else found:
        with contextlib.suppress(ImportError, ValueError):  # load() reports it
            spec = importlib.util.find_spec(entry_point.module.partition(".")[0])
            if spec is not None:
                places = spec.submodule_search_locations or ([str(Path(spec.origin).parent)] if spec.origin else [])
                folders.update(Path(place).resolve() for place in places)
    return sorted(
        folder for folder in folders if not any(folder == place or place in folder.parents for place in installed)
    )


def _describe(entry_point: EntryPoint) -> Plugin:
    distribution = entry_point.dist
    return Plugin(
        name=entry_point.name,
        distribution=distribution.name if distribution else entry_point.value,
        version=distribution.version if distribution else "0",
    )


def _complete(definition: ToolDefinition, plugin: Plugin, *, prefix: bool) -> ToolDefinition:
    """What the plugin as a whole says stands in for what the tool leaves open; its name leads the tool's name."""
    return structs.replace(
        definition,
        name=_prefix(definition.name, plugin) if prefix else shorten_name(definition.name),
        version=definition.version or plugin.version,
        category=definition.category or plugin.name,
    )


def _prefix(name: str, plugin: Plugin) -> str:
    prefix = f"{plugin.name}_"
    return shorten_name(name if name.startswith(prefix) else prefix + name)


def _label(candidate: Any) -> str:
    """What its author calls it."""
    definition = getattr(candidate, "definition", None)
    return str(getattr(candidate, "__name__", None) or getattr(definition, "name", candidate))


def _judge(plugin: Plugin) -> Literal["loaded", "partly", "failed"]:
    """How a plugin is that was loaded."""
    if not plugin.problems:
        return "loaded"
    works = plugin.tools or plugin.embedders or plugin.resources or plugin.prompts or plugin.upstreams
    return "partly" if works else "failed"


def _missing(name: str, installed: Collection[str]) -> Plugin:
    """What stands in for a plugin that is to be disabled, and is not there: most likely it was misspelled."""
    plugin = Plugin(name=name, distribution="", version="", state="missing")
    plugin.report("PLUGINS_DISABLED", f"there is no plugin of this name to disable{_near(name, installed)}")
    return plugin


def _near(name: str, known: Collection[str]) -> str:
    near = get_close_matches(name, known, cutoff=0.75)
    return f"; near names: {', '.join(near)}" if near else f"; known names: {', '.join(sorted(known)) or 'none'}"


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

    def __init__(self, plugin: Plugin, where: str, subject: Any = None) -> None:
        self._plugin = plugin
        self._where = where
        self._subject = subject

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> bool:
        if isinstance(error, Exception | SystemExit):
            self._plugin.fail(self._where, error, self._subject)
            return True
        return False
