"""What a plugin may do: the hooks that ToolBox calls. A plugin implements any of them with `@toolbox.hookimpl`."""

from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from toolbox.definitions import Upstream
    from toolbox.embeddings.base import Embedder
    from toolbox.settings import Settings
    from toolbox.tools.base import Tool

hookspec = pluggy.HookspecMarker("toolbox")


@hookspec
def toolbox_tools() -> "Iterable[Callable[..., Any] | Tool]":  # type: ignore[empty-body]
    """Offer tools: typed functions, or objects that are a `toolbox.Tool`. Called once when the plugin is loaded."""


@hookspec
def toolbox_embedders() -> "Iterable[Embedder]":  # type: ignore[empty-body]
    """Offer embedding models; EMBEDDING_MODEL chooses one of all that are offered, by its name."""


@hookspec
def toolbox_resources() -> "Iterable[Callable[..., Any]]":  # type: ignore[empty-body]
    """Offer resources and resource templates: functions with `@toolbox.resource`. Called once at load."""


@hookspec
def toolbox_prompts() -> "Iterable[Callable[..., Any]]":  # type: ignore[empty-body]
    """Offer prompts: typed functions, to which `@toolbox.prompt` may add more. Called once at load."""


@hookspec
def toolbox_skills() -> Iterable[Path]:  # type: ignore[empty-body]
    """Offer skills: folders with a SKILL.md, named as it says. Called once at load, when all their files are read."""


@hookspec
def toolbox_upstreams() -> "Iterable[Upstream]":  # type: ignore[empty-body]
    """Offer the tools of MCP servers: `toolbox.Upstream` objects. Called once at load; they are run when needed."""


@hookspec
def toolbox_lifespan(settings: "Settings") -> AbstractAsyncContextManager[None]:  # type: ignore[empty-body]
    """Open what the tools need before the first call, and close it after the last one."""
