"""Errors as HTTP answers: problem details (RFC 9457) with a stable code and the request's id.

This is the one place where errors leave as HTTP. What is our fault says nothing of our insides: the log explains it
under the `error_id` that the answer carries.
"""

import re
from difflib import get_close_matches
from http import HTTPStatus
from typing import Annotated, Any
from uuid import uuid4

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, InternalServerException, SerializationException, ValidationException
from litestar.openapi.datastructures import ResponseSpec
from msgspec import UNSET, Meta, UnsetType

from toolbox.errors import FAULT, DatabaseUnavailable, RateLimited, ToolboxError, Violation
from toolbox.metrics import TOO_LARGE
from toolbox.plain_words import find_choices, not_json, say_plainly
from toolbox.request_context import explain

logger = structlog.get_logger(__name__)

ELSEWHERE = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE})
"""What is not our fault, though the server cannot do it: callers are told what it is."""

MEDIA_TYPE = "application/problem+json"


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of an answer that is an error (RFC 9457)."""

    title: str
    status: int
    code: Annotated[str, Meta(description="Stays the same while the words of `detail` may change.")]
    detail: Annotated[str, Meta(description="What is wrong, where, and what to do.")]
    type: str = "about:blank"
    request_id: str = ""
    error_id: Annotated[str, Meta(description="Our fault: the log explains it under this id.")] = ""
    suggestions: Annotated[list[str], Meta(description="tool_not_found: near names.")] | UnsetType = UNSET
    scope: Annotated[str, Meta(description="insufficient_scope: what the caller lacks.")] | UnsetType = UNSET
    violations: (
        Annotated[list[Violation], Meta(description="invalid_arguments: each thing wrong, with its path.")] | UnsetType
    ) = UNSET


def problem_responses(*statuses: int) -> dict[int, ResponseSpec]:
    """What a route's documentation says of the errors that it may answer with."""
    return {
        status: ResponseSpec(
            Problem, generate_examples=False, media_type=MEDIA_TYPE, description=HTTPStatus(status).phrase
        )
        for status in statuses
    }


