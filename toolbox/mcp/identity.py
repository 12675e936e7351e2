"""What a server says of itself: at the whole catalogue's endpoint ToolBox, at that of a toolset the toolset.

Pure module: no I/O.
"""

from collections.abc import Mapping

import msgspec
from msgspec import Raw, Struct

from toolbox.toolsets.schemas import Toolset
from toolbox.version import VERSION

_KEY = "io.modelcontextprotocol/serverInfo"


class ServerInfo(Struct, frozen=True):
    """A server (MCP, Implementation)."""

    name: str
    title: str
    version: str


WHOLE = ServerInfo("toolbox", "ToolBox", VERSION)


def describe_toolset(toolset: Toolset) -> ServerInfo:
    """A toolset as a server: hosts tell their servers apart by what they say of themselves."""
    return ServerInfo(f"toolbox/{toolset.name}", toolset.shown_title, toolset.definition.version)


def encode_meta(info: ServerInfo, further: Mapping[str, object] | None = None) -> Raw:
    """The `_meta` of a result of the stateless era, with what else is to be in it."""
    return Raw(msgspec.json.encode({**(further or {}), _KEY: info}))
