"""Requests over HTTP: sent, read within limits, followed where a server redirects, sent again where they may be."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Mapping
from urllib.parse import quote, urljoin, urlsplit

import httpcore
import stamina
from msgspec import Struct

from toolbox.errors import ToolError
from toolbox.tools.bodies import Payload
from toolbox.tools.urls import LITERAL, Target

IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
"""RFC 9110, 9.2.2: what may be sent again when nobody knows whether it has arrived."""
TRY_AGAIN = frozenset({429, 502, 503, 504})
REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_REDIRECTS = 5
MAX_ATTEMPTS = 3
FIRST_PAUSE_SECONDS = 0.2
MAX_RETRY_AFTER_SECONDS = 10.0
CONNECT_SECONDS = 10.0


class Request(Struct, frozen=True):
    """A request as it is sent."""

    method: str
    target: Target
    headers: dict[str, str]
    private: frozenset[str]
    """Lower names of headers that hold secrets: they do not travel to another origin."""
    payload: Payload | None


class Answer(Struct, frozen=True):
    """What came back: the names of headers in lower case, and the decoded body."""

    status: int
    headers: dict[str, str]
    content: bytes


async def send(
    pool: httpcore.AsyncConnectionPool, request: Request, *, max_bytes: int, timeout_seconds: float, may_repeat: bool
) -> Answer:
    """Send a request, and follow where it is redirected to; an idempotent one again, if it `may_repeat`.

    Raises:
        ToolError: The server does not answer as it should.
    """
    attempts = MAX_ATTEMPTS if may_repeat and request.method in IDEMPOTENT else 1
    again = stamina.retry_context(
        on=_TryAgain,
        attempts=attempts,
        timeout=None,
        wait_initial=FIRST_PAUSE_SECONDS,
        wait_jitter=FIRST_PAUSE_SECONDS,
    )
    async for attempt in again:
        with attempt:
            try:
                answer = await _follow(pool, request, max_bytes, timeout_seconds)
            except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
                raise _TryAgain(describe_error(request.target, error)) from error
            if answer.status in TRY_AGAIN and attempt.num < attempts:
                await asyncio.sleep(_read_retry_after(answer.headers))
                raise _TryAgain(f"the server answered {answer.status}")
            return answer
    raise AssertionError("unreachable")  # the last attempt returns or raises


async def _follow(
    pool: httpcore.AsyncConnectionPool, request: Request, max_bytes: int, timeout_seconds: float
) -> Answer:
    for _ in range(MAX_REDIRECTS + 1):
        answer = await exchange(pool, request, max_bytes, timeout_seconds)
        if answer.status not in REDIRECTS or "location" not in answer.headers:
            return answer
        request = _redirect(request, answer.status, answer.headers["location"])
    raise ToolError(f"it redirects more than {MAX_REDIRECTS} times")


class _TryAgain(ToolError):
    """It failed in a way that may pass."""


async def exchange(
    pool: httpcore.AsyncConnectionPool, request: Request, max_bytes: int, timeout_seconds: float
) -> Answer:
    """Send a request once.

    Raises:
        ToolError: The answer is too long, or compressed in a way that was not asked for.
    """
    target, payload = request.target, request.payload
    headers = [(name.encode("ascii"), value.encode("utf-8")) for name, value in request.headers.items()]
    headers.append((b"Accept-Encoding", b"gzip"))
    limits = {"connect": CONNECT_SECONDS, "pool": timeout_seconds, "read": timeout_seconds, "write": timeout_seconds}
    url = httpcore.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.path.encode("ascii"))
    content = payload.content if payload else (b"" if request.method in {"POST", "PUT", "PATCH"} else None)
    sending = pool.stream(request.method, url, headers=headers, content=content, extensions={"timeout": limits})
    async with sending as response:
        answered = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
        chunks, size = [], 0
        async for chunk in _decode(response.aiter_stream(), answered.get("content-encoding", "identity"), max_bytes):
            size += len(chunk)
            if size > max_bytes:
                raise ToolError(f"the answer is longer than {max_bytes:,} bytes")
            chunks.append(chunk)
        return Answer(response.status, answered, b"".join(chunks))


async def _decode(stream: AsyncIterator[bytes], encoding: str, max_bytes: int) -> AsyncIterator[bytes]:
    """Inflate by and by: a few bytes may stand for gigabytes."""
    if encoding.strip().lower() in {"identity", ""}:
        async for chunk in stream:
            yield chunk
        return
    if encoding.strip().lower() not in {"gzip", "x-gzip", "deflate"}:
        raise ToolError(f"the answer is compressed with {encoding[:50]!r}, which was not asked for")
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        async for chunk in stream:
            yield inflate.decompress(chunk, max_bytes + 1)
            if inflate.unconsumed_tail:
                raise ToolError(f"the answer is longer than {max_bytes:,} bytes")
        if not inflate.eof:
            raise ToolError("the answer ends in the middle of what its Content-Encoding compresses")
    except zlib.error as error:
        raise ToolError(f"the answer is not what its Content-Encoding says: {error}") from error


def _redirect(request: Request, status: int, location: str) -> Request:
    """Where the server sends us. Credentials stay with their origin, and a body is not sent to another one."""
    target = request.target
    port = f":{target.port}" if target.port else ""
    host = target.host.decode()
    base = f"{target.scheme.decode()}://{f'[{host}]' if ':' in host else host}{port}{target.path}"
    try:
        parts = urlsplit(urljoin(base, location))
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ToolError(f"it redirects to {location[:200]!r}, which is no http or https URL")
        port_number, name = parts.port, parts.hostname.encode("idna" if ":" not in parts.hostname else "ascii")
    except ValueError as error:
        raise ToolError(f"it redirects to {location[:200]!r}, which is no URL") from error
    path = quote(parts.path or "/", safe=LITERAL)
    if parts.query:
        path += f"?{quote(parts.query, safe=LITERAL + '?')}"
    moved = Target(parts.scheme.encode(), name, port_number, path)
    becomes_get = status == 303 or (status in {301, 302} and request.method == "POST")
    method = "GET" if becomes_get and request.method != "HEAD" else request.method
    payload = None if becomes_get else request.payload
    headers = request.headers
    if moved.origin != target.origin:
        if payload is not None or method not in {"GET", "HEAD"}:
            raise ToolError(f"it redirects {method} to another server, {parts.scheme}://{parts.netloc[:200]}")
        headers = {key: value for key, value in headers.items() if key.lower() not in request.private}
    if payload is None:
        headers = {key: value for key, value in headers.items() if key.lower() != "content-type"}
    return Request(method, moved, headers, request.private, payload)


def _read_retry_after(headers: Mapping[str, str]) -> float:
    """Seconds; a date is not worth the trouble."""
    given = headers.get("retry-after", "")
    return min(float(given), MAX_RETRY_AFTER_SECONDS) if given.isdigit() else 0.0


def describe_error(target: Target, error: Exception) -> str:
    """What a connection that failed is for whoever called."""
    what = str(error) or type(error).__name__
    return f"{target.host.decode()} does not answer as it should: {what:.300}"
