"""The fixtures of MCP's conformance suite, written as any third party would write a plugin.

Names and answers are the suite's (@modelcontextprotocol/conformance, descriptions of its server scenarios).
"""

from collections.abc import Iterable
from typing import Any

import toolbox
from toolbox_conformance import asking, content, headers, tasks, telling

__all__ = ["toolbox_tools"]


@toolbox.hookimpl
def toolbox_tools() -> Iterable[Any]:
    """All of them."""
    return [*content.TOOLS, *telling.TOOLS, *asking.TOOLS, *headers.TOOLS, *tasks.TOOLS]
