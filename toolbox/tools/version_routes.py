"""REST for operators: the versions of a tool, compared, rolled back to and pinned."""

from typing import Annotated

from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody, PathParameter, QueryParameter

from toolbox.answers import IfMatch, answer_json
from toolbox.auth.callers import Caller
from toolbox.problems import problem_responses
from toolbox.tools.admin_routes import ONE_TOOL, ToolKey, answer_tool
from toolbox.tools.admin_schemas import PinRequest, RollBackRequest, VersionDetail, VersionSummary
from toolbox.tools.changes import Change
from toolbox.tools.managed import require_match
from toolbox.tools.versions import Versions

VersionNumber = Annotated[int, PathParameter(ge=1, le=1_000_000_000)]


@get(
    "/admin/tools/{key:str}/versions",
    summary="List a tool's versions",
    responses={
        200: ResponseSpec(list[VersionSummary], description="Newest first"),
        **problem_responses(400, 404, 503),
    },
    scope="tools:write",
)
async def list_versions(key: ToolKey, versions: NamedDependency[Versions]) -> Response[bytes]:
    """Every definition that a tool has had or was offered, newest first."""
    return answer_json(await versions.list_versions(key))


@get(
    "/admin/tools/{key:str}/versions/{number:int}",
    summary="Look at a version",
    responses={200: ResponseSpec(VersionDetail, description="What it says"), **problem_responses(400, 404, 503)},
    scope="tools:write",
)
async def get_version(key: ToolKey, number: VersionNumber, versions: NamedDependency[Versions]) -> Response[bytes]:
    """What a version of a tool says, and how it is run."""
    found = await versions.read_version(key, number)
    return answer_json(
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
    versions: NamedDependency[Versions],
    to: Annotated[int | None, QueryParameter(ge=1, description="Compare with this version.")] = None,
) -> Response[bytes]:
    """What has changed from a version to another; without `to`, from the one in force to this one."""
    return answer_json(await versions.diff(key, number, to))


@post(
    "/admin/tools/{key:str}/rollback",
    status_code=200,
    summary="Roll a tool back",
    responses={200: ONE_TOOL, **problem_responses(400, 404, 412, 413, 422, 503)},
    scope="tools:write",
)
async def roll_back_tool(
    key: ToolKey,
    data: JSONBody[RollBackRequest],
    versions: NamedDependency[Versions],
    caller: NamedDependency[Caller],
    if_match: IfMatch = None,
) -> Response[bytes]:
    """Put an earlier version in force.

    A tool of a plugin or an upstream is pinned to it, or the next sync would undo that; what runs is what is
    installed, whatever the definition says.
    """
    return answer_tool(await versions.roll_back(key, data.version, caller.name, require_match(if_match)))


@post(
    "/admin/tools/{key:str}/pin",
    status_code=200,
    summary="Pin a tool to a version",
    responses={200: ONE_TOOL, **problem_responses(400, 404, 412, 413, 422, 503)},
    scope="tools:write",
)
async def pin_tool(
    key: ToolKey,
    data: JSONBody[PinRequest],
    versions: NamedDependency[Versions],
    caller: NamedDependency[Caller],
    if_match: IfMatch = None,
) -> Response[bytes]:
    """Keep a tool at a version: what its source offers later is kept, and not put in force."""
    return answer_tool(await versions.pin(key, data.version, caller.name, require_match(if_match)))


@post(
    "/admin/tools/{key:str}/unpin",
    status_code=200,
    summary="Unpin a tool",
    responses={200: ONE_TOOL, **problem_responses(400, 404, 412, 422, 503)},
    scope="tools:write",
)
async def unpin_tool(
    key: ToolKey, versions: NamedDependency[Versions], caller: NamedDependency[Caller], if_match: IfMatch = None
) -> Response[bytes]:
    """Let a tool follow its source again."""
    return answer_tool(await versions.unpin(key, caller.name, require_match(if_match)))


router = Router(
    "/",
    route_handlers=[
        list_versions,
        get_version,
        diff_versions,
        roll_back_tool,
        pin_tool,
        unpin_tool,
    ],
    tags=["admin"],
)
