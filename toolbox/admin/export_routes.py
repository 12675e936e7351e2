"""REST for operators: everything that they look after as one JSON document, without a secret, and back."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from litestar import Request, Router, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema
from litestar.params import QueryParameter
from litestar.response import Stream

from toolbox.admin.documents import FORMAT, DocumentReport, Importer, read_document
from toolbox.auth.callers import Caller
from toolbox.auth.service import KeyService
from toolbox.database import Database
from toolbox.problems import problem_responses
from toolbox.tools.admin_schemas import to_line
from toolbox.tools.bulk import export_lines
from toolbox.tools.catalogue import MAX_DOCUMENT_BYTES
from toolbox.tools.management import ToolManager
from toolbox.tools.policies import read_policies
from toolbox.toolsets.service import ToolsetService
from toolbox.upstreams.masking import mask
from toolbox.upstreams.service import UpstreamService
from toolbox.version import VERSION


@dataclass
class _TakesDocument(Operation):
    """What the documentation says of a body that is read in parts."""

    def __post_init__(self) -> None:
        content = {"application/json": OpenAPIMediaType(schema=Schema(type=OpenAPIType.OBJECT))}
        self.request_body = RequestBody(content=content, required=True, description="As an export has it.")


@get(
    "/admin/export",
    summary="Export everything",
    responses={
        200: ResponseSpec(
            dict[str, Any],
            generate_examples=False,
            media_type="application/json",
            description="One document, tools last",
        ),
        **problem_responses(503),
    },
    scope="tools:write",
)
async def export_all(
    database: NamedDependency[Database],
    manager: NamedDependency[ToolManager],
    toolsets: NamedDependency[ToolsetService],
    upstreams: NamedDependency[UpstreamService],
    keys: NamedDependency[KeyService],
    caller: NamedDependency[Caller],
) -> Stream:
    """Tools with how they are run, toolsets, policies; upstreams and keys' metadata for callers who may manage these.

    Values of secrets, keys and upstreams' variables are not in it. `POST /admin/import` takes it; `toolbox backup` is
    what brings a whole ToolBox back.
    """
    head: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "made_at": datetime.now(UTC),
        "policies": (await read_policies(database)).by_source,
        "toolsets": {one.name: one.definition for one in await toolsets.repository.list_toolsets()},
    }
    if "upstreams:write" in caller.scopes:
        stored = await upstreams.repository.read_all()
        head["upstreams"] = [{"origin": one.origin, "config": mask(one.upstream)} for one in stored.values()]
    if "keys:write" in caller.scopes:
        head["keys"] = await _read_keys(keys)

    async def document() -> AsyncIterator[bytes]:
        yield msgspec.json.encode(head)[:-1] + b',"tools":['
        separator = b""
        async for managed in export_lines(manager, None):
            yield separator + msgspec.json.encode(to_line(managed) | {"source": managed.tool.source})
            separator = b","
        yield b"]}"

    return Stream(document(), media_type="application/json")


async def _read_keys(keys: KeyService) -> list[Any]:
    found = list[Any]()
    while page := await keys.repository.list_keys(after=found[-1].name if found else ""):
        found += page
    return found


@post(
    "/admin/import",
    operation_class=_TakesDocument,
    status_code=200,
    summary="Import everything",
    responses={
        200: ResponseSpec(DocumentReport, generate_examples=False, description="What was done, or would be"),
        **problem_responses(400, 409, 413, 422, 503),
    },
    scope="tools:write",
)
async def import_all(
    request: Request[Any, Any, Any],
    manager: NamedDependency[ToolManager],
    toolsets: NamedDependency[ToolsetService],
    upstreams: NamedDependency[UpstreamService],
    keys: NamedDependency[KeyService],
    caller: NamedDependency[Caller],
    dry_run: Annotated[bool, QueryParameter(description="Only say.")] = False,
) -> DocumentReport:
    """Bring in what `GET /admin/export` gives, or any part of it, in one transaction: all of it or nothing.

    What has the same name is replaced, other things stay. Tools of plugins and upstreams come with these: of them, only
    whether they are switched off is taken. Keys come without a secret, until they are rotated.
    """
    document, drafts = read_document(await request.body())
    return await Importer(manager, toolsets, upstreams, keys).bring_in(document, drafts, caller, dry_run=dry_run)


router = Router("/", route_handlers=[export_all, import_all], request_max_body_size=MAX_DOCUMENT_BYTES, tags=["admin"])
