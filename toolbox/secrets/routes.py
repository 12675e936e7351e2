"""REST for operators: secrets are set and deleted, and only their names are given back."""

from http import HTTPStatus
from typing import Annotated

from litestar import Router, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter
from msgspec import Meta, Struct

from toolbox.auth.callers import Caller
from toolbox.problems import problem_responses
from toolbox.secrets.store import SecretStore, StoredSecret

SecretName = Annotated[str, PathParameter(min_length=1, max_length=64)]


class NewSecret(Struct, frozen=True, forbid_unknown_fields=True):
    """A secret's value."""

    value: Annotated[str, Meta(min_length=1, max_length=64 * 1024)]

    def __repr__(self) -> str:
        return "NewSecret(...)"


class Rotated(Struct, frozen=True):
    """What a rotation came to."""

    secrets: Annotated[int, Meta(description="How many were sealed with an earlier key.")]


@get("/admin/secrets", scope="tools:write", summary="List secrets", responses=problem_responses(503))
async def list_secrets(secrets: NamedDependency[SecretStore]) -> list[StoredSecret]:
    """The names of all secrets; their values are never given back."""
    return await secrets.list_secrets()


@put(
    "/admin/secrets/{name:str}",
    status_code=HTTPStatus.NO_CONTENT,
    scope="tools:write",
    summary="Set a secret",
    responses=problem_responses(400, 409, 413, 503),
)
async def set_secret(
    name: SecretName, data: JSONBody[NewSecret], secrets: NamedDependency[SecretStore], caller: NamedDependency[Caller]
) -> None:
    """Keep a value under a name: tools and upstreams refer to it as `${secret:name}`."""
    await secrets.set_secret(name, data.value, caller=caller.name)


@delete(
    "/admin/secrets/{name:str}",
    scope="tools:write",
    summary="Delete a secret",
    responses=problem_responses(400, 404, 503),
)
async def delete_secret(
    name: SecretName, secrets: NamedDependency[SecretStore], caller: NamedDependency[Caller]
) -> None:
    """Forget a secret; what refers to it fails from now on."""
    await secrets.delete_secret(name, caller=caller.name)


@post(
    "/admin/secrets/rotate",
    status_code=HTTPStatus.OK,
    scope="tools:write",
    summary="Seal secrets anew",
    responses=problem_responses(409, 503),
)
async def rotate_secrets(secrets: NamedDependency[SecretStore], caller: NamedDependency[Caller]) -> Rotated:
    """Seal with the first key of SECRET_KEY whatever an earlier one has sealed."""
    return Rotated(await secrets.rotate(caller=caller.name))


router = Router("/", route_handlers=[list_secrets, set_secret, delete_secret, rotate_secrets], tags=["admin"])
