"""REST for operators: tools, their versions, approvals and policies."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, Router, delete, get, post, put
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIMediaType, Operation, Reference, RequestBody
from litestar.params import HeaderParameter, JSONBody, PathParameter, QueryParameter
from litestar.response import Stream

from toolbox.auth.callers import Caller
from toolbox.database import Database
from toolbox.errors import PreconditionRequired
from toolbox.problems import problem_responses
from toolbox.settings import Settings
from toolbox.tools.admin_schemas import (
    ImportReport,
    PinRequest,
    RollBackRequest,
    ToolDraft,
    ToolState,
    VersionDetail,
    VersionSummary,
    WaitingVersion,
    to_line,
    to_plain,
    to_state,
    to_waiting,
)
from toolbox.tools.bulk import export_lines, read_drafts
from toolbox.tools.catalogue import MAX_DOCUMENT_BYTES
from toolbox.tools.changes import Change, find_changes
from toolbox.tools.findings import decode, lint_now
from toolbox.tools.management import ManagedTool, ToolManager, require_match
from toolbox.tools.policies import OnChange, Pattern, read_policies, write_policies

ToolKey = Annotated[str, PathParameter(min_length=1, max_length=256, description="The tool's name, or its id.")]
VersionNumber = Annotated[int, PathParameter(ge=1, le=1_000_000_000)]
IfMatch = Annotated[
    str | None, HeaderParameter(name="If-Match", max_length=1000, description="The ETag that the change is based on.")
]

_ONE = ResponseSpec(ToolState, description="The tool; `ETag` says which state it is in")


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
    others = [
        activate_tool,
        approve_version,
        deactivate_tool,
        delete_tool,
        diff_versions,
        export_tools,
        get_tool,
        get_version,
        list_approvals,
        list_flagged,
        list_policies,
        list_versions,
        pin_tool,
        reject_version,
        replace_policies,
        roll_back_tool,
        unpin_tool,
    ]
    return Router("/", route_handlers=[one_tool, many_tools, *others], tags=["admin"])


@post(
    "/admin/tools",
    status_code=201,
    summary="Create a tool",
    responses={201: _ONE, **problem_responses(400, 409, 413, 422, 503)},
    scope="tools:write",
)
async def create_tool(
    data: JSONBody[ToolDraft], manager: NamedDependency[ToolManager], caller: NamedDependency[Caller]
) -> Response[bytes]:
    """Add a tool; it can be found by its words at once, and by its meaning when it is embedded, moments later."""
    created = await manager.create(data.to_draft(), caller.name)
    return _answer(created, 201, {"Location": f"/admin/tools/{created.tool.name}"})


@get(
    "/admin/tools/{key:str}",
    summary="Look at a tool",
    responses={200: _ONE, **problem_responses(400, 404, 503)},
    scope="tools:write",
)
async def get_tool(key: ToolKey, manager: NamedDependency[ToolManager]) -> Response[bytes]:
    """Everything about a tool, active or not."""
    return _answer(await manager.get(key))


@put(
    "/admin/tools/{key:str}",
    summary="Replace a tool",
    responses={200: _ONE, **problem_responses(400, 404, 409, 412, 413, 422, 428, 503)},
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
    return _answer(await manager.replace(key, data.to_draft(), caller.name, require_match(if_match)))


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
    responses={200: _ONE, **problem_responses(400, 404, 412, 503)},
    scope="tools:write",
)
async def activate_tool(
    key: ToolKey, manager: NamedDependency[ToolManager], caller: NamedDependency[Caller], if_match: IfMatch = None
) -> Response[bytes]:
    """Let a tool be found and called again."""
    return _answer(await manager.switch(key, caller.name, require_match(if_match), on=True))


@post(
    "/admin/tools/{key:str}/deactivate",
    status_code=200,
    summary="Switch a tool off",
    responses={200: _ONE, **problem_responses(400, 404, 412, 503)},
    scope="tools:write",
)
async def deactivate_tool(
    key: ToolKey, manager: NamedDependency[ToolManager], caller: NamedDependency[Caller], if_match: IfMatch = None
) -> Response[bytes]:
    """Let nobody find or call a tool, whatever syncs bring, until it is switched on again."""
    return _answer(await manager.switch(key, caller.name, require_match(if_match), on=False))


@get(
    "/admin/tools/{key:str}/versions",
    summary="List a tool's versions",
    responses={
        200: ResponseSpec(list[VersionSummary], description="Newest first"),
        **problem_responses(400, 404, 503),
    },
    scope="tools:write",
)
async def list_versions(key: ToolKey, manager: NamedDependency[ToolManager]) -> Response[bytes]:
    """Every definition that a tool has had or was offered, newest first."""
    return _json(await manager.list_versions(key))


@get(
    "/admin/tools/{key:str}/versions/{number:int}",
    summary="Look at a version",
    responses={200: ResponseSpec(VersionDetail, description="What it says"), **problem_responses(400, 404, 503)},
    scope="tools:write",
)
async def get_version(key: ToolKey, number: VersionNumber, manager: NamedDependency[ToolManager]) -> Response[bytes]:
    """What a version of a tool says, and how it is run."""
    found = await manager.read_version(key, number)
    return _json(
        {
            "number": number,
            "definition": found.definition,
            "implementation": found.implementation,
            "review": found.review,
        }
    )


@get(
    "/admin/tools/{key:str}/versions/{number:int}/diff",
    summary="Compare versions",
    responses={200: ResponseSpec(list[Change], description="Each difference"), **problem_responses(400, 404, 503)},
    scope="tools:write",
)
async def diff_versions(
    key: ToolKey,
    number: VersionNumber,
    manager: NamedDependency[ToolManager],
    to: Annotated[int | None, QueryParameter(ge=1, description="Compare with this version.")] = None,
) -> Response[bytes]:
    """What has changed from a version to another; without `to`, from the one in force to this one."""
    return _json(await manager.diff(key, number, to))


@post(
    "/admin/tools/{key:str}/rollback",
    status_code=200,
    summary="Roll a tool back",
    responses={200: _ONE, **problem_responses(400, 404, 412, 413, 422, 503)},
    scope="tools:write",
)
async def roll_back_tool(
    key: ToolKey,
    data: JSONBody[RollBackRequest],
    manager: NamedDependency[ToolManager],
    caller: NamedDependency[Caller],
    if_match: IfMatch = None,
) -> Response[bytes]:
    """Put an earlier version in force.

    A tool of a plugin or an upstream is pinned to it, or the next sync would undo that; what runs is what is
    installed, whatever the definition says.
    """
    return _answer(await manager.roll_back(key, data.version, caller.name, require_match(if_match)))


@post(
    "/admin/tools/{key:str}/pin",
    status_code=200,
    summary="Pin a tool to a version",
    responses={200: _ONE, **problem_responses(400, 404, 412, 413, 422, 503)},
    scope="tools:write",
)
async def pin_tool(
    key: ToolKey,
    data: JSONBody[PinRequest],
    manager: NamedDependency[ToolManager],
    caller: NamedDependency[Caller],
    if_match: IfMatch = None,
) -> Response[bytes]:
    """Keep a tool at a version: what its source offers later is kept, and not put in force."""
    return _answer(await manager.pin(key, data.version, caller.name, require_match(if_match)))


@post(
    "/admin/tools/{key:str}/unpin",
    status_code=200,
    summary="Unpin a tool",
    responses={200: _ONE, **problem_responses(400, 404, 412, 422, 503)},
    scope="tools:write",
)
async def unpin_tool(
    key: ToolKey, manager: NamedDependency[ToolManager], caller: NamedDependency[Caller], if_match: IfMatch = None
) -> Response[bytes]:
    """Let a tool follow its source again."""
    return _answer(await manager.unpin(key, caller.name, require_match(if_match)))


@get(
    "/admin/approvals",
    summary="List what waits for approval",
    responses={200: ResponseSpec(list[WaitingVersion], description="By name"), **problem_responses(503)},
    scope="tools:write",
)
async def list_approvals(
    manager: NamedDependency[ToolManager], database: NamedDependency[Database]
) -> list[WaitingVersion]:
    """The newest version of each tool that waits: what would change, and what lint finds in it."""
    return await read_approvals(manager, database)


async def read_approvals(manager: ToolManager, database: Database) -> list[WaitingVersion]:
    """What waits, with differences and findings."""
    waiting = await manager.list_approvals()
    findings = await lint_now(database, [(one.source, decode(one.definition)) for one in waiting])
    changes = [
        []
        if one.is_new
        else find_changes(
            {"definition": to_plain(one.current), "implementation": to_plain(one.current_implementation)},
            {"definition": to_plain(one.definition), "implementation": to_plain(one.implementation)},
        )
        for one in waiting
    ]
    return [to_waiting(*parts) for parts in zip(waiting, changes, findings, strict=True)]


@post(
    "/admin/tools/{key:str}/versions/{number:int}/approve",
    status_code=200,
    summary="Approve a version",
    responses={200: _ONE, **problem_responses(400, 404, 409, 422, 503)},
    scope="tools:write",
)
async def approve_version(
    key: ToolKey, number: VersionNumber, manager: NamedDependency[ToolManager], caller: NamedDependency[Caller]
) -> Response[bytes]:
    """Put a version in force that was held back."""
    return _answer(await manager.approve(key, number, caller.name))


@post(
    "/admin/tools/{key:str}/versions/{number:int}/reject",
    status_code=200,
    summary="Reject a version",
    responses={200: _ONE, **problem_responses(400, 404, 409, 503)},
    scope="tools:write",
)
async def reject_version(
    key: ToolKey, number: VersionNumber, manager: NamedDependency[ToolManager], caller: NamedDependency[Caller]
) -> Response[bytes]:
    """Keep a version out that was held back; offered again, it does not wait again."""
    return _answer(await manager.reject(key, number, caller.name))


@get(
    "/admin/findings",
    summary="List tools in which lint has found something",
    responses={200: ResponseSpec(list[ToolState], description="By name"), **problem_responses(503)},
    scope="tools:write",
)
async def list_flagged(manager: NamedDependency[ToolManager]) -> Response[bytes]:
    """Tools whose definition is a reason to look: hidden instructions or characters, imitation, redirection, length."""
    return _json([to_state(managed) for managed in await manager.list_flagged()])


@get("/admin/policies", summary="List policies", responses=problem_responses(503), scope="tools:write")
async def list_policies(database: NamedDependency[Database]) -> dict[str, OnChange]:
    """By source, or pattern of sources: whether new and changed tools are in force at once, or wait for approval."""
    return (await read_policies(database)).by_source


@put("/admin/policies", summary="Replace policies", responses=problem_responses(400, 413, 503), scope="tools:write")
async def replace_policies(
    data: JSONBody[dict[Pattern, OnChange]], database: NamedDependency[Database], caller: NamedDependency[Caller]
) -> dict[str, OnChange]:
    """Set all policies at once, as `{"upstream:*": "hold"}`; sources without one are accepted."""
    await write_policies(database, data, caller.name)
    return data


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


def _answer(managed: ManagedTool, status: int = 200, headers: dict[str, str] | None = None) -> Response[bytes]:
    return _json(to_state(managed), status, {"ETag": managed.etag, **(headers or {})})


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response[bytes]:
    body = msgspec.json.encode(value)
    return Response(body, status_code=status, media_type="application/json", headers=headers or {})
