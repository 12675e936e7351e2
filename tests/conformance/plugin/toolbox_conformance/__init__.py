"""The fixtures of MCP's conformance suite, written as any third party would write a plugin.

Names and answers are the suite's (@modelcontextprotocol/conformance, descriptions of its server scenarios).
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import toolbox
from toolbox_conformance import asking, content, headers, prompts, resources, tasks, telling

__all__ = ["toolbox_prompts", "toolbox_resources", "toolbox_skills", "toolbox_tools"]


@toolbox.hookimpl
def toolbox_tools() -> Iterable[Any]:
    """All of them."""
    return [*content.TOOLS, *telling.TOOLS, *asking.TOOLS, *headers.TOOLS, *tasks.TOOLS]


@toolbox.hookimpl
def toolbox_resources() -> Iterable[Callable[..., Any]]:
    """All of them."""
    return resources.RESOURCES


@toolbox.hookimpl
def toolbox_prompts() -> Iterable[Callable[..., Any]]:
    """All of them."""
    return prompts.PROMPTS


@toolbox.hookimpl
def toolbox_skills() -> Iterable[Path]:
    """The one that there is."""
    return (Path(__file__).parent / "skills").iterdir()
