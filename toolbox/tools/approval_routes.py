"""REST for operators: what waits for approval and why, the policies that hold it back, and what lint has found."""

from litestar import Response, Router, get, post, put
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody

from toolbox.answers import answer_json
from toolbox.auth.callers import Caller
from toolbox.database import Database
from toolbox.problems import problem_responses
from toolbox.tools.admin_routes import ONE_TOOL, ToolKey, answer_tool
from toolbox.tools.admin_schemas import ToolState, WaitingVersion, to_state
from toolbox.tools.approvals import Approvals
from toolbox.tools.findings import lint_outdated
from toolbox.tools.management import ToolManager
from toolbox.tools.policies import OnChange, Pattern, read_policies, write_policies
from toolbox.tools.version_routes import VersionNumber


@get(
    "/admin/approvals",
    summary="List what waits for approval",
    responses={200: ResponseSpec(list[WaitingVersion], description="By name"), **problem_responses(503)},
    scope="tools:write",
)
async def list_approvals(
    approvals: NamedDependency[Approvals],
) -> list[WaitingVersion]:
    """The newest version of each tool that waits: what would change, and what lint finds in it."""
    return await approvals.list_waiting()


@post(
    "/admin/tools/{key:str}/versions/{number:int}/approve",
    status_code=200,
    summary="Approve a version",
    responses={200: ONE_TOOL, **problem_responses(400, 404, 409, 422, 503)},
    scope="tools:write",
)
async def approve_version(
    key: ToolKey, number: VersionNumber, approvals: NamedDependency[Approvals], caller: NamedDependency[Caller]
) -> Response[bytes]:
    """Put a version in force that was held back."""
    return answer_tool(await approvals.approve(key, number, caller.name))


@post(
    "/admin/tools/{key:str}/versions/{number:int}/reject",
    status_code=200,
    summary="Reject a version",
    responses={200: ONE_TOOL, **problem_responses(400, 404, 409, 503)},
    scope="tools:write",
)
async def reject_version(
    key: ToolKey, number: VersionNumber, approvals: NamedDependency[Approvals], caller: NamedDependency[Caller]
) -> Response[bytes]:
    """Keep a version out that was held back; offered again, it does not wait again."""
    return answer_tool(await approvals.reject(key, number, caller.name))


@get(
    "/admin/findings",
    summary="List tools in which lint has found something",
    responses={200: ResponseSpec(list[ToolState], description="By name"), **problem_responses(503)},
    scope="tools:write",
)
async def list_flagged(manager: NamedDependency[ToolManager]) -> Response[bytes]:
    """Tools whose definition is a reason to look: hidden instructions or characters, imitation, redirection, length."""
    return answer_json([to_state(managed) for managed in await manager.list_flagged()])


@post(
    "/admin/lint",
    status_code=200,
    summary="Look at new definitions now",
    responses={200: ResponseSpec(list[ToolState], description="By name"), **problem_responses(503)},
    scope="tools:write",
)
async def lint_now(manager: NamedDependency[ToolManager], database: NamedDependency[Database]) -> Response[bytes]:
    """Look at all definitions that are new or have changed, as is done in the background, and list what is flagged."""
    await lint_outdated(database)
    return answer_json([to_state(managed) for managed in await manager.list_flagged()])


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


router = Router(
    "/",
    route_handlers=[
        list_approvals,
        approve_version,
        reject_version,
        lint_now,
        list_flagged,
        list_policies,
        replace_policies,
    ],
    tags=["admin"],
)
