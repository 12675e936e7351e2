"""The OpenAPI document: the framework knows the routes, msgspec knows the shapes, and errors are described once.

The framework's own reading of our structs loses limits and refused fields, so its schemas are replaced by those of the
library that reads the bodies.
"""

from functools import cache
from http import HTTPStatus
from typing import Any

import msgspec
from litestar.serialization import encode_json

from toolbox.admin.documents import DocumentReport
from toolbox.admin.log_routes import LogLevel
from toolbox.admin.schemas import Accepted, Stats
from toolbox.audit import AuditedChange
from toolbox.auth.schemas import IssuedKey, Key, NewKey, Rotation
from toolbox.calls.excerpts import More
from toolbox.calls.history import CallSummary
from toolbox.calls.schemas import CallToolRequest, CallToolResponse, RecordedCall
from toolbox.calls.statistics import CallStatistics
from toolbox.definitions import Upstream
from toolbox.embeddings.cache import CacheStatistics
from toolbox.health import DetailedHealth, Health
from toolbox.plugins import Plugin
from toolbox.problems import MEDIA_TYPE, Problem
from toolbox.reloads import ReloadReport
from toolbox.search.schemas import FindRequest, Match
from toolbox.secrets.routes import NewSecret, Rotated
from toolbox.secrets.store import StoredSecret
from toolbox.tools.admin_schemas import (
    ImportReport,
    PinRequest,
    RollBackRequest,
    ToolDraft,
    ToolState,
    VersionDetail,
    VersionSummary,
    WaitingVersion,
)
from toolbox.tools.changes import Change
from toolbox.tools.schemas import CategoryCount, ListRequest, ToolDetail, ToolSummary
from toolbox.toolsets.admin_routes import ToolsetState
from toolbox.toolsets.schemas import ToolsetDefinition
from toolbox.upstreams.catalogue import Changes
from toolbox.upstreams.schemas import (
    Approved,
    ApproveRequest,
    ImportedUpstreams,
    UpstreamDetail,
    UpstreamLogs,
    UpstreamSummary,
)

SHAPES = (
    Accepted,
    ApproveRequest,
    Approved,
    AuditedChange,
    CacheStatistics,
    CallStatistics,
    CallSummary,
    CallToolRequest,
    CallToolResponse,
    CategoryCount,
    Change,
    Changes,
    DetailedHealth,
    DocumentReport,
    FindRequest,
    Health,
    ImportReport,
    ImportedUpstreams,
    IssuedKey,
    Key,
    ListRequest,
    LogLevel,
    Match,
    More,
    NewKey,
    NewSecret,
    PinRequest,
    Plugin,
    Problem,
    RecordedCall,
    ReloadReport,
    RollBackRequest,
    Rotated,
    Rotation,
    Stats,
    StoredSecret,
    ToolDetail,
    ToolDraft,
    ToolState,
    ToolSummary,
    ToolsetDefinition,
    ToolsetState,
    Upstream,
    UpstreamDetail,
    UpstreamLogs,
    UpstreamSummary,
    VersionDetail,
    VersionSummary,
    WaitingVersion,
)
"""Every body that a route takes or gives; a new one is added here, and a test finds it missing."""

PROBLEMS = {
    400: "The request cannot be read; `detail` names the field or parameter.",
    401: "Who is calling is not known: a key is missing, mistyped, revoked or expired.",
    403: "The caller lacks `scope`; or a web page of somebody else sends the request (CORS_ORIGINS names who may).",
    404: "What the request names does not exist.",
    405: "The path does not answer this method; the header `Allow` names those that it does.",
    409: "It does not fit what is there: nothing can run the tool, its name is taken, or it belongs to somebody else.",
    412: "It has changed since it was read: `If-Match` names another state.",
    413: "The body is larger than MAX_REQUEST_SIZE, or a tool than MAX_TOOL_REGISTRATION_SIZE.",
    421: "The host that the request names is not this server; PUBLIC_URL names the one that clients use.",
    429: "Too many requests; `Retry-After` says when to come back, `RateLimit` how much is allowed.",
    422: "The arguments do not fit the tool's schema; `violations` names each one.",
    428: "`If-Match` is missing: say which state the change is based on.",
    500: "Our fault; the log explains it under `error_id`.",
    502: "An upstream did not do what it was asked for; the answer says what it said.",
    503: "Not now: the database does not answer, too many calls wait, or this replica lacks the tool. Try again later.",
}
SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A key of ToolBox, or a token where it takes them."},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "A key of ToolBox."},
}
"""How callers say who they are; where ToolBox is open to its own machine, they need not."""
ANYWHERE = (401, 403, 405, 421, 429, 500)
"""What any route may answer, whatever else it does."""


def complete_document(drafted: dict[str, Any]) -> dict[str, Any]:
    """The document that the framework has drafted, with our schemas and with every error that can happen."""
    document: dict[str, Any] = msgspec.json.decode(encode_json(drafted))
    for item in document["paths"].values():
        for operation in item.values():
            _complete_operation(operation)
    document["components"] |= {
        "schemas": _schemas(),
        "responses": _problem_responses(),
        "securitySchemes": SECURITY_SCHEMES,
    }
    document["security"] = [{}, *({name: []} for name in SECURITY_SCHEMES)]
    return document


def _complete_operation(operation: dict[str, Any]) -> None:
    for parameter in operation.get("parameters", ()):
        parameter["schema"] = _without_null(parameter["schema"])
    responses = operation["responses"]
    for status, response in list(responses.items()):
        content = response.get("content", {})
        if int(status) < HTTPStatus.BAD_REQUEST or _is_ours(response):
            for media in content.values():
                media["schema"].pop("examples", None)  # the framework makes them up, other ones each time
        else:
            del responses[status]
            if MEDIA_TYPE in content:
                responses[status] = _reference(int(status))
    responses |= {str(status): _reference(status) for status in ANYWHERE}
    operation["responses"] = dict(sorted(responses.items()))


def _is_ours(response: dict[str, Any]) -> bool:
    """Whether an error has a body of its own: the health of a server that is not ready is no problem details."""
    return any("$ref" in media["schema"] for kind, media in response["content"].items() if kind != MEDIA_TYPE)


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter that is not given is left out: in a URL there is no null."""
    choices = [choice for choice in schema.pop("oneOf", ()) if choice != {"type": "null"}]
    return schema | (choices[0] if choices else {})


def _reference(status: int) -> dict[str, str]:
    return {"$ref": f"#/components/responses/{_name(status)}"}


def _name(status: int) -> str:
    return HTTPStatus(status).phrase.title().replace(" ", "")


@cache
def _schemas() -> dict[str, Any]:
    return msgspec.json.schema_components(SHAPES, ref_template="#/components/schemas/{name}")[1]


def _problem_responses() -> dict[str, Any]:
    content = {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}}
    return {_name(status): {"description": text, "content": content} for status, text in PROBLEMS.items()}
