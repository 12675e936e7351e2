"""Hot reload: plugins that were installed, upgraded or removed meanwhile, without a restart; all or nothing for each.

A plugin that has changed is imported anew beside the old one. Where that fails, the old one stays as it is. Calls in
flight go on with the code that they began with, so what a plugin has opened (its lifespan) stays open until the
process ends. An embedding model is another matter: search changes to it with the next start.
"""

import asyncio
import contextlib
import importlib
import importlib.util
import site
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Annotated, Literal, TypeAlias

import structlog
from msgspec import Meta, Struct

from toolbox.plugins import GROUP, Plugin, PluginProblem, Plugins
from toolbox.settings import Settings

logger = structlog.get_logger(__name__)

Outcome: TypeAlias = Literal["installed", "upgraded", "removed", "failed"]


class PluginChange(Struct, frozen=True, kw_only=True):
    """What a reload did, or would do, with a plugin; what is no tool is named with its kind, as in `skill URI`."""

    plugin: str
    outcome: Annotated[Outcome, Meta(description="failed: it cannot be loaded, and what was there before stays.")]
    version: str
    was_version: str | None
    tools_added: list[str]
    tools_changed: list[str]
    tools_removed: list[str]
    others_added: list[str]
    others_changed: list[str]
    others_removed: list[str]
    problems: list[PluginProblem]


class ReloadReport(Struct, frozen=True):
    """What a reload did, or would do; plugins that have not changed are not in it."""

    is_dry_run: bool
    changes: list[PluginChange]


class _Offers(Struct, frozen=True):
    """What a plugin offers, by names; the values tell whether it has changed."""

    tools: dict[str, object] = {}
    others: dict[str, object] = {}


class Reloader:
    """Brings the plugins of this process to what is installed."""

    def __init__(self, plugins: Plugins, settings: Settings) -> None:
        self._plugins = plugins
        self._settings = settings
        self._lock = asyncio.Lock()
        self._known = {name: _identify(found) for name, found in _find_installed().items()}

    async def reload(self, *, dry_run: bool = False) -> ReloadReport:
        """Load what has changed; with `dry_run`, only say what that would do."""
        async with self._lock:
            _find_new_places()
            found = _find_installed()
            changes = []
            loaded = {plugin.name: plugin for plugin in self._plugins.plugins if plugin.state in {"loaded", "partly"}}
            for name in sorted({*found, *loaded, *self._known}):
                if name not in found:
                    if name in loaded and name in self._known:
                        changes.append(self._remove(loaded[name], dry_run=dry_run))
                    if not dry_run:
                        self._known.pop(name, None)
                    continue
                identity = _identify(found[name])
                if self._known.get(name) == identity or name in self._settings.plugins_disabled:
                    continue
                changes.append(await self._load(found[name], loaded.get(name), dry_run=dry_run))
                if not dry_run:
                    self._known[name] = identity
            for change in () if dry_run else changes:
                logger.info(
                    "a plugin was reloaded", plugin=change.plugin, outcome=change.outcome, version=change.version
                )
            return ReloadReport(dry_run, changes)

    def _remove(self, plugin: Plugin, *, dry_run: bool) -> PluginChange:
        offered = _find_offers(self._plugins, plugin)
        if not dry_run:
            self._plugins.remove(plugin)
        return _compare(offered, _Offers(), plugin=plugin, outcome="removed", was_version=plugin.version)

    async def _load(self, entry_point: EntryPoint, before: Plugin | None, *, dry_run: bool) -> PluginChange:
        old_modules = _forget_modules(entry_point)
        fresh = Plugins()
        await asyncio.to_thread(fresh.load, [entry_point])
        (plugin,) = fresh.plugins
        self._check_names(fresh, plugin, before)
        is_usable = not plugin.problems or (before is None and plugin.state == "partly")
        offered = _find_offers(self._plugins, before) if before else _Offers()
        if is_usable and not dry_run:
            is_usable = await self._plugins.replace(before, plugin, fresh, self._settings)
        if dry_run or not is_usable:
            _forget_modules(entry_point)
            sys.modules.update(old_modules)
        return _compare(
            offered,
            _find_offers(fresh, plugin) if is_usable else offered,
            plugin=plugin,
            outcome=("upgraded" if before else "installed") if is_usable else "failed",
            was_version=before.version if before else None,
        )

    def _check_names(self, fresh: Plugins, plugin: Plugin, before: Plugin | None) -> None:
        """Report what another plugin offers under the same name."""
        kinds: tuple[tuple[Mapping[str, object], Mapping[str, object], list[str]], ...] = (
            (fresh.tools, self._plugins.tools, before.tools if before else []),
            (fresh.resources, self._plugins.resources, before.resources if before else []),
            (fresh.prompts, self._plugins.prompts, before.prompts if before else []),
            (fresh.upstreams, self._plugins.upstreams, before.upstreams if before else []),
        )
        for new, old, own in kinds:
            for name in (new.keys() & old.keys()) - set(own):
                plugin.report(name, "the name is taken by another plugin")


