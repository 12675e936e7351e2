"""REST: calling a tool, and reading what came of earlier calls."""

from uuid import UUID

import msgspec
from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody

from toolbox.calls.history import History
from toolbox.calls.schemas import CallToolRequest, CallToolResponse, RecordedCall, to_response
from toolbox.calls.service import CallService
from toolbox.errors import NotFound
from toolbox.problems import problem_responses

CALLER = "anonymous"


@post(
    "/mcp/call_tool",
    status_code=200,
    summary="Call a tool",
    responses={
        200: ResponseSpec(CallToolResponse, description="What came of the call; a tool that fails is an answer too"),
        **problem_responses(400, 404, 409, 413, 422, 503),
    },
)
async def call_tool(data: JSONBody[CallToolRequest], calls: NamedDependency[CallService]) -> CallToolResponse:
    """Call a tool once.

    A tool that fails is an answer with `success: false`. The call is recorded before this answers, so its
    `execution_id` can be read back.
    """
    return to_response(await calls.call_tool(data.to_call(CALLER, "rest")))


@get(
    "/calls/{call_id:uuid}",
    summary="Read a call",
    responses={
        200: ResponseSpec(RecordedCall, description="The call as it was recorded"),
        **problem_responses(404, 503),
    },
)
async def get_call(call_id: FromPath[UUID], history: NamedDependency[History]) -> Response[bytes]:
    """One of your own calls, as it was recorded."""
    call = await history.read(call_id, CALLER)
    if call is None:
        raise NotFound(f"there is no call {call_id} of yours")
    return Response(msgspec.json.encode(call), media_type="application/json")


router = Router("/", route_handlers=[call_tool, get_call], tags=["calls"])
