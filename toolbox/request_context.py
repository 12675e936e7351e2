"""What is known of the request that is being served, for log lines and traces: whoever finds it out, keeps it here."""

import traceback
from contextvars import ContextVar


class RequestFacts:
    """One request: its id, and who wants what, as soon as that is known."""

    __slots__ = ("caller", "explains_errors", "method", "request_id", "tool")

    def __init__(self, request_id: str, caller: str | None = None, *, explains_errors: bool = False) -> None:
        self.request_id = request_id
        self.caller = caller
        """As the history shows it."""
        self.explains_errors = explains_errors
        """Whether the answer may say why something went wrong here: DEBUG."""
        self.tool: str | None = None
        """The tool that is called; one that does not exist is none."""
        self.method: str | None = None
        """The method of MCP; one that does not exist is none."""

    def part(self) -> "RequestFacts":
        """The same request, for one of several messages in it."""
        return RequestFacts(self.request_id, self.caller, explains_errors=self.explains_errors)


REQUEST: ContextVar[RequestFacts | None] = ContextVar("toolbox_request", default=None)
"""The request that the code at hand works for; None in the background."""


def current_request_id() -> str | None:
    """The id of the request that the code at hand works for."""
    facts = REQUEST.get()
    return facts.request_id if facts else None


def explain(error: BaseException) -> str | None:
    """What the answer may say of a fault of ours, or of a plugin: its traceback with DEBUG, else nothing."""
    facts = REQUEST.get()
    return "".join(traceback.format_exception(error)) if facts and facts.explains_errors else None
