"""Toolsets as the official MCP registry describes servers (API v0.1, server schema 2025-12-11). Pure module: no I/O."""

import ipaddress
import re
from base64 import b64decode, urlsafe_b64encode
from datetime import datetime
from typing import Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, Struct, UnsetType

from toolbox.errors import InvalidRequest
from toolbox.toolsets.schemas import Toolset

SCHEMA_URL = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"
_DOMAIN = re.compile(r"[a-zA-Z0-9-]+(\.[a-zA-Z0-9-]+)+")
PRIVATE_NAMESPACE = "local.toolbox"
"""Names servers that are reached by no name of the DNS; `local` is nobody's."""
MAX_TEXT = 100


class Remote(Struct, frozen=True, rename="camel"):
    """Where a server is reached."""

    url: str
    type: str = "streamable-http"
    supported_protocol_versions: tuple[str, ...] | UnsetType = UNSET


class ServerDetail(Struct, frozen=True, kw_only=True):
    """A server."""

    schema: str = msgspec.field(default=SCHEMA_URL, name="$schema")
    name: str
    title: str
    description: str
    version: str
    remotes: tuple[Remote, ...]


class OfficialMeta(Struct, frozen=True, kw_only=True, rename="camel"):
    """What the registry itself knows of a server."""

    status: Literal["active", "deleted"]
    status_changed_at: datetime
    published_at: datetime
    updated_at: datetime
    is_latest: bool = True
    """A toolset has one version at a time: the one that its endpoint serves."""


class ToolsetMeta(Struct, frozen=True, rename="camel"):
    """What only ToolBox says of a server."""

    tools: int
    shows_tools: bool
    revision: int


class RegistryMeta(Struct, frozen=True):
    """Both, under their names."""

    official: OfficialMeta = msgspec.field(name="io.modelcontextprotocol.registry/official")
    toolset: ToolsetMeta = msgspec.field(name="dev.toolbox/toolset")


class ServerResponse(Struct, frozen=True):
    """A server in an answer."""

    server: ServerDetail
    meta: RegistryMeta = msgspec.field(name="_meta")


class ListMetadata(Struct, frozen=True, rename="camel"):
    """How many servers are in an answer, and what leads to the next ones."""

    count: int
    next_cursor: str | UnsetType = UNSET


class ServerList(Struct, frozen=True):
    """Servers."""

    servers: list[ServerResponse]
    metadata: ListMetadata


def to_server(toolset: Toolset, base_url: str) -> ServerResponse:
    """A toolset as a registry describes it."""
    detail = ServerDetail(
        name=f"{to_namespace(base_url)}/{toolset.name}",
        title=shorten(toolset.shown_title),
        description=shorten(toolset.definition.description or f"{toolset.shown_title}: a toolset of ToolBox"),
        version=toolset.definition.version,
        remotes=(Remote(endpoint_url(base_url, toolset.name)),),
    )
    official = OfficialMeta(
        status="deleted" if toolset.deleted_at else "active",
        status_changed_at=toolset.deleted_at or toolset.created_at,
        published_at=toolset.created_at,
        updated_at=toolset.updated_at,
    )
    own = ToolsetMeta(toolset.tools, toolset.definition.is_direct, toolset.revision)
    return ServerResponse(detail, RegistryMeta(official, own))


def to_list(toolsets: list[Toolset], base_url: str, limit: int | None = None) -> ServerList:
    """An answer with at most `limit` servers, of a list that holds one more if there are more."""
    shown = toolsets if limit is None else toolsets[:limit]
    cursor = write_cursor(shown[-1].name) if len(toolsets) > len(shown) else UNSET
    return ServerList([to_server(toolset, base_url) for toolset in shown], ListMetadata(len(shown), cursor))


def endpoint_url(base_url: str, toolset_name: str) -> str:
    """Where the MCP endpoint of a toolset is."""
    return f"{base_url.rstrip('/')}/toolsets/{toolset_name}/mcp"


def to_namespace(base_url: str) -> str:
    """Names under which servers at a URL are known: its host, the largest domain first."""
    host = (urlsplit(base_url).hostname or "").rstrip(".")
    try:
        name = host.encode("idna").decode()
    except UnicodeError:
        return PRIVATE_NAMESPACE
    if not _DOMAIN.fullmatch(name) or _is_address(name):
        return PRIVATE_NAMESPACE
    return ".".join(reversed(name.split(".")))


def shorten(text: str) -> str:
    """Text of the length that registries and server cards take, in one line."""
    line = " ".join(text.split())
    return line if len(line) <= MAX_TEXT else f"{line[: MAX_TEXT - 1].rstrip()}…"


def write_cursor(name: str) -> str:
    """What leads to the servers behind a name."""
    return urlsafe_b64encode(name.encode()).decode()


def read_cursor(cursor: str) -> str:
    """The name behind which to go on.

    Raises:
        InvalidRequest: The cursor is none of ours.
    """
    try:
        return b64decode(cursor, altchars=b"-_", validate=True).decode("ascii")
    except ValueError as error:
        raise InvalidRequest(f"cursor {cursor[:100]!r} is none of ours: start again without one") from error


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
