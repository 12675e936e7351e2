"""An embedding endpoint that misbehaves on request: a real HTTP server on a port of its own.

Its vectors mean something: texts that share words are alike, so a search over them finds what it should.
"""

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, NamedTuple

from anyio.from_thread import BlockingPortal, start_blocking_portal

DIMENSIONS = 64


class Asked(NamedTuple):
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    at: float

    @property
    def texts(self) -> list[str]:
        """What is to be embedded, however it was sent."""
        given = self.body["input"]
        return [given] if isinstance(given, str) else given


class Answer(NamedTuple):
    """What is sent back; `body` is JSON unless it is bytes."""

    body: Any
    status: int = 200
    headers: tuple[str, ...] = ()


class EndpointServer:
    """Answers as OpenAI does, unless `behave` says otherwise."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.behave: Callable[[Asked], Answer | None] = good
        """What to answer; None never answers."""

        self.port = 0
        self.is_asked = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()
        self._server: asyncio.Server | None = None
        self._connections = set[asyncio.StreamWriter]()
        self.most_connections = 0

    @property
    def url(self) -> str:
        """As EMBEDDING_ENDPOINT_URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def batches(self) -> list[list[str]]:
        """The texts of each request."""
        return [asked.texts for asked in self.asked]

    async def start(self) -> None:
        """Listen; after a stop on the same port again."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuse connections, and cut those that there are."""
        if self._server is None:
            return
        self._server.close()
        for writer in self._connections:
            writer.transport.abort()
        await self._server.wait_closed()
        self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        self.most_connections = max(self.most_connections, len(self._connections))
        try:
            async for asked in _requests(reader):
                self.asked.append(asked)
                self.is_asked.set()
                answer = self.behave(asked)
                if answer is None:
                    await reader.read()  # until the client has had enough
                    return
                await self.go_on.wait()
                writer.write(_to_bytes(answer))
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client is gone
        finally:
            self._connections.discard(writer)
            writer.close()


@contextlib.asynccontextmanager
async def running_endpoint() -> AsyncIterator[EndpointServer]:
    """A server that listens while the block runs."""
    server = EndpointServer()
    await server.start()
    yield server
    server.go_on.set()
    await server.stop()


class EndpointApart:
    """An endpoint on an event loop of its own: the test client of an application blocks the test's."""

    def __init__(self, portal: BlockingPortal) -> None:
        self._portal = portal
        self.server = EndpointServer()

    def start(self) -> None:
        self._portal.call(self.server.start)

    def stop(self) -> None:
        self._portal.call(self.server.stop)


@contextlib.contextmanager
def running_apart() -> Iterator[EndpointApart]:
    """A server that listens while the block runs."""
    with start_blocking_portal() as portal:
        apart = EndpointApart(portal)
        apart.start()
        yield apart
        apart.stop()


def good(asked: Asked) -> Answer:
    """What OpenAI would answer."""
    return Answer({"object": "list", "model": asked.body["model"], "data": rows(asked.texts)})


def rows(texts: list[str]) -> list[dict[str, Any]]:
    return [{"object": "embedding", "index": index, "embedding": vector(text)} for index, text in enumerate(texts)]


def vector(text: str, dimensions: int = DIMENSIONS) -> list[float]:
    """The words of a text, each hashed to a few of the dimensions; not of length 1."""
    sums = [0.01] * dimensions
    for word in text.casefold().replace("_", " ").split():
        for byte in hashlib.sha256(word.strip(".,").encode()).digest()[:4]:
            sums[byte % dimensions] += 1.0
    return sums


def first_fail(times: int, answer: Answer) -> Callable[[Asked], Answer]:
    """Answer so as often as said, then well."""
    left: Iterator[None] = iter([None] * times)
    return lambda asked: answer if next(left, 0) is None else good(asked)


async def _requests(reader: asyncio.StreamReader) -> AsyncIterator[Asked]:
    while head := await _read_head(reader):
        request_line, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        yield Asked(request_line.split(" ")[1], headers, json.loads(body), asyncio.get_running_loop().time())


async def _read_head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""


def _to_bytes(answer: Answer) -> bytes:
    body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
    lines = [f"HTTP/1.1 {answer.status} Something", f"Content-Length: {len(body)}", *answer.headers]
    return "\r\n".join([*lines, "", ""]).encode() + body
