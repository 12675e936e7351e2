"""REST: calling a tool, and reading what came of earlier calls."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody, PathParameter, QueryParameter

from toolbox.auth.callers import Caller
from toolbox.calls.handles import MAX_NUMBER, MAX_URI, Handle
from toolbox.calls.history import History
from toolbox.calls.schemas import CallToolRequest, CallToolResponse, RecordedCall, to_response
from toolbox.calls.service import CallService
from toolbox.errors import NotFound
from toolbox.problems import problem_responses

CallId = Annotated[str, PathParameter(schema_extra={"format": "uuid"})]
"""Read in the handler, so that what is no UUID is a call that does not exist, in words of our own."""


@post(
    "/mcp/call_tool",
    status_code=200,
    summary="Call a tool",
    responses={
        200: ResponseSpec(CallToolResponse, description="What came of the call; a tool that fails is an answer too"),
        **problem_responses(400, 404, 409, 413, 422, 503),
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


router = Router("/", route_handlers=[call_tool, get_call, get_result], tags=["calls"])
