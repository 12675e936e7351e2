"""Server cards (SEP-2127) and the catalogue that lists them: what a client may know before it connects.

Cards say where a server is and which versions it speaks; what tools it has is asked of the server itself.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import msgspec
from litestar import Request, Response, Router, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct

from toolbox.auth.callers import Caller
from toolbox.auth.metadata import METADATA_PATH
from toolbox.mcp.versions import HANDSHAKE_VERSIONS, STATELESS_VERSIONS
from toolbox.settings import Settings
from toolbox.toolsets.registry import Remote, endpoint_url, shorten, to_namespace, to_server
from toolbox.toolsets.routes import read_base_url
from toolbox.toolsets.schemas import RESERVED_NAME
from toolbox.toolsets.service import ToolsetService, toolset_not_found
from toolbox.version import VERSION

SCHEMA_URL = "https://static.modelcontextprotocol.io/schemas/v1/server-card.schema.json"
_CARD = "/mcp/server-card"
CARD_TYPE = "application/mcp-server-card+json"
CATALOGUE_TYPE = "application/ai-catalog+json"

DESCRIPTION = "ToolBox: find and call any of many tools through find_tool and call_tool."

PUBLIC_HEADERS: Mapping[str, str] = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET",
    "Access-Control-Allow-Headers": "Content-Type",
    "Cache-Control": "public, max-age=300",
}
"""Pages of others may read these, where the operator has made ToolBox public."""


class ServerCard(Struct, frozen=True, kw_only=True):
    """A server, before anybody connects to it."""

    schema: str = msgspec.field(default=SCHEMA_URL, name="$schema")
    name: str
    version: str
    title: str
    description: str
    remotes: tuple[Remote, ...]


class CatalogueEntry(Struct, frozen=True, kw_only=True, rename="camel"):
    """Where a card is."""

    identifier: str
    display_name: str
    type: str = CARD_TYPE
    url: str


class Host(Struct, frozen=True, rename="camel"):
    """Who publishes the catalogue."""

    display_name: str = "ToolBox"


class Catalogue(Struct, frozen=True, kw_only=True, rename="camel"):
    """All cards of this ToolBox."""

    spec_version: str = "1.0"
    host: Host = Host()
    entries: list[CatalogueEntry]


@get("/mcp/server-card", scope="public")
async def get_card(request: Request[Any, Any, Any], settings: NamedDependency[Settings]) -> Response[bytes]:
    """The card of ToolBox as a whole."""
    return _answer(_create_card(read_base_url(request, settings)), CARD_TYPE, settings)


@get("/toolsets/{name:str}/mcp/server-card", scope="public")
async def get_toolset_card(
    request: Request[Any, Any, Any],
    name: FromPath[str],
    toolsets: NamedDependency[ToolsetService],
    settings: NamedDependency[Settings],
    caller: NamedDependency[Caller],
) -> Response[bytes]:
    """The card of a toolset."""
    if not caller.sees_toolset(name):
        raise toolset_not_found(name)
    server = to_server(await toolsets.get(name), read_base_url(request, settings)).server
    card = ServerCard(
        name=server.name,
        version=server.version,
        title=server.title,
        description=server.description,
        remotes=_create_remotes(server.remotes[0].url),
    )
    return _answer(card, CARD_TYPE, settings)


@get("/.well-known/ai-catalog.json", scope="public")
async def get_catalogue(
    request: Request[Any, Any, Any],
    toolsets: NamedDependency[ToolsetService],
    settings: NamedDependency[Settings],
    caller: NamedDependency[Caller],
) -> Response[bytes]:
    """Where all cards are that the caller may see."""
    base_url = read_base_url(request, settings)
    host = urlsplit(base_url).hostname or ""
    entries = [_create_entry(host, RESERVED_NAME, "ToolBox", f"{base_url}/mcp")]
    for toolset in await toolsets.repository.list_toolsets(names=caller.within):
        url = endpoint_url(base_url, toolset.name)
        entries.append(_create_entry(host, toolset.name, shorten(toolset.shown_title), url))
    return _answer(Catalogue(entries=entries), CATALOGUE_TYPE, settings)


def is_discovery(path: str) -> bool:
    """Whether a path leads to a card, or to their catalogue."""
    return path.startswith(("/.well-known/ai-catalog.json", METADATA_PATH)) or path.rstrip("/").endswith(
        "/mcp/server-card"
    )


def _create_card(base_url: str) -> ServerCard:
    return ServerCard(
        name=f"{to_namespace(base_url)}/{RESERVED_NAME}",
        version=VERSION,
        title="ToolBox",
        description=DESCRIPTION,
        remotes=_create_remotes(f"{base_url}/mcp"),
    )


def _create_remotes(url: str) -> tuple[Remote, ...]:
    return (Remote(url, supported_protocol_versions=(*STATELESS_VERSIONS, *HANDSHAKE_VERSIONS)),)


def _create_entry(host: str, name: str, title: str, url: str) -> CatalogueEntry:
    publisher = "localhost" if ":" in host else host  # a colon ends a part of the identifier
    return CatalogueEntry(identifier=f"urn:air:{publisher}:{name}", display_name=title, url=f"{url}/server-card")


def _answer(document: Struct, media_type: str, settings: Settings) -> Response[bytes]:
    headers = dict(PUBLIC_HEADERS) if settings.public_url else {}
    return Response(msgspec.json.encode(document), status_code=HTTPStatus.OK, media_type=media_type, headers=headers)


router = Router("/", route_handlers=[get_card, get_toolset_card, get_catalogue], include_in_schema=False)
