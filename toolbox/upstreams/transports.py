"""Ways to a server: what the SDK's client reads from and writes to. Loaded with the SDK, when the first is needed."""

import asyncio
import contextlib
import functools
import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import anyio
import httpx2
import mcp_types
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.message import SessionMessage

from toolbox.telemetry import inject_context
from toolbox.upstreams.logs import Log
from toolbox.upstreams.process import READ_BYTES, Process

MAX_MESSAGE_BYTES = 8 * 1024 * 1024
"""Of one message. A server that sends more is cut off: nobody could say whom it was for."""
MAX_GARBAGE_LINES = 1_000
"""Lines on standard output that are no JSON-RPC: some servers greet, but one that goes on so speaks something else."""
EXIT_SECONDS = 0.5
WRITE_SECONDS = 30.0
"""How long a server may leave unread what it is sent."""

Streams = tuple[
    MemoryObjectReceiveStream[SessionMessage | Exception],
    MemoryObjectSendStream[SessionMessage],
]


class Ending:
    """Why a connection has ended, as far as its transport knows."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self.ended = asyncio.Event()

    def end(self, reason: str) -> None:
        """Keep the first reason."""
        self.reason = self.reason or reason
        self.ended.set()


@contextlib.asynccontextmanager
async def stdio_streams(
    process: Process, log: Log, ending: Ending, *, max_message_bytes: int = MAX_MESSAGE_BYTES
) -> AsyncIterator[Streams]:
    """Speak to a process by lines of JSON; what is no message goes to its log."""
    to_session, from_server = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    to_server, from_session = anyio.create_memory_object_stream[SessionMessage](0)

    async def read() -> None:
        try:
            await _read_messages(process, log, to_session, max_message_bytes)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):  # the session is gone
            return
        except _NoMessages as error:
            ending.end(str(error))
        with contextlib.suppress(TimeoutError):  # most often because it has ended, and then that is told
            await asyncio.wait_for(process.ended.wait(), EXIT_SECONDS)
        ending.end("it has closed its standard output" if process.status is None else "it has ended")
        await to_session.aclose()

    async def write() -> None:
        async with from_session:
            async for message in from_session:
                line = message.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n"
                try:
                    async with asyncio.timeout(WRITE_SECONDS):
                        process.input.write(line)
                        await process.input.drain()
                except (OSError, RuntimeError):
                    ending.end("it does not read its standard input any more")
                    break
                except TimeoutError:
                    ending.end(f"it has not read its standard input for {WRITE_SECONDS:g} s")
                    break
        await to_session.aclose()

    tasks = [asyncio.create_task(read()), asyncio.create_task(write())]
    try:
        yield from_server, to_server
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for stream in (to_session, from_server, to_server, from_session):
            stream.close()


class _NoMessages(Exception):
    """What comes is not the protocol."""


async def _read_messages(
    process: Process, log: Log, to_session: MemoryObjectSendStream[SessionMessage | Exception], max_bytes: int
) -> None:
    parts, size, garbage = list[bytes](), 0, 0
    while chunk := await process.output.read(READ_BYTES):
        *lines, rest = chunk.split(b"\n")
        for line in lines:
            size += len(line)
            _refuse_long(size, max_bytes)
            whole = b"".join([*parts, line]) if parts else line
            parts, size = [], 0
            message = _parse(whole)
            if message is not None:
                await to_session.send(message)
            elif whole.strip():
                garbage += 1
                log.add("stdout", whole[:500].decode(errors="replace"))
                if garbage > MAX_GARBAGE_LINES:
                    raise _NoMessages(f"it wrote {MAX_GARBAGE_LINES} lines to its standard output that are no messages")
        if rest:
            parts.append(rest)
            size += len(rest)
            _refuse_long(size, max_bytes)


def _refuse_long(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise _NoMessages(f"it wrote a line of more than {max_bytes:,} bytes")


def _parse(line: bytes) -> SessionMessage | None:
    try:
        return SessionMessage(mcp_types.jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError:
        return None


class HttpReport:
    """What HTTP said last: the SDK tells of a refused request only that it failed."""

    def __init__(self) -> None:
        self.status: int | None = None

    async def see(self, response: httpx2.Response) -> None:
        """Called with each response."""
        self.status = response.status_code


def create_http_client(
    url: str,
    *,
    headers: Mapping[str, str],
    connections: int,
    connect_seconds: float,
    report: HttpReport,
    auth: httpx2.Auth | None = None,
) -> httpx2.AsyncClient:
    """The HTTP client of one session: its own few connections, its own headers, answers of a bounded size.

    Nobody else's header travels with it: what a caller sent to ToolBox is unknown here.
    """
    limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=min(connections, 8))
    transport = httpx2.AsyncHTTPTransport(verify=_tls(), limits=limits, proxy=_find_proxy(url))
    return httpx2.AsyncClient(
        headers={"accept-encoding": "identity", **headers},
        transport=_Bounded(transport),
        timeout=httpx2.Timeout(connect_seconds, read=None),  # how long an answer may take, the call says
        auth=auth,
        event_hooks={"request": [_tell_trace], "response": [report.see]},
        follow_redirects=False,
    )


async def _tell_trace(request: httpx2.Request) -> None:
    """The SDK tells the trace in `_meta` alone, which nobody between here and the server reads."""
    inject_context(request.headers)


def http_streams(url: str, client: httpx2.AsyncClient) -> Any:
    """Streamable HTTP."""
    return streamable_http_client(url, http_client=client, max_sse_event_size=MAX_MESSAGE_BYTES)


def sse_streams(url: str, client: httpx2.AsyncClient) -> Any:
    """The HTTP+SSE transport of 2024-11-05."""

    def give(
        headers: dict[str, str] | None = None,  # noqa: ARG001 - the client has its own
        timeout: httpx2.Timeout | None = None,  # noqa: ARG001
        auth: httpx2.Auth | None = None,  # noqa: ARG001
    ) -> httpx2.AsyncClient:
        return client

    return sse_client(url, httpx_client_factory=give)


@functools.cache
def _tls() -> ssl.SSLContext:
    """Made once: it reads all certificates of the machine."""
    return httpx2.create_ssl_context()


def _find_proxy(url: str) -> str | None:
    """The proxy that the environment names for an address (HTTPS_PROXY, NO_PROXY ...)."""
    parts = urlsplit(url)
    if not parts.hostname or proxy_bypass(parts.hostname):
        return None
    return getproxies().get(parts.scheme)


class _Bounded(httpx2.AsyncBaseTransport):
    """Ends answers that do not end: of an event stream each event is bounded (by the SDK), of any other the whole.

    Nor is anything unpacked: a few bytes may become many.
    """

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._inner.handle_async_request(request)
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            await response.aclose()
            raise httpx2.ReadError("the answer is compressed, which was not asked for", request=request)
        if not response.headers.get("content-type", "").lower().startswith("text/event-stream"):
            response.stream = _BoundedStream(response.stream)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class _BoundedStream(httpx2.AsyncByteStream):
    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._inner:
            size += len(chunk)
            if size > MAX_MESSAGE_BYTES:
                raise httpx2.ReadError(f"the answer has more than {MAX_MESSAGE_BYTES:,} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()
