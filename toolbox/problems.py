"""Errors as HTTP answers: problem details (RFC 9457) with a stable code and the request's id.

This is the one place where errors leave as HTTP. What is our fault says nothing of our insides: the log explains it
under the `error_id` that the answer carries.
"""

from http import HTTPStatus
from typing import Any
from uuid import uuid4

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.openapi.datastructures import ResponseSpec

from toolbox.errors import ToolboxError

logger = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of an answer that is an error; further members depend on the code."""

    title: str
    status: int
    code: str
    detail: str
    type: str = "about:blank"
    request_id: str = ""
    error_id: str = ""


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
        return _answer(request, error.status, error.code, error.message, error.details)
    if isinstance(error, ToolboxError) and error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        return _answer(request, error.status, error.code, error.message, headers={"Retry-After": "1"})
    if isinstance(error, ValidationException):
        return _answer(request, 400, "invalid_request", _explain(error))
    if isinstance(error, UnicodeDecodeError):
        return _answer(request, 400, "invalid_request", "body: it is not UTF-8")
    if isinstance(error, RecursionError):  # only reading a body goes as deep as a caller wants it to
        return _answer(request, 400, "invalid_request", "body: it is nested too deeply")
    if isinstance(error, HTTPException) and error.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
        code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
        return _answer(request, error.status_code, code, error.detail, headers=error.headers)
    error_id = uuid4().hex
    logger.error("a request failed", path=request.url.path, error_id=error_id, exc_info=error)
    return _answer(request, 500, "internal", "something went wrong here, and was logged", {"error_id": error_id})


def _answer(
    request: Request[Any, Any, Any],
    status: int,
    code: str,
    detail: str,
    members: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
) -> Response[bytes]:
    request_id = request.scope.get("state", {}).get("request_id", "")
    problem = Problem(HTTPStatus(status).phrase, status, code, detail, request_id=request_id)
    body = msgspec.to_builtins(problem) | (members or {})
    return Response(msgspec.json.encode(body), status_code=status, media_type=MEDIA_TYPE, headers=headers or {})


def _explain(error: ValidationException) -> str:
    """Where and what, in one sentence: "limit: expected `int` <= 50 (body)"."""
    extra = error.extra if isinstance(error.extra, list) else []
    parts = [
        f"{'body' if part.get('key') in (None, 'data') else part['key']}: {part['message']}"
        for part in extra
        if isinstance(part, dict) and part.get("message")
    ]
    return "; ".join(parts) or error.detail
