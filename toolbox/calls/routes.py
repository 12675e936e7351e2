"""REST: calling a tool, and reading what came of earlier calls."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody, PathParameter, QueryParameter

from toolbox.auth.callers import Caller
from toolbox.calls.handles import MAX_NUMBER, MAX_URI, Handle
from toolbox.calls.history import CallFilter, CallSummary, History
from toolbox.calls.schemas import CallToolRequest, CallToolResponse, RecordedCall, to_response
from toolbox.calls.service import CallService
from toolbox.calls.statistics import CallStatistics
from toolbox.cursors import read_cursor, write_cursor
from toolbox.errors import NotFound
from toolbox.paging import PageLimit, QueryMoment, QueryText, link_to_next
from toolbox.problems import problem_responses
from toolbox.tools.admin_routes import ToolKey
from toolbox.tools.management import ToolManager

Success = Annotated[bool | None, QueryParameter(description="Only calls that worked, or that did not.")]
CallId = Annotated[str, PathParameter(schema_extra={"format": "uuid"})]
"""Read in the handler, so that what is no UUID is a call that does not exist, in words of our own."""


@post(
    "/mcp/call_tool",
    status_code=200,
    summary="Call a tool",
    responses={
        200: ResponseSpec(CallToolResponse, description="What came of the call; a tool that fails is an answer too"),
        **problem_responses(400, 404, 409, 413, 422, 429, 503),
    },
    scope="tools:call",
)
async def call_tool(
    data: JSONBody[CallToolRequest], calls: NamedDependency[CallService], caller: NamedDependency[Caller]
) -> CallToolResponse:
    """Call a tool once.

    A tool that fails is an answer with `success: false`. The call is recorded before this answers, so its
    `execution_id` can be read back.
    """
    return to_response(await calls.call_tool(data.to_call(caller, "rest")))


@get(
    "/calls/{call_id:str}",
    summary="Read a call",
    responses={
        200: ResponseSpec(RecordedCall, description="The call as it was recorded"),
        **problem_responses(404, 503),
    },
    scope="tools:read",
)
async def get_call(
    call_id: CallId, history: NamedDependency[History], caller: NamedDependency[Caller]
) -> Response[bytes]:
    """One of your own calls, as it was recorded."""
    try:
        call = await history.read(UUID(call_id), caller.owner)
    except ValueError:
        call = None
    if call is None:
        raise NotFound(f"there is no call {call_id[:100]!r} of yours; the answer of call_tool names its execution_id")
    return Response(msgspec.json.encode(call), media_type="application/json")


@get(
    "/calls/{call_id:str}/result",
    summary="Read the result of a call",
    responses={
        200: ResponseSpec(Any, description="A page of the result, in the result's own shape"),
        **problem_responses(400, 404, 503),
    },
    scope="tools:read",
)
async def get_result(
    call_id: CallId,
    calls: NamedDependency[CallService],
    caller: NamedDependency[Caller],
    offset: Annotated[int, QueryParameter(ge=0, le=MAX_NUMBER, schema_extra={"minimum": 0})] = 0,
    limit: Annotated[int | None, QueryParameter(ge=1, le=MAX_NUMBER)] = None,
    at: Annotated[str, QueryParameter(max_length=MAX_URI)] = "",
) -> Response[bytes]:
    """The result of one of your own calls, or a page of it: some items of its list, or some characters of its text.

    `X-Total-Count` says how many there are in all, and `Link` where the next page is. Without `limit` it is all from
    `offset` on. `at` (a JSON Pointer, RFC 6901) names a part of the result to read alone.
    """
    try:
        handle = Handle(UUID(call_id), at, offset, limit)
    except ValueError as error:
        raise NotFound(f"there is no result {call_id[:100]!r} of yours") from error
    read = await calls.read_result(handle, caller.owner)
    headers = {"X-Total-Count": str(read.page.total)}
    if read.next:
        headers["Link"] = f'<{read.next.path}>; rel="next"'
    return Response(msgspec.json.encode(read.page.value), media_type="application/json", headers=headers)


@get(
    "/calls",
    summary="List your calls",
    responses={
        200: ResponseSpec(list[CallSummary], description="A page of your own calls, newest first"),
        **problem_responses(400, 503),
    },
    scope="tools:read",
)
async def list_own_calls(
    history: NamedDependency[History],
    caller: NamedDependency[Caller],
    tool: QueryText = None,
    success: Success = None,
    channel: QueryText = None,
    since: QueryMoment = None,
    until: QueryMoment = None,
    limit: PageLimit = 100,
    cursor: QueryText = None,
) -> Response[bytes]:
    """Your own calls, newest first, with where the next page is in `Link`."""
    wanted = CallFilter(caller=caller.name, tool=tool, success=success, channel=channel, since=since, until=until)
    return await _list(history, "/calls", wanted, limit, cursor, shown=("tool", "success", "channel", "since", "until"))


@get(
    "/admin/calls",
    summary="List calls",
    responses={
        200: ResponseSpec(list[CallSummary], description="A page of calls, newest first"),
        **problem_responses(400, 503),
    },
    scope="tools:write",
    tags=["admin"],
)
async def list_calls(
    history: NamedDependency[History],
    called_by: Annotated[str | None, QueryParameter(name="caller", max_length=1000)] = None,
    tool: QueryText = None,
    success: Success = None,
    channel: QueryText = None,
    since: QueryMoment = None,
    until: QueryMoment = None,
    limit: PageLimit = 100,
    cursor: QueryText = None,
) -> Response[bytes]:
    """Everybody's calls, newest first, with where the next page is in `Link`."""
    wanted = CallFilter(caller=called_by, tool=tool, success=success, channel=channel, since=since, until=until)
    return await _list(history, "/admin/calls", wanted, limit, cursor, shown=CallFilter.__struct_fields__)


@get(
    "/admin/tools/{key:str}/stats",
    summary="A tool in numbers",
    responses={200: ResponseSpec(CallStatistics, description="How its calls went"), **problem_responses(400, 404, 503)},
    scope="tools:write",
    tags=["admin"],
)
async def get_tool_stats(
    key: ToolKey, history: NamedDependency[History], manager: NamedDependency[ToolManager]
) -> CallStatistics:
    """How often a tool was called, how often that worked, how long it took (to 1 %), and when it was last."""
    return await history.statistics((await manager.get(key)).tool.name)


async def _list(
    history: History, path: str, wanted: CallFilter, limit: int, cursor: str | None, *, shown: tuple[str, ...]
) -> Response[bytes]:
    before = read_cursor(cursor, tuple[datetime, UUID]) if cursor else None
    found = await history.list_calls(wanted, limit=limit + 1, before=before)
    headers = {}
    if len(found) > limit:
        found = found[:limit]
        following = write_cursor((found[-1].started_at, found[-1].id))
        given = {name: getattr(wanted, name) for name in shown} | {"limit": limit, "cursor": following}
        headers["Link"] = link_to_next(path, given)
    return Response(msgspec.json.encode(found), media_type="application/json", headers=headers)


router = Router(
    "/",
    route_handlers=[call_tool, get_call, get_result, get_tool_stats, list_calls, list_own_calls],
    tags=["calls"],
)
