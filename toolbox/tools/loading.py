"""Finding what runs a tool by its name: in memory, else with one read of its row, which every replica can make."""

from typing import Any

from toolbox.errors import InvalidDefinition, ToolNotFound, ToolNotHere, ToolNotRunnable
from toolbox.tools.kinds import Kinds
from toolbox.tools.registry import RegisteredTool, Registry
from toolbox.tools.repository import StoredTool, ToolRepository, to_definition

PLUGIN_SOURCE = "plugin:"


class ToolLoader:
    """Finds tools for whoever calls them."""

    def __init__(self, registry: Registry, repository: ToolRepository, kinds: Kinds) -> None:
        self._registry = registry
        self._repository = repository
        self._kinds = kinds

    async def find(self, name: str) -> RegisteredTool:
        """The tool of this name, ready to run; one that is stored stays in memory until the catalogue changes.

        Raises:
            ToolNotFound: No active tool has this name.
            ToolNotRunnable: The tool came without an implementation, or with one that cannot be used.
            ToolNotHere: Its plugin is not installed on this replica.
            DatabaseUnavailable: PostgreSQL does not answer, and the tool is not in memory.
        """
        return self._registry.get(name) or await self._load(name)

    async def _load(self, name: str) -> RegisteredTool:
        before = self._registry.stored_revision
        found = await self._repository.read_implementation(name)
        if found is None:
            raise ToolNotFound(name, await self._repository.near_names(name))
        stored, implementation = found
        if implementation is None:
            raise _explain_absence(stored)
        registered = self._create(stored, implementation)
        self._registry.keep_stored(registered, before)
        return registered

    def _create(self, stored: StoredTool, implementation: dict[str, Any]) -> RegisteredTool:
        definition = to_definition(stored)
        try:
            tool = self._kinds.create(definition, implementation)
        except InvalidDefinition as error:
            raise ToolNotRunnable(f"{stored.name!r} cannot be run here: {error.message}") from error
        return RegisteredTool(definition, tool, stored.source, "")


def _explain_absence(stored: StoredTool) -> ToolNotHere | ToolNotRunnable:
    if stored.source.startswith(PLUGIN_SOURCE):
        plugin = stored.source.removeprefix(PLUGIN_SOURCE)
        return ToolNotHere(
            f"{stored.name!r} belongs to the plugin {plugin!r}, which this replica has not loaded; a plugin that was "
            "installed meanwhile is loaded when the server starts again"
        )
    return ToolNotRunnable(
        f"{stored.name!r} has no implementation: it came from {stored.source} as a description only, so it can be "
        "found but not called"
    )
