"""REST for operators: which MCP servers ToolBox offers the tools of, and how they are."""

from http import HTTPStatus
from typing import Annotated, Any

from litestar import Router, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter, QueryParameter

from toolbox.auth.callers import Caller
from toolbox.definitions import Upstream
from toolbox.errors import InvalidRequest
from toolbox.problems import problem_responses
from toolbox.tools.approvals import Approvals
from toolbox.upstreams.catalogue import Changes
from toolbox.upstreams.hosts import read_servers
from toolbox.upstreams.schemas import (
    Approved,
    ApproveRequest,
    ImportedUpstreams,
    UpstreamDetail,
    UpstreamLogs,
    UpstreamSummary,
    to_detail,
    to_summary,
)
from toolbox.upstreams.service import UpstreamService, upstream_not_found
from toolbox.upstreams.tool import SOURCE

UpstreamName = Annotated[str, PathParameter(min_length=1, max_length=40)]
ORIGIN = "api"


@get("/", scope="tools:read", summary="List upstreams", responses=problem_responses(503))
async def list_upstreams(upstreams: NamedDependency[UpstreamService]) -> list[UpstreamSummary]:
    """All upstreams in the order of their names, and how each is in the process that answers."""
    stored = await upstreams.repository.read_all()
    return [to_summary(each, await upstreams.status(name)) for name, each in stored.items()]


@post("/", scope="upstreams:write", summary="Add an upstream", responses=problem_responses(400, 409, 413, 503))
async def create_upstream(
    data: JSONBody[Upstream],
    upstreams: NamedDependency[UpstreamService],
    approvals: NamedDependency[Approvals],
    caller: NamedDependency[Caller],
) -> UpstreamDetail:
    """Add an MCP server. Its tools are offered as soon as it has listed them, which is done in the background."""
    if await upstreams.repository.read(data.name) is not None:
        raise InvalidRequest(f"there is an upstream {data.name!r} already; PUT /admin/upstreams/{data.name} changes it")
    await upstreams.put([data], origin=ORIGIN, caller=caller.name)
    return await _show(upstreams, approvals, data.name)


@post(
    "/import",
    status_code=HTTPStatus.OK,
    scope="upstreams:write",
    summary="Import a file of servers",
    responses=problem_responses(400, 413, 503),
)
async def import_upstreams(
    data: JSONBody[dict[str, Any]], upstreams: NamedDependency[UpstreamService], caller: NamedDependency[Caller]
) -> ImportedUpstreams:
    """Add the servers of a host's file (`mcpServers` or `servers`), or replace those that are there already."""
    found = read_servers(data)
    done = await upstreams.put(found.upstreams, origin=ORIGIN, caller=caller.name)
    return ImportedUpstreams(done, found.rejected)


@get("/{name:str}", scope="tools:read", summary="Look at an upstream", responses=problem_responses(400, 404, 503))
async def get_upstream(
    name: UpstreamName, upstreams: NamedDependency[UpstreamService], approvals: NamedDependency[Approvals]
) -> UpstreamDetail:
    """Everything about one upstream; what may be secret in its configuration is shown as `***`."""
    return await _show(upstreams, approvals, name)


@put(
    "/{name:str}",
    scope="upstreams:write",
    summary="Configure an upstream anew",
    responses=problem_responses(400, 404, 413, 503),
)
async def put_upstream(
    name: UpstreamName,
    data: JSONBody[Upstream],
    upstreams: NamedDependency[UpstreamService],
    approvals: NamedDependency[Approvals],
    caller: NamedDependency[Caller],
) -> UpstreamDetail:
    """Replace its configuration; `***` for a variable or header leaves its value as it is."""
    if data.name != name:
        raise InvalidRequest(f"the name in the body is {data.name!r}; an upstream cannot be renamed")
    if await upstreams.repository.read(name) is None:
        raise upstream_not_found(name)
    await upstreams.put([data], origin=ORIGIN, caller=caller.name)
    return await _show(upstreams, approvals, name)


