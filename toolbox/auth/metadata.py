"""Where clients get tokens for ToolBox (RFC 9728): one document for each endpoint, at its path and at the root."""

from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Request, Response, Router, get
from litestar.di import NamedDependency
from litestar.types import Scope
from msgspec import Struct

from toolbox.auth.scopes import PUBLIC, SCOPES
from toolbox.errors import NotFound
from toolbox.settings import Settings

METADATA_PATH = "/.well-known/oauth-protected-resource"


class ResourceMetadata(Struct, frozen=True):
    """What a client must know to get a token."""

    resource: str
    authorization_servers: list[str]
    scopes_supported: list[str]
    bearer_methods_supported: tuple[str, ...] = ("header",)
    resource_name: str = "ToolBox"


@get(
    [METADATA_PATH, f"{METADATA_PATH}/mcp", METADATA_PATH + "/toolsets/{name:str}/mcp"],
    include_in_schema=False,
    scope=PUBLIC,
)
async def get_metadata(request: Request[Any, Any, Any], settings: NamedDependency[Settings]) -> Response[bytes]:
    """The document of one endpoint, or of ToolBox as a whole."""
    if settings.jwt_issuer is None:
        raise NotFound("no authorization server issues tokens for this ToolBox: callers need a key, if anything")
    path = str(request.scope["path"]).removeprefix(METADATA_PATH).rstrip("/")
    document = ResourceMetadata(
        resource=f"{find_base_url(request.scope, settings)}{path}",
        authorization_servers=[settings.jwt_issuer],
        scopes_supported=list(SCOPES),
    )
    headers = {"Access-Control-Allow-Origin": "*", "Cache-Control": "public, max-age=300"}
    body = msgspec.json.encode(document)
    return Response(body, status_code=HTTPStatus.OK, media_type="application/json", headers=headers)


def find_base_url(scope: Scope, settings: Settings) -> str:
    """The URL under which a client reaches ToolBox."""
    if settings.public_url:
        return settings.public_url.rstrip("/")
    host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")
    return f"{scope['scheme']}://{host}"


router = Router("/", route_handlers=[get_metadata])
