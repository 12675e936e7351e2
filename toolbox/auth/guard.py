"""Refuses requests whose caller lacks the scope that the route names (`@get(..., scope="tools:read")`)."""

from typing import Any

from litestar import Request
from litestar.types import Scope

from toolbox.auth.callers import NOBODY, Caller
from toolbox.auth.scopes import PUBLIC
from toolbox.errors import ToolboxError


def require_scope(request: Request[Any, Any, Any]) -> None:
    """Let a request pass if its caller may.

    Raises:
        Unauthenticated: Nobody knows who is calling.
        InsufficientScope: The caller lacks the scope.
    """
    options: dict[str, Any] = request.route_handler.opt
    if "scope" not in options and request.method == "OPTIONS":
        return  # what the framework itself answers: which methods a path has
    needed = options["scope"]  # a route without one is a mistake, and nobody may use it
    if needed != PUBLIC:
        identify(request.scope).require(needed)


def caller_of(scope: Scope) -> Caller:
    """Who sends a request; NOBODY if that is not known."""
    caller: Caller = scope["state"]["caller"]
    return caller


def identify(scope: Scope) -> Caller:
    """Who sends a request.

    Raises:
        Unauthenticated: That is not known, or could not be proved.
        DatabaseUnavailable: It cannot be found out now.
    """
    caller = caller_of(scope)
    if caller is NOBODY:
        refusal: ToolboxError = scope["state"]["refusal"]
        raise refusal
    return caller


def provide_caller(scope: Scope) -> Caller:
    """What handlers get that ask for `caller`."""
    return caller_of(scope)
