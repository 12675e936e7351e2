"""What clients may do to a connection: how long the head of a request may be, and how slowly a request may come.

The server beneath (uvicorn with httptools) limits neither: it would gather a head without end, and wait for the rest of
a request for ever, so that a few clients who send a byte now and then keep all connections that there are. It has no
hook for this, so its protocol is completed here. A request that comes whole in one packet, as nearly all do, costs no
timer.
"""

from asyncio import TimerHandle, Transport
from http import HTTPStatus
from typing import Any, Literal

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from toolbox.metrics import TOO_LARGE, TOO_SLOW

MAX_HEAD_BYTES = 32_768
"""Of the request line and all headers: a token of 8 KB, and what proxies add, fit in it several times."""
HEAD_SECONDS = 20.0
"""From when a client has connected, or from the first byte of its next request, until the head is whole."""
BODY_SECONDS = 20.0
BODY_BYTES_PER_SECOND = 1_000
"""A body may take so long, and a second more for so many of its bytes (as mod_reqtimeout of Apache has it)."""

_TOO_LARGE = f"the head of the request is longer than {MAX_HEAD_BYTES} bytes"
_TOO_SLOW = "the request did not come in time"


class GuardedProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._awaited: Literal["head", "body"] | None = "head"
        """What the client is to send on; None when a request is whole."""
        self._head_bytes = self._body_bytes = 0
        self._unparsed_bytes = 0
        """What the parser has been given since it last had something to say: it may keep all of that."""
        self._steps = 0
        self._is_refused = False
        self._deadline = 0.0
        self._timer: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._stop_watching()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some bytes have come."""
        if self._is_refused:
            return
        steps = self._steps
        super().data_received(data)
        if self.transport.is_closing():
            return
        self._unparsed_bytes = self._unparsed_bytes + len(data) if steps == self._steps else 0
        if max(self._unparsed_bytes, self._head_bytes) > MAX_HEAD_BYTES:
            self._refuse_head()
        elif self._awaited or self._timer or self._is_idle_and_unwatched():
            self._watch()

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._awaited = "head"
        self._head_bytes = self._body_bytes = 0
        self._stop_watching()

    def on_url(self, url: bytes) -> None:
        """A part of its path and query."""
        self._count_head(len(url))
        if self._head_bytes <= MAX_HEAD_BYTES:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or what looks like one behind a chunked body."""
        self._count_head(len(name) + len(value) + len(": \r\n"))
        if self._head_bytes <= MAX_HEAD_BYTES:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._awaited = "body"
        self._stop_watching()
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse_head()
        if not self._is_refused:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._steps += 1
        self._body_bytes += len(body)
        if not self._is_refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._steps += 1
        self._awaited = None
        self._stop_watching()
        if not self._is_refused:
            super().on_message_complete()

    def _count_head(self, length: int) -> None:
        self._steps += 1
        self._head_bytes += length

    def _is_answering(self) -> bool:
        cycle: Any = self.cycle  # None before the first request, whatever its annotation says
        return cycle is not None and not cycle.response_complete

    def _is_idle_and_unwatched(self) -> bool:
        """Whether bytes have come that begin no request, such as line breaks, where the server was about to hang up."""
        return not self._is_answering() and self.timeout_keep_alive_task is None

    def _watch(self) -> None:
        """See to it that what is awaited comes in time."""
        if self._timer is None:
            seconds = BODY_SECONDS if self._awaited == "body" else HEAD_SECONDS
            self._deadline = self.loop.time() + seconds
            self._timer = self.loop.call_later(seconds, self._look)

    def _stop_watching(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        """It is time; unless the client waits for us, or has sent a lot meanwhile, it is given up."""
        self._timer = None
        now = self.loop.time()
        if self._awaited == "body":
            if self.flow.read_paused:
                self._deadline = now + BODY_SECONDS
            left = self._deadline + self._body_bytes / BODY_BYTES_PER_SECOND - now
        else:
            left = HEAD_SECONDS if self._is_answering() else 0.0
        if left > 0:
            self._timer = self.loop.call_later(left, self._look)
            return
        TOO_SLOW[(self._awaited or "head",)].inc()
        if self._awaited == "head" and not self._head_bytes and not self._unparsed_bytes:
            self.transport.close()  # it has connected and said nothing: there is nothing to answer
        else:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "request_too_slow", _TOO_SLOW)

    def _refuse_head(self) -> None:
        TOO_LARGE["head",].inc()
        self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large", _TOO_LARGE)

    def _refuse(self, status: HTTPStatus, code: str, why: str) -> None:
        """Answer, where no answer has begun, and hang up."""
        self._is_refused = True
        self._stop_watching()
        if not (self._is_answering() and (self.cycle.response_started or self._awaited == "head")):
            problem = {"title": status.phrase, "status": int(status), "code": code, "detail": why}
            body = msgspec.json.encode(problem)
            head = b"content-type: application/problem+json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
            self.transport.write(STATUS_LINE[status] + head % len(body) + body)
        if self._is_answering():
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()
