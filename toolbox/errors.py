"""The error tree. Each error has a stable code, an HTTP status and a JSON-RPC code; its message says what and where.

ToolboxError
├── InvalidRequest                400  invalid_request
│   ├── InvalidArguments          422  invalid_arguments
│   └── InvalidDefinition         422  invalid_definition
├── Unauthenticated               401  unauthenticated
├── InsufficientScope             403  insufficient_scope
├── RateLimited                   429  rate_limited
├── WrongHost                     421  wrong_host
├── ForeignOrigin                 403  foreign_origin
├── InvalidBackup                 400  invalid_backup       (wrong, damaged, or not for this database)
├── NotFound                      404  not_found
│   └── ToolNotFound              404  tool_not_found
├── Conflict                      409  conflict
├── ToolNotRunnable               409  tool_not_runnable
├── SecretUnavailable             409  secret_unavailable
├── PreconditionFailed            412  precondition_failed
├── PreconditionRequired          428  precondition_required
├── TooLarge                      413  too_large
├── ToolNotHere                   503  tool_not_here
├── Overloaded                    503  overloaded
├── DatabaseUnavailable           503  database_unavailable
├── EmbeddingError                503  embedding_failed
├── UpstreamFailed                502  upstream_failed
├── SettingsError                 500  invalid_setting      (refuses start)
├── PluginError                   500  plugin_failed        (kept with its plugin)
└── EmbeddedPostgresError         500  embedded_postgres    (refuses start)

ToolError: raised by a tool's own code; a failed call, not a failed request.
"""

import math
from typing import Any, ClassVar

from msgspec import Struct

FAULT = "something went wrong here, and was logged"
"""All that a caller is told of a fault of ours, but for the id under which the log has it."""


class ToolboxError(Exception):
    """The root: an error that ToolBox understands and reports in its own words."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    jsonrpc_code: ClassVar[int] = -32603

    def __init__(self, message: str, **details: Any) -> None:
        """`details` travel to the caller as further members of the problem (RFC 9457, 3.2)."""
        super().__init__(message)
        self.message = message
        self.details = details

    @property
    def for_callers(self) -> str:
        """What callers are told: the message, unless it tells of our insides."""
        return self.message


class InvalidRequest(ToolboxError):
    """The request cannot be understood; the message says which part."""

    code = "invalid_request"
    status = 400
    jsonrpc_code = -32602


class Violation(Struct, frozen=True):
    """One thing wrong with a JSON value: where (a JSON Pointer, RFC 6901) and what."""

    path: str
    message: str


class InvalidArguments(InvalidRequest):
    """The arguments of a call do not fit the tool's schema; `violations` names each path."""

    code = "invalid_arguments"
    status = 422

    def __init__(self, tool_name: str, violations: list[Violation]) -> None:
        listed = "; ".join(f"{violation.path or '(arguments)'}: {violation.message}" for violation in violations)
        super().__init__(f"arguments of {tool_name!r} do not fit its schema: {listed}", violations=violations)
        self.violations = violations


class InvalidDefinition(InvalidRequest):
    """A tool's definition cannot be used."""

    code = "invalid_definition"
    status = 422


class Unauthenticated(ToolboxError):
    """Nobody knows who is calling: a key or token is missing, wrong or no longer good."""

    code = "unauthenticated"
    status = 401
    jsonrpc_code = -32600

    def __init__(self, message: str, *, was_shown: bool = True) -> None:
        """`was_shown` is false where nothing was: then there is nothing wrong with it."""
        super().__init__(message)
        self.was_shown = was_shown


class InsufficientScope(ToolboxError):
    """The caller is known, and may not do this; `scope` is what it lacks."""

    code = "insufficient_scope"
    status = 403
    jsonrpc_code = -32600

    def __init__(self, scope: str, why: str = "") -> None:
        super().__init__(why or f"this needs the scope {scope!r}, which you do not have", scope=scope)
        self.scope = scope


