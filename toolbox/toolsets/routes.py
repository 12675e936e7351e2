"""GET /v0.1/servers: the read API of the official MCP registry, over the toolsets of this ToolBox.

Errors are `{"error": ...}` here, as that API has them.
"""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, Router, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Meta, Struct

from toolbox.auth.callers import Caller
from toolbox.errors import InvalidRequest, NotFound, ToolboxError
from toolbox.plain_words import explain
from toolbox.settings import Settings
from toolbox.toolsets.registry import read_cursor, to_list, to_namespace, to_server
from toolbox.toolsets.schemas import Toolset
from toolbox.toolsets.service import ToolsetService


class ListQuery(Struct, frozen=True):
    """What may be asked of the list."""

    cursor: str = ""
    limit: Annotated[int, Meta(ge=1, le=100)] = 30
    search: Annotated[str, Meta(max_length=256)] = ""
    updated_since: Annotated[datetime, Meta(tz=True)] | None = None
    version: str | None = None
    include_deleted: bool = False


class VersionsQuery(Struct, frozen=True):
    """What may be asked of one server."""

    include_deleted: bool = False


@get("/v0.1/servers", scope="tools:read")
async def list_servers(
    request: Request[Any, Any, Any],
    toolsets: NamedDependency[ToolsetService],
    settings: NamedDependency[Settings],
    caller: NamedDependency[Caller],
) -> Response[bytes]:
    """Servers in the order of their names; with `updated_since`, those that were deleted too."""
    query = _read_query(request, ListQuery)
    base_url = read_base_url(request, settings)
    found = await toolsets.repository.list_toolsets(
        after=read_cursor(query.cursor) if query.cursor else "",
        limit=query.limit + 1,
        search=query.search,
        prefix=f"{to_namespace(base_url)}/",
        version=None if query.version == "latest" else query.version,
        updated_since=query.updated_since,
        with_deleted=query.include_deleted or query.updated_since is not None,
        names=caller.within,
    )
    return _json(to_list(found, base_url, query.limit))


@get("/v0.1/servers/{namespace:str}/{name:str}/versions", scope="tools:read")
async def list_versions(
    request: Request[Any, Any, Any],
    namespace: FromPath[str],
    name: FromPath[str],
    toolsets: NamedDependency[ToolsetService],
    settings: NamedDependency[Settings],
    caller: NamedDependency[Caller],
) -> Response[bytes]:
    """The versions of one server: there is one. In the URL its name is one segment, `namespace%2Fname`."""
    toolset = await _find(request, namespace, name, toolsets, settings, caller)
    return _json(to_list([toolset], read_base_url(request, settings)))


@get("/v0.1/servers/{namespace:str}/{name:str}/versions/{version:str}", scope="tools:read")
async def get_version(
    request: Request[Any, Any, Any],
    namespace: FromPath[str],
    name: FromPath[str],
    version: FromPath[str],
    toolsets: NamedDependency[ToolsetService],
    settings: NamedDependency[Settings],
    caller: NamedDependency[Caller],
) -> Response[bytes]:
    """One version of a server, or the `latest`."""
    toolset = await _find(request, namespace, name, toolsets, settings, caller)
    if version not in {"latest", toolset.definition.version}:
        raise NotFound(f"{name[:100]!r} has no version {version[:100]!r}; it is at {toolset.definition.version}")
    return _json(to_server(toolset, read_base_url(request, settings)))


def read_base_url(request: Request[Any, Any, Any], settings: Settings) -> str:
    """The URL under which clients reach ToolBox."""
    return (settings.public_url or str(request.base_url)).rstrip("/")


async def _find(
    request: Request[Any, Any, Any],
    namespace: str,
    name: str,
    toolsets: ToolsetService,
    settings: Settings,
    caller: Caller,
) -> Toolset:
    query = _read_query(request, VersionsQuery)
    if namespace == to_namespace(read_base_url(request, settings)) and caller.sees_toolset(name):
        found = await toolsets.repository.get_toolset(name, with_deleted=query.include_deleted)
        if found:
            return found
    raise NotFound(f"there is no server {f'{namespace}/{name}'[:200]!r} here; /v0.1/servers lists those that there are")


def _read_query(request: Request[Any, Any, Any], shape: type[Any]) -> Any:
    given = {name: value for name, value in request.query_params.items() if value != ""}
    if "updated_since" in given:
        given["updated_since"] = given["updated_since"].replace(" ", "+")  # a plus sign that nobody has escaped
    try:
        return msgspec.convert(given, shape, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidRequest(explain(error, shape, "query")) from error


def _json(value: Struct) -> Response[bytes]:
    return Response(msgspec.json.encode(value), media_type="application/json")


def _to_error(_request: Request[Any, Any, Any], error: ToolboxError) -> Response[bytes]:
    """An error in the shape of the registry's API."""
    headers = {"Retry-After": "1"} if error.status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    body = msgspec.json.encode({"error": error.message})
    return Response(body, status_code=error.status, media_type="application/json", headers=headers)


# The document that describes these routes is the registry's own, so ours leaves them out.
router = Router(
    "/",
    route_handlers=[list_servers, list_versions, get_version],
    exception_handlers={ToolboxError: _to_error},
    include_in_schema=False,
)
