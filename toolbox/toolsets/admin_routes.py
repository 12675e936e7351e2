"""REST for operators: toolsets, each defined, replaced and deleted as a whole."""

from typing import Annotated

from litestar import Response, Router, delete, get, put
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody, PathParameter
from msgspec import Struct

from toolbox.answers import IfMatch, IfNoneMatch, allows, answer_json, make_etag
from toolbox.auth.callers import Caller
from toolbox.definitions import Moment
from toolbox.errors import PreconditionFailed
from toolbox.problems import problem_responses
from toolbox.secrets.routes import NewSecret, SecretName
from toolbox.secrets.store import SecretStore, StoredSecret
from toolbox.toolsets.schemas import Toolset, ToolsetDefinition
from toolbox.toolsets.service import Change, Match, ToolsetService

ToolsetKey = Annotated[str, PathParameter(min_length=1, max_length=256)]
FIRST_TOOLS = 100


class ToolsetState(Struct, frozen=True, kw_only=True):
    """A toolset as it is."""

    name: str
    endpoint: str
    definition: ToolsetDefinition
    tools: int
    first_tools: list[str]
    revision: int
    created_at: Moment
    updated_at: Moment


@get(
    "/admin/toolsets",
    summary="List toolsets",
    responses={200: ResponseSpec(list[ToolsetState], description="By name"), **problem_responses(503)},
    scope="tools:write",
)
async def list_toolsets(toolsets: NamedDependency[ToolsetService]) -> Response[bytes]:
    """All toolsets in the order of their names, without their tools."""
    found = await toolsets.repository.list_toolsets()
    return answer_json([_to_state(toolset, []) for toolset in found])


@put(
    "/admin/toolsets",
    summary="Define toolsets",
    responses={
        200: ResponseSpec(dict[str, Change], generate_examples=False, description="What became of each"),
        **problem_responses(400, 413, 503),
    },
    scope="tools:write",
)
async def put_toolsets(
    data: JSONBody[dict[str, ToolsetDefinition]],
    toolsets: NamedDependency[ToolsetService],
    caller: NamedDependency[Caller],
) -> dict[str, Change]:
    """Define some toolsets, or replace those that are there, all or none; others stay as they are."""
    return await toolsets.apply(data, caller=caller.name)


@get(
    "/admin/toolsets/{name:str}",
    summary="Look at a toolset",
    responses={
        200: ResponseSpec(ToolsetState, description="The toolset; `ETag` says which state it is in"),
        **problem_responses(400, 404, 503),
    },
    scope="tools:write",
)
async def get_toolset(name: ToolsetKey, toolsets: NamedDependency[ToolsetService]) -> Response[bytes]:
    """A toolset and its first tools."""
    return await _answer(toolsets, name)


@put(
    "/admin/toolsets/{name:str}",
    summary="Define a toolset",
    responses={
        200: ResponseSpec(ToolsetState, description="The toolset as it is now"),
        201: ResponseSpec(ToolsetState, description="The same, if there was none of this name"),
        **problem_responses(400, 412, 413, 503),
    },
    scope="tools:write",
)
async def put_toolset(
    name: ToolsetKey,
    data: JSONBody[ToolsetDefinition],
    toolsets: NamedDependency[ToolsetService],
    caller: NamedDependency[Caller],
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
) -> Response[bytes]:
    """Define a toolset, or replace the one that is there: its tools are decided anew in the same transaction."""
    changes = await toolsets.apply({name: data}, caller=caller.name, match=_match(if_match, if_none_match))
    return await _answer(toolsets, name, 201 if changes[name] == "created" else 200)


@delete(
    "/admin/toolsets/{name:str}",
    status_code=204,
    summary="Delete a toolset",
    responses=problem_responses(400, 404, 412, 503),
    scope="tools:write",
)
async def delete_toolset(
    name: ToolsetKey,
    toolsets: NamedDependency[ToolsetService],
    caller: NamedDependency[Caller],
    if_match: IfMatch = None,
) -> None:
    """Delete a toolset; its tools stay."""
    await toolsets.delete(name, caller=caller.name, match=_match(if_match, None))


@get(
    "/admin/toolsets/{name:str}/secrets",
    summary="List a toolset's own secrets",
    responses=problem_responses(400, 404, 503),
    scope="tools:write",
)
async def list_own_secrets(
    name: ToolsetKey, toolsets: NamedDependency[ToolsetService], secrets: NamedDependency[SecretStore]
) -> list[StoredSecret]:
    """The names of its secrets; their values are never given back."""
    await toolsets.get(name)
    return await secrets.list_secrets(name)


@put(
    "/admin/toolsets/{name:str}/secrets/{secret:str}",
    status_code=204,
    summary="Set a toolset's own secret",
    responses=problem_responses(400, 404, 409, 413, 503),
    scope="tools:write",
)
async def set_own_secret(
    name: ToolsetKey,
    secret: SecretName,
    data: JSONBody[NewSecret],
    toolsets: NamedDependency[ToolsetService],
    secrets: NamedDependency[SecretStore],
    caller: NamedDependency[Caller],
) -> None:
    """Keep a value that takes the place of the common secret of this name in calls through this toolset."""
    await toolsets.get(name)
    await secrets.set_secret(secret, data.value, toolset=name, caller=caller.name)


@delete(
    "/admin/toolsets/{name:str}/secrets/{secret:str}",
    status_code=204,
    summary="Delete a toolset's own secret",
    responses=problem_responses(400, 404, 503),
    scope="tools:write",
)
async def delete_own_secret(
    name: ToolsetKey,
    secret: SecretName,
    secrets: NamedDependency[SecretStore],
    caller: NamedDependency[Caller],
) -> None:
    """Forget it; calls through the toolset get the common secret of this name again."""
    await secrets.delete_secret(secret, toolset=name, caller=caller.name)


def find_etag(toolset: Toolset) -> str:
    """Another one after each change of the definition; members that come and go change nothing."""
    return make_etag(toolset.name, toolset.updated_at, toolset.definition)


def _match(if_match: str | None, if_none_match: str | None) -> Match:
    def check(toolset: Toolset | None) -> None:
        if if_none_match is not None and toolset is not None:
            raise PreconditionFailed(f"there is a toolset {toolset.name!r} already")
        if not allows(if_match, find_etag(toolset) if toolset else None):
            raise PreconditionFailed("the toolset has changed since you read it: read it again")

    return check


def _to_state(toolset: Toolset, tools: list[str]) -> ToolsetState:
    return ToolsetState(
        name=toolset.name,
        endpoint=f"/toolsets/{toolset.name}/mcp",
        definition=toolset.definition,
        tools=toolset.tools,
        first_tools=tools,
        revision=toolset.revision,
        created_at=toolset.created_at,
        updated_at=toolset.updated_at,
    )


async def _answer(toolsets: ToolsetService, name: str, status: int = 200) -> Response[bytes]:
    toolset = await toolsets.get(name)
    members = await toolsets.repository.read_members(toolset.id, after="", limit=FIRST_TOOLS)
    state = _to_state(toolset, [tool.name for tool in members.tools])
    return answer_json(state, status, {"ETag": find_etag(toolset)})


router = Router(
    "/",
    route_handlers=[
        list_toolsets,
        put_toolsets,
        get_toolset,
        put_toolset,
        delete_toolset,
        list_own_secrets,
        set_own_secret,
        delete_own_secret,
    ],
    tags=["admin"],
)
