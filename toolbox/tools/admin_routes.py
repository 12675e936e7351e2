"""REST for operators: tools, one by one and in bulk."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, Router, delete, get, post, put
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIMediaType, Operation, Reference, RequestBody
from litestar.params import JSONBody, PathParameter, QueryParameter
from litestar.response import Stream

from toolbox.answers import IfMatch, answer_json
from toolbox.auth.callers import Caller
from toolbox.errors import PreconditionRequired
from toolbox.problems import problem_responses
from toolbox.settings import Settings
from toolbox.tools.admin_schemas import ImportReport, ToolDraft, ToolState, to_line, to_state
from toolbox.tools.bulk import export_lines, read_drafts
from toolbox.tools.catalogue import MAX_DOCUMENT_BYTES
from toolbox.tools.managed import ManagedTool, require_match
from toolbox.tools.management import ToolManager

ToolKey = Annotated[str, PathParameter(min_length=1, max_length=256, description="The tool's name, or its id.")]

ONE_TOOL = ResponseSpec(ToolState, description="The tool; `ETag` says which state it is in")


def create_admin_router(settings: Settings) -> Router:
    """The routes; bodies of one tool may be as large as MAX_TOOL_REGISTRATION_SIZE."""
    one_tool = Router(
        "/",
        route_handlers=[create_tool, replace_tool],
        request_max_body_size=settings.max_tool_registration_size,
        opt={"size_setting": "MAX_TOOL_REGISTRATION_SIZE"},
    )
    many_tools = Router(
        "/",
        route_handlers=[import_tools],
        request_max_body_size=MAX_DOCUMENT_BYTES,
    )
    others = [activate_tool, deactivate_tool, delete_tool, export_tools, get_tool]
    return Router("/", route_handlers=[one_tool, many_tools, *others], tags=["admin"])


@post(
    "/admin/tools",
    status_code=201,
    summary="Create a tool",
    responses={201: ONE_TOOL, **problem_responses(400, 409, 413, 422, 503)},
    scope="tools:write",
)
async def create_tool(
    data: JSONBody[ToolDraft], manager: NamedDependency[ToolManager], caller: NamedDependency[Caller]
) -> Response[bytes]:
    """Add a tool; it can be found by its words at once, and by its meaning when it is embedded, moments later."""
    created = await manager.create(data.to_draft(), caller.name)
    return answer_tool(created, 201, {"Location": f"/admin/tools/{created.tool.name}"})


@get(
    "/admin/tools/{key:str}",
    summary="Look at a tool",
    responses={200: ONE_TOOL, **problem_responses(400, 404, 503)},
    scope="tools:write",
)
async def get_tool(key: ToolKey, manager: NamedDependency[ToolManager]) -> Response[bytes]:
    """Everything about a tool, active or not."""
    return answer_tool(await manager.get(key))


@put(
    "/admin/tools/{key:str}",
    summary="Replace a tool",
    responses={200: ONE_TOOL, **problem_responses(400, 404, 409, 412, 413, 422, 428, 503)},
    scope="tools:write",
)
async def replace_tool(
    key: ToolKey,
    data: JSONBody[ToolDraft],
    manager: NamedDependency[ToolManager],
    caller: NamedDependency[Caller],
    if_match: IfMatch = None,
) -> Response[bytes]:
    """Put another definition in the place of a tool's, as a new version; `If-Match` is needed, `*` matches anything."""
    if if_match is None:
        raise PreconditionRequired(
            "say in If-Match which state you have seen: the ETag of GET, or * for whatever it is"
        )
    return answer_tool(await manager.replace(key, data.to_draft(), caller.name, require_match(if_match)))


@delete(
    "/admin/tools/{key:str}",
    status_code=204,
    summary="Delete a tool",
    responses=problem_responses(400, 404, 409, 412, 503),
    scope="tools:write",
)
async def delete_tool(
    key: ToolKey, manager: NamedDependency[ToolManager], caller: NamedDependency[Caller], if_match: IfMatch = None
) -> None:
    """Delete a tool with its versions; the history of its calls stays."""
    await manager.delete(key, caller.name, require_match(if_match))