def to_problem(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The answer for any exception that a handler or the framework raised."""
    if isinstance(error, ToolboxError) and error.status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return _answer(request, error.status, error.code, error.message, error.details, _headers(request, error))
    if isinstance(error, DatabaseUnavailable):
        return _answer_without_database(request, error)
    if isinstance(error, ToolboxError) and error.status in ELSEWHERE:
        headers = {"Retry-After": "1"} if error.status == HTTPStatus.SERVICE_UNAVAILABLE else {}
        return _answer(request, error.status, error.code, error.message, headers=headers)
    if isinstance(error, ValidationException):
        return _answer(request, 400, "invalid_request", _explain(request, error))
    if misread := _find_misread_member(error):
        return _answer(request, 400, "invalid_request", misread)
    if isinstance(error, UnicodeDecodeError):
        return _answer(request, 400, "invalid_request", "body: it is not UTF-8")
    if isinstance(error, RecursionError):  # only reading a body goes as deep as a caller wants it to
        return _answer(request, 400, "invalid_request", "body: it is nested too deeply")
    if isinstance(error.__cause__, SerializationException):
        return _answer(request, 400, "invalid_request", f"body: {not_json(str(error.__cause__.detail))}")
    if isinstance(error, HTTPException) and error.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
        return _answer_for_framework(request, error)
    error_id = uuid4().hex
    logger.error("a request failed", path=request.url.path, error_id=error_id, exc_info=error)
    detail = explain(error)
    return _answer(request, 500, "internal", f"{FAULT}: {detail}" if detail else FAULT, {"error_id": error_id})


def _answer_without_database(request: Request[Any, Any, Any], error: DatabaseUnavailable) -> Response[bytes]:
    error_id = uuid4().hex
    logger.warning("a request needs the database", reason=error.message, error_id=error_id)
    detail = explain(error)
    said = f"{error.for_callers}: {detail}" if detail else error.for_callers
    return _answer(request, error.status, error.code, said, {"error_id": error_id}, {"Retry-After": "1"})


def _answer(
    request: Request[Any, Any, Any],
    status: int,
    code: str,
    detail: str,
    members: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
) -> Response[bytes]:
    request_id = request.scope.get("state", {}).get("request_id", "")
    problem = Problem(HTTPStatus(status).phrase, status, code, detail, request_id=request_id, **(members or {}))
    return Response(msgspec.json.encode(problem), status_code=status, media_type=MEDIA_TYPE, headers=headers or {})


def _headers(request: Request[Any, Any, Any], error: ToolboxError) -> dict[str, str]:
    """What a caller who is refused is told to do about it, where the layer that knows callers has said how."""
    if isinstance(error, RateLimited):
        return error.headers
    write = request.scope.get("state", {}).get("challenge")
    challenge = write(request.scope, error) if write else None
    return {"WWW-Authenticate": challenge} if challenge else {}


def _answer_for_framework(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """What the framework found out before any handler was asked, in our words."""
    status, headers, detail = error.status_code, dict(error.headers or {}), error.detail
    path = request.scope["path"]
    if status == HTTPStatus.NOT_FOUND:
        detail = f"there is nothing at {path[:200]}; {_near_route(request, path)}"
    elif status == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = {method for method in headers.get("allow", "").split(", ") if method}
        allowed |= {"HEAD"} if "GET" in allowed else set()
        headers["allow"] = ", ".join(sorted(allowed))
        detail = f"{path[:200]} does not answer {request.method}; it answers {headers['allow']}"
    elif status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        TOO_LARGE["body",].inc()
        limit, setting = _size_limit(request)
        detail = f"the body is larger than {limit} bytes; send less" + (
            f", or let the operator raise {setting}" if setting else ""
        )
    code = HTTPStatus(status).phrase.lower().replace(" ", "_")
    return _answer(request, status, code, detail, headers=headers)


def _size_limit(request: Request[Any, Any, Any]) -> tuple[Any, str]:
    """How large the body may be, and the setting that says so: a route may have one of its own."""
    handler: Any = request.scope["route_handler"]
    return handler.resolve_request_max_body_size(), handler.opt.get("size_setting", "MAX_REQUEST_SIZE")


def _near_route(request: Request[Any, Any, Any], path: str) -> str:
    """Where the caller may have wanted to go."""
    documented = [route.path for route in request.app.routes if not route.path.startswith(("/schema", "/docs/"))]
    near = get_close_matches(path[:200], [re.sub(r":\w+}", "}", each) for each in documented], n=1, cutoff=0.6)
    return f"did you mean {near[0]}?" if near else "/docs lists what there is"


def _explain(request: Request[Any, Any, Any], error: ValidationException) -> str:
    """Where and what, in one sentence: "limit: expected a whole number <= 50"."""
    extra = error.extra if isinstance(error.extra, list) else []
    parts = [
        f"{'body' if part.get('key') in (None, 'data') else part['key']}: "
        f"{say_plainly(part['message'], _find_choices(request, part))}"
        for part in extra
        if isinstance(part, dict) and part.get("message")
    ]
    return "; ".join(parts) or error.detail


def _find_choices(request: Request[Any, Any, Any], part: dict[str, Any]) -> tuple[Any, ...]:
    """What may stand there instead, where only some values may."""
    if not part["message"].startswith("Invalid enum"):
        return ()
    given = request.route_handler.parsed_fn_signature.parameters
    name, _, rest = str(part.get("key", "data")).partition(".")
    if part.get("source") != "body" and name in given and name != "data":
        return find_choices(given[name].annotation, rest)
    if "data" not in given:
        return ()
    return find_choices(given["data"].annotation, "[...]" if part.get("key") in (None, "data") else part["key"])


def _find_misread_member(error: Exception) -> str | None:
    """What of a body does not fit, where the framework takes it for a fault of ours.

    It does so when a member is called like something that handlers may ask for by name, as `tools` is.
    """
    cause = error.__cause__
    if not isinstance(error, InternalServerException) or not isinstance(cause, msgspec.ValidationError):
        return None
    message, _, place = str(cause).partition(" - at ")
    path = place.strip("`").removeprefix("$.data")
    return f"{path.lstrip('.') or 'body'}: {say_plainly(message)}" if path != place.strip("`") else None
