"""REST: finding tools by what they do, and tools that are like another."""

from typing import Annotated

import msgspec
from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody, QueryParameter

from toolbox.auth.callers import Caller
from toolbox.problems import problem_responses
from toolbox.search.schemas import FindRequest, Match, to_match
from toolbox.search.service import SearchService
from toolbox.settings import Settings
from toolbox.tools.registry import Registry
from toolbox.tools.routes import ToolName
from toolbox.toolsets.service import ToolsetService


@post(
    "/mcp/find_tool",
    status_code=200,
    summary="Find tools",
    responses={
        200: ResponseSpec(list[Match], description="Matches, best first"),
        **problem_responses(400, 404, 413, 503),
    },
    scope="tools:read",
)
async def find_tool(
    data: JSONBody[FindRequest],
    search: NamedDependency[SearchService],
    settings: NamedDependency[Settings],
    registry: NamedDependency[Registry],
    caller: NamedDependency[Caller],
    toolsets: NamedDependency[ToolsetService],
) -> Response[bytes]:
    """Find tools by what they do, by meaning and by words.

    The header `X-Search-Degraded: true` says that the embedding model failed and words alone were searched; so does
    `degraded` in each match.
    """
    found = await search.find_tools(data.to_query(settings, caller))
    if data.toolset is not None and not found.matches:
        await toolsets.get(data.toolset)
    headers = {"X-Search-Degraded": "true"} if found.is_degraded else {}
    marked = {"degraded": True} if found.is_degraded else {}
    body = msgspec.json.encode([to_match(match, data.detail, registry) | marked for match in found.matches])
    return Response(body, media_type="application/json", headers=headers)


@get(
    "/tools/{name:str}/similar",
    summary="Find tools like this one",
    responses={
        200: ResponseSpec(list[Match], description="The most alike first"),
        **problem_responses(400, 404, 503),
    },
    scope="tools:read",
)
async def find_similar(
    name: ToolName,
    search: NamedDependency[SearchService],
    registry: NamedDependency[Registry],
    caller: NamedDependency[Caller],
    limit: Annotated[int, QueryParameter(ge=1, le=50)] = 5,
) -> Response[bytes]:
    """Tools whose texts mean what this one's do.

    `similarity` is here the cosine of the vectors of both, as the model gives it: it says which are nearer, and is
    not to be held against that of find.
    """
    matches = await search.find_similar(name, limit, within=caller.within)
    body = msgspec.json.encode([to_match(match, "schema", registry) for match in matches])
    return Response(body, media_type="application/json")


router = Router("/", route_handlers=[find_tool, find_similar], tags=["search"])