class RateLimited(ToolboxError):
    """The caller has asked too much lately, or a toolset was; `headers` say how much it may."""

    code = "rate_limited"
    status = 429
    jsonrpc_code = -32029

    def __init__(self, retry_seconds: float, headers: dict[str, str], what: str = "too many requests") -> None:
        super().__init__(f"{what}: try again in {math.ceil(retry_seconds)} s")
        self.retry_seconds = retry_seconds
        self.headers = {"Retry-After": str(math.ceil(retry_seconds)), **headers}


class WrongHost(ToolboxError):
    """The request names a host that is not this server: a page that rebinds its name to our address does so."""

    code = "wrong_host"
    status = 421


class ForeignOrigin(ToolboxError):
    """A web page of somebody else sends the request."""

    code = "foreign_origin"
    status = 403


class InvalidBackup(ToolboxError):
    """A file cannot be restored here; the message says why, and the database is as it was."""

    code = "invalid_backup"
    status = 400


class NotFound(ToolboxError):
    """What the request names does not exist."""

    code = "not_found"
    status = 404
    jsonrpc_code = -32602


FIND = "POST /mcp/find_tool"
"""How callers of REST search."""


class ToolNotFound(NotFound):
    """No active tool has this name; `suggestions` are near ones."""

    code = "tool_not_found"

    def __init__(self, name: str, suggestions: list[str], advice: str = f"{FIND} searches by meaning") -> None:
        """`advice` is given where no name is near; without one, that for callers of REST."""
        self.name = name
        self.suggestions = suggestions
        hint = f"near names: {', '.join(suggestions)}" if suggestions else advice
        super().__init__(f"there is no tool {name!r}; {hint}", suggestions=suggestions)


class Conflict(ToolboxError):
    """What is asked for contradicts what is there already."""

    code = "conflict"
    status = 409
    jsonrpc_code = -32602


class ToolNotRunnable(ToolboxError):
    """The tool is listed and found, but nothing was given that could run it."""

    code = "tool_not_runnable"
    status = 409
    jsonrpc_code = -32602


class SecretUnavailable(ToolboxError):
    """A secret is needed and not set, or SECRET_KEY does not open it."""

    code = "secret_unavailable"
    status = 409


class PreconditionFailed(ToolboxError):
    """What is to be changed is not any more as the request has it (`If-Match`)."""

    code = "precondition_failed"
    status = 412


class PreconditionRequired(ToolboxError):
    """The change must say what it is based on, in `If-Match`."""

    code = "precondition_required"
    status = 428


class TooLarge(ToolboxError):
    """Something is larger than a setting allows; names both."""

    code = "too_large"
    status = 413


class ToolNotHere(ToolboxError):
    """This replica has not installed the plugin that runs the tool."""

    code = "tool_not_here"
    status = 503


class Overloaded(ToolboxError):
    """Too much is going on; try again later."""

    code = "overloaded"
    status = 503


class DatabaseUnavailable(ToolboxError):
    """PostgreSQL does not answer."""

    code = "database_unavailable"
    status = 503

    @property
    def for_callers(self) -> str:
        """Not the message, in which are addresses, paths and names of roles."""
        return "the database cannot be reached at the moment; try again"


class EmbeddingError(ToolboxError):
    """An embedder failed."""

    code = "embedding_failed"
    status = 503


class UpstreamFailed(ToolboxError):
    """An upstream cannot be reached, does not start, or does not answer as MCP servers do."""

    code = "upstream_failed"
    status = 502

    def __init__(self, message: str, *, is_lasting: bool = False) -> None:
        """`is_lasting`: the next attempt will fail alike, as with a wrong address, a refused token or no program."""
        super().__init__(message)
        self.is_lasting = is_lasting


class SettingsError(ToolboxError):
    """A setting does not parse or contradicts another; names the variable, the value and what is allowed."""

    code = "invalid_setting"


class PluginError(ToolboxError):
    """A plugin, one of its hooks or one of its tools cannot be used."""

    code = "plugin_failed"


class EmbeddedPostgresError(ToolboxError):
    """The PostgreSQL that ToolBox runs itself cannot start, or belongs to another process."""

    code = "embedded_postgres"


class ToolError(Exception):
    """Raise this in a tool to tell the caller, in your words, why the call failed."""
