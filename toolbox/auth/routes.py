"""REST: issuing keys, and ending them."""

from http import HTTPStatus
from typing import Annotated

from litestar import Response, Router, delete, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody, PathParameter, QueryParameter

from toolbox.auth.callers import Caller
from toolbox.auth.schemas import IssuedKey, Key, NewKey, Rotation
from toolbox.auth.service import KeyService
from toolbox.problems import problem_responses

NAME = Annotated[str, PathParameter(min_length=1, max_length=64)]


@get(
    "/admin/keys",
    summary="List keys",
    responses={200: ResponseSpec(list[Key], description="In the order of their names"), **problem_responses(400, 503)},
    scope="keys:write",
)
async def list_keys(
    keys: NamedDependency[KeyService],
    after: Annotated[str, QueryParameter(max_length=64)] = "",
    limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 100,
) -> Response[list[Key]]:
    """Keys, revoked ones too, without their secrets; `Link` says where the next page is."""
    page = await keys.repository.list_keys(after=after, limit=limit)
    headers = {"Link": f'</admin/keys?limit={limit}&after={page[-1].name}>; rel="next"'} if len(page) == limit else {}
    return Response(page, headers=headers)


@post(
    "/admin/keys",
    status_code=HTTPStatus.CREATED,
    summary="Issue a key",
    responses={
        201: ResponseSpec(IssuedKey, description="The key with its secret, which is shown this once"),
        **problem_responses(400, 409, 413, 503),
    },
    scope="keys:write",
)
async def issue_key(
    data: JSONBody[NewKey], keys: NamedDependency[KeyService], caller: NamedDependency[Caller]
) -> Response[IssuedKey]:
    """A new key. Nobody can give a scope that they lack."""
    return _shown_once(await keys.issue(data, caller), HTTPStatus.CREATED)


@post(
    "/admin/keys/{name:str}/rotate",
    status_code=HTTPStatus.OK,
    summary="Rotate a key",
    responses={
        200: ResponseSpec(IssuedKey, description="The key with its new secret, which is shown this once"),
        **problem_responses(400, 404, 409, 413, 503),
    },
    scope="keys:write",
)
async def rotate_key(
    name: NAME, data: JSONBody[Rotation], keys: NamedDependency[KeyService], caller: NamedDependency[Caller]
) -> Response[IssuedKey]:
    """A new secret for the same caller; the one before works for `overlap_seconds` more."""
    return _shown_once(await keys.rotate(name, data.overlap_seconds, caller), HTTPStatus.OK)


@delete(
    "/admin/keys/{name:str}",
    status_code=HTTPStatus.NO_CONTENT,
    summary="Revoke a key",
    responses={204: ResponseSpec(None, description="It works no more"), **problem_responses(400, 404, 503)},
    scope="keys:write",
)
async def revoke_key(name: NAME, keys: NamedDependency[KeyService], caller: NamedDependency[Caller]) -> None:
    """Let a key work no more, at once and on every replica."""
    await keys.revoke(name, caller)


def _shown_once(issued: IssuedKey, status: HTTPStatus) -> Response[IssuedKey]:
    return Response(issued, status_code=status, headers={"Cache-Control": "no-store"})


router = Router("/", route_handlers=[list_keys, issue_key, rotate_key, revoke_key], tags=["admin"])