def _find_offers(plugins: Plugins, plugin: Plugin) -> _Offers:
    others: dict[str, object] = {
        **{f"resource {uri}": plugins.resources[uri].definition for uri in plugin.resources},
        **{f"prompt {name}": plugins.prompts[name].definition for name in plugin.prompts},
        **{f"skill {uri}": plugins.skills[uri] for uri in plugin.skills},
        **{f"upstream {name}": plugins.upstreams[name] for name in plugin.upstreams},
    }
    return _Offers({name: plugins.tools[name].definition.fingerprint() for name in plugin.tools}, others)


def _compare(
    before: _Offers, after: _Offers, *, plugin: Plugin, outcome: Outcome, was_version: str | None
) -> PluginChange:
    return PluginChange(
        plugin=plugin.name,
        outcome=outcome,
        version=plugin.version,
        was_version=was_version,
        tools_added=sorted(after.tools.keys() - before.tools.keys()),
        tools_changed=_find_changed(before.tools, after.tools),
        tools_removed=sorted(before.tools.keys() - after.tools.keys()),
        others_added=sorted(after.others.keys() - before.others.keys()),
        others_changed=_find_changed(before.others, after.others),
        others_removed=sorted(before.others.keys() - after.others.keys()),
        problems=list(plugin.problems),
    )


def _find_changed(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    return sorted(name for name in before.keys() & after.keys() if before[name] != after[name])


def _find_new_places() -> None:
    """Notice what was installed since, also as editable: where that is, a .pth file says, read when Python starts."""
    for folder in site.getsitepackages():
        site.addsitedir(folder)
    importlib.invalidate_caches()


def _find_installed() -> dict[str, EntryPoint]:
    """The plugins that are installed now; the first of two with one name."""
    found: dict[str, EntryPoint] = {}
    for entry_point in entry_points(group=GROUP):
        found.setdefault(entry_point.name, entry_point)
    return found


def _identify(entry_point: EntryPoint) -> tuple[object, ...]:
    """Another one when the plugin is another one: its version, or the files of its package."""
    version = entry_point.dist.version if entry_point.dist else ""
    return (entry_point.value, version, *sorted(_stamp(file) for file in _files(entry_point)))


def _files(entry_point: EntryPoint) -> Iterable[Path]:
    """The files of its package, data and skills among them."""
    spec = None
    with contextlib.suppress(ImportError, ValueError, AttributeError):
        spec = importlib.util.find_spec(_package(entry_point))
    if spec is None:
        return []
    if spec.submodule_search_locations:
        found = (file for place in spec.submodule_search_locations for file in Path(place).rglob("*"))
        return [file for file in found if "__pycache__" not in file.parts and file.is_file()]
    return [Path(spec.origin)] if spec.origin else []


def _stamp(file: Path) -> tuple[str, int, int]:
    with contextlib.suppress(OSError):  # gone between the two looks
        status = file.stat()
        return str(file), status.st_mtime_ns, status.st_size
    return str(file), 0, 0


def _package(entry_point: EntryPoint) -> str:
    return entry_point.module.partition(".")[0]


def _forget_modules(entry_point: EntryPoint) -> dict[str, ModuleType]:
    """Take the plugin's modules out of those that are imported, so that they are imported anew; gives them back."""
    package = _package(entry_point)
    names = [name for name in sys.modules if name == package or name.startswith(f"{package}.")]
    return {name: sys.modules.pop(name) for name in names}
