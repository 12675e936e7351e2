"""REST: listing tools, looking at one, and what categories there are."""

from typing import Annotated

import msgspec
from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody, PathParameter, QueryParameter

from toolbox.auth.callers import Caller
from toolbox.errors import ToolNotFound
from toolbox.problems import problem_responses
from toolbox.tools.repository import ToolRepository
from toolbox.tools.schemas import (
    CategoryCount,
    ListRequest,
    ToolDetail,
    ToolSummary,
    to_detail,
    to_summary,
)

ToolName = Annotated[str, PathParameter(min_length=1, max_length=256)]
"""In a path; limits of msgspec's own would not be looked at there."""


@post(
    "/mcp/list_tools",
    status_code=200,
    summary="List tools",
    responses={
        200: ResponseSpec(list[ToolSummary], description="A page of tools in the order of their names"),
        **problem_responses(400, 413, 503),
    },
    scope="tools:read",
)
async def list_tools(
    data: JSONBody[ListRequest],
    tools: NamedDependency[ToolRepository],
    caller: NamedDependency[Caller],
    limit: Annotated[int | None, QueryParameter(ge=1, le=1000)] = None,
    offset: Annotated[int | None, QueryParameter(ge=0, le=1_000_000_000, schema_extra={"minimum": 0})] = None,
) -> Response[bytes]:
    """List tools in the order of their names.

    `X-Total-Count` says how many there are in all, and `Link` where the next page is: the same request with `limit`
    and `offset` in the URL, which win over those in the body.
    """
    limit, offset = limit or data.limit, data.offset if offset is None else offset
    page = await tools.list_tools(data.to_filter(caller), limit=limit, offset=offset)
    headers = {"X-Total-Count": str(page.total)}
    if offset + limit < page.total:
        headers["Link"] = f'</mcp/list_tools?limit={limit}&offset={offset + limit}>; rel="next"'
    return _json([to_summary(tool) for tool in page.tools], headers)


@get(
    "/tools/{name:str}",
    summary="Look at a tool",
    responses={
        200: ResponseSpec(ToolDetail, description="Everything about the tool"),
        **problem_responses(400, 404, 503),
    },
    scope="tools:read",
)
async def get_tool(
    name: ToolName, tools: NamedDependency[ToolRepository], caller: NamedDependency[Caller]
) -> Response[bytes]:
    """Everything about one active tool."""
    tool = await tools.get_tool(name, within=caller.within)
    if tool is None:
        raise ToolNotFound(name, await tools.near_names(name, within=caller.within))
    return _json(to_detail(tool))


@get("/categories", summary="Count tools by category", responses=problem_responses(503), scope="tools:read")
async def list_categories(
    tools: NamedDependency[ToolRepository], caller: NamedDependency[Caller]
) -> list[CategoryCount]:
    """Categories of active tools, largest first."""
    counted = await tools.count_categories(within=caller.within)
    return [CategoryCount(category, count) for category, count in counted]


def _json(value: object, headers: dict[str, str] | None = None) -> Response[bytes]:
    return Response(msgspec.json.encode(value), media_type="application/json", headers=headers or {})


router = Router("/", route_handlers=[list_tools, get_tool, list_categories], tags=["tools"])
