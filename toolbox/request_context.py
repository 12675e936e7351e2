"""Which request the code that runs now works for; set by the middleware, empty outside of requests."""

from contextvars import ContextVar

request_id: ContextVar[str] = ContextVar("request_id", default="")