@post(
    "/admin/tools/{key:str}/activate",
    status_code=200,
    summary="Switch a tool on",
    responses={200: ONE_TOOL, **problem_responses(400, 404, 412, 503)},
    scope="tools:write",
)
async def activate_tool(
    key: ToolKey, manager: NamedDependency[ToolManager], caller: NamedDependency[Caller], if_match: IfMatch = None
) -> Response[bytes]:
    """Let a tool be found and called again."""
    return answer_tool(await manager.switch(key, caller.name, require_match(if_match), on=True))


@post(
    "/admin/tools/{key:str}/deactivate",
    status_code=200,
    summary="Switch a tool off",
    responses={200: ONE_TOOL, **problem_responses(400, 404, 412, 503)},
    scope="tools:write",
)
async def deactivate_tool(
    key: ToolKey, manager: NamedDependency[ToolManager], caller: NamedDependency[Caller], if_match: IfMatch = None
) -> Response[bytes]:
    """Let nobody find or call a tool, whatever syncs bring, until it is switched on again."""
    return answer_tool(await manager.switch(key, caller.name, require_match(if_match), on=False))


@dataclass
class _TakesLines(Operation):
    """What the documentation says of a body that is read line by line."""

    def __post_init__(self) -> None:
        line = Reference(f"#/components/schemas/{ToolDraft.__name__}")
        content = {"application/jsonl": OpenAPIMediaType(schema=line)}
        self.request_body = RequestBody(content=content, required=True, description="One tool a line.")


@post(
    "/admin/tools/import",
    operation_class=_TakesLines,
    status_code=200,
    summary="Import tools",
    responses={
        200: ResponseSpec(ImportReport, description="What was written"),
        **problem_responses(400, 409, 413, 422, 503),
    },
    scope="tools:write",
)
async def import_tools(
    request: Request[Any, Any, Any],
    manager: NamedDependency[ToolManager],
    settings: NamedDependency[Settings],
    caller: NamedDependency[Caller],
    source: Annotated[str, QueryParameter(min_length=1, max_length=256, description="Where they come from.")] = "admin",
) -> ImportReport:
    """Create or replace the tools of a source, one JSON object a line, all of them or none.

    A line is what `GET /admin/tools/export` has: the members of a tool as `POST /admin/tools` takes it. Tools of the
    source that are in no line stay as they are.
    """
    drafts = read_drafts(await request.body(), max_tool_bytes=settings.max_tool_registration_size)
    added, updated = await manager.write_all(drafts, caller.name, source=source)
    return ImportReport(source, added, updated, len(drafts) - len(added) - len(updated))


@get(
    "/admin/tools/export",
    summary="Export tools",
    responses={
        200: ResponseSpec(ToolDraft, media_type="application/jsonl", description="One a line"),
        **problem_responses(400, 503),
    },
    scope="tools:write",
)
async def export_tools(
    manager: NamedDependency[ToolManager],
    source: Annotated[str | None, QueryParameter(max_length=256, description="Only tools from there.")] = None,
) -> Stream:
    """All tools with how they are run, one JSON object a line, in the order of their ids; secrets by name only."""
    exported = export_lines(manager, source)
    first = await anext(exported, None)  # what is refused must be refused before the answer begins

    async def lines() -> AsyncIterator[bytes]:
        if first is not None:
            yield msgspec.json.encode(to_line(first)) + b"\n"
        async for managed in exported:
            yield msgspec.json.encode(to_line(managed)) + b"\n"

    return Stream(lines(), media_type="application/jsonl")


def answer_tool(managed: ManagedTool, status: int = 200, headers: dict[str, str] | None = None) -> Response[bytes]:
    """A tool as operators see it, with its ETag."""
    return answer_json(to_state(managed), status, {"ETag": managed.etag, **(headers or {})})
