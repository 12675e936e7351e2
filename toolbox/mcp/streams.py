"""The way back to one client: a JSON answer, or a stream of server-sent events once there is more than that to say.

Messages are written by whoever has them, and writing waits for the client: what a slow client does not read is not
kept here. (Streamable HTTP of MCP; the format of events is HTML's, section 9.2.)
"""

import asyncio

from litestar.types import Send

from toolbox.mcp.http import Reply

WRITE_SECONDS = 30.0
"""A client that reads nothing for so long is given up."""

_STREAM_HEAD = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]
_COMMENT = b": the connection is alive\n\n"


class Channel:
    """One response on its way. Without `accepts_stream`, all that is said before the answer is lost."""

    def __init__(self, send: Send, *, accepts_stream: bool) -> None:
        self.accepts_stream = accepts_stream
        self.is_open = False
        """Whether events have been sent, so that the answer is the last of them."""
        self._is_lost = False
        self._send = send
        self._writing = asyncio.Lock()

    async def send(self, message: bytes) -> None:
        """Send one message before the answer."""
        if self.accepts_stream:
            await self._write(encode_event(message))

    async def open(self) -> None:
        """Begin the stream before there is anything to say."""
        await self._write(_COMMENT)

    async def resend(self, event: bytes) -> None:
        """Send an event as it was encoded before."""
        await self._write(event)

    async def offer(self, message: bytes) -> None:
        """Send a message that can be missed, unless the client is still busy with the one before."""
        if not self._writing.locked():
            await self.send(message)

    async def release(self, retry_seconds: float) -> None:
        """Close the connection before the answer, where the client can come back for it; elsewhere it stays."""

    async def keep_alive(self) -> None:
        """Say nothing, so that no proxy takes the silence for the end."""
        if self.accepts_stream and not self._writing.locked():
            await self._write(_COMMENT)

    async def finish(self, reply: Reply) -> None:
        """Send the answer: as it is, or as the end of the stream."""
        if self.is_open:
            await self._write(encode_event(reply.body) if reply.body else b"", is_last=True)
            return
        content = [(b"content-type", b"application/json")] if reply.body else []
        head = [*content, (b"content-length", b"%d" % len(reply.body)), *reply.headers]
        await self._send({"type": "http.response.start", "status": int(reply.status), "headers": head})
        await self._send({"type": "http.response.body", "body": reply.body, "more_body": False})

    async def _write(self, event: bytes, *, is_last: bool = False) -> None:
        async with self._writing:
            if self._is_lost:
                return
            try:
                async with asyncio.timeout(WRITE_SECONDS):
                    if not self.is_open:
                        self.is_open = True
                        await self._send({"type": "http.response.start", "status": 200, "headers": _STREAM_HEAD})
                    await self._send({"type": "http.response.body", "body": event, "more_body": not is_last})
            except TimeoutError:
                self._is_lost = True


def encode_event(message: bytes, id: bytes | None = None) -> bytes:  # noqa: A002 - the name of the field
    """A message, which is JSON and so has no line breaks, as an event."""
    number = b"id: %b\n" % id if id else b""
    return b"event: message\n%bdata: %b\n\n" % (number, message)
