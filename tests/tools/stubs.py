"""What tests of tools of any kind share: a server that keeps what it is sent, secrets in memory, a call's context."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from toolbox.errors import SecretUnavailable
from toolbox.secrets.store import SecretStore
from toolbox.tools.base import ToolContext

OK = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{"ok":true}'


class MemorySecrets(SecretStore):
    """Secrets that no database keeps."""

    def __init__(self, **values: str) -> None:
        self.values = values

    async def get(self, name: str, toolset: str | None = None) -> str:
        if name not in self.values:
            raise SecretUnavailable(f"there is no secret {name!r}")
        return self.values[name]


class StubServer:
    """Keeps the bytes of each request, and answers with what the test gives it, one after another."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.answers: list[bytes | Callable[[asyncio.StreamWriter], Any]] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def last(self) -> bytes:
        """The newest request, with its port called PORT."""
        return self.requests[-1].replace(str(self.port).encode(), b"PORT")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (
                        int(line.split(b":")[1])
                        for line in head.split(b"\r\n")
                        if line.lower().startswith(b"content-length")
                    ),
                    0,
                )
                self.requests.append(head + await reader.readexactly(length))
                answer = self.answers.pop(0) if self.answers else OK
                if callable(answer):
                    await answer(writer)
                    break
                writer.write(answer)
                await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def stub_server() -> AsyncIterator[StubServer]:
    stub = StubServer()
    server = await asyncio.start_server(stub.serve, "127.0.0.1", 0)
    stub.port = server.sockets[0].getsockname()[1]
    yield stub
    server.close()


def answer(body: bytes, *, status: str = "200 OK", content_type: str = "application/json", more: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


def make_context(timeout_seconds: float = 10, **given: Any) -> ToolContext:
    async def run_blocking(function: Callable[[], Any]) -> Any:
        return await asyncio.to_thread(function)

    return ToolContext(
        tool_name="tool",
        execution_id="1",
        caller="c",
        timeout_seconds=timeout_seconds,
        run_blocking=run_blocking,
        **given,
    )