@delete(
    "/{name:str}", scope="upstreams:write", summary="Delete an upstream", responses=problem_responses(400, 404, 503)
)
async def delete_upstream(
    name: UpstreamName, upstreams: NamedDependency[UpstreamService], caller: NamedDependency[Caller]
) -> None:
    """Delete it with its tools; the history of calls stays."""
    await upstreams.delete(name, caller=caller.name)


@get(
    "/{name:str}/logs", scope="tools:read", summary="What an upstream wrote", responses=problem_responses(400, 404, 503)
)
async def get_logs(
    name: UpstreamName,
    upstreams: NamedDependency[UpstreamService],
    lines: Annotated[int, QueryParameter(ge=1, le=500)] = 100,
) -> UpstreamLogs:
    """The last lines of its standard error, and what ToolBox says of it, in the process that answers."""
    return UpstreamLogs(await upstreams.logs(name, lines))


@post(
    "/{name:str}/refresh",
    status_code=HTTPStatus.OK,
    scope="upstreams:write",
    summary="Read an upstream's lists anew",
    responses=problem_responses(400, 404, 502, 503),
)
async def refresh_upstream(name: UpstreamName, upstreams: NamedDependency[UpstreamService]) -> Changes:
    """Read what it offers now, and bring the catalogue to that."""
    return await upstreams.refresh(name, anew=True)


@post(
    "/{name:str}/approve",
    status_code=HTTPStatus.OK,
    scope="upstreams:write",
    summary="Approve changed tools",
    responses=problem_responses(400, 404, 413, 503),
)
async def approve_tools(
    name: UpstreamName,
    data: JSONBody[ApproveRequest],
    upstreams: NamedDependency[UpstreamService],
    approvals: NamedDependency[Approvals],
    caller: NamedDependency[Caller],
) -> Approved:
    """Put in force what waits for approval, all of it or the named tools."""
    await upstreams.get(name)
    return Approved(await approvals.approve_source(SOURCE + name, data.tools, caller.name))


async def _tell(upstreams: UpstreamService, name: str, command: str, caller: str) -> UpstreamSummary:
    if command in {"enable", "disable"}:
        await upstreams.set_enabled(name, enabled=command == "enable", caller=caller)
    else:
        await upstreams.tell(name, command, caller=caller)  # type: ignore[arg-type]
    return to_summary(await upstreams.get(name), await upstreams.status(name))


def _command(command: str, summary: str, description: str) -> Any:
    @post(
        f"/{{name:str}}/{command}",
        status_code=HTTPStatus.ACCEPTED,
        scope="upstreams:write",
        name=f"{command}_upstream",
        operation_id=f"{command}Upstream",
        summary=summary,
        description=description,
        responses=problem_responses(400, 404, 503),
    )
    async def handler(
        name: UpstreamName, upstreams: NamedDependency[UpstreamService], caller: NamedDependency[Caller]
    ) -> UpstreamSummary:
        return await _tell(upstreams, name, command, caller.name)

    return handler


async def _show(upstreams: UpstreamService, approvals: Approvals, name: str) -> UpstreamDetail:
    stored = await upstreams.get(name)
    return to_detail(stored, await upstreams.status(name), await approvals.list_waiting(SOURCE + name))


router = Router(
    "/admin/upstreams",
    route_handlers=[
        list_upstreams,
        create_upstream,
        import_upstreams,
        get_upstream,
        put_upstream,
        delete_upstream,
        get_logs,
        refresh_upstream,
        approve_tools,
        _command("start", "Start an upstream", "Connect to it on every replica, and forget what went wrong before."),
        _command("stop", "Stop an upstream", "Disconnect on every replica; the next call connects again."),
        _command("restart", "Restart an upstream", "Disconnect on every replica and connect again."),
        _command(
            "upgrade",
            "Upgrade an upstream",
            "Install its source anew on every replica, beside what runs, and switch to it where it starts.",
        ),
        _command("enable", "Enable an upstream", "Offer its tools."),
        _command("disable", "Disable an upstream", "Disconnect, and offer its tools no more; nothing is lost."),
    ],
    tags=["admin"],
)
