"""What clients may do to a connection: raw sockets against the server that we use."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn

from toolbox import connections
from toolbox.connections import MAX_HEAD_BYTES, GuardedProtocol

PATIENCE_SECONDS = 20


let_go = asyncio.Event()


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """Say how long the body was; on /slow, when the test says so."""
    if scope["path"] == "/slow":
        await let_go.wait()
    length, has_more = 0, True
    while has_more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        length += len(message["body"])
        has_more = message["more_body"]
    body = b"%d bytes" % length
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
async def port() -> AsyncIterator[int]:
    """Where a server of our kind listens."""
    config = uvicorn.Config(answer, port=0, http=GuardedProtocol, ws="none", lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    serving = asyncio.create_task(server._serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await serving


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less time than a client has else."""
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(connections, "BODY_SECONDS", 0.3)


async def send(port: int, *parts: bytes, pause: float = 0.0, keeps_on: bytes = b"") -> bytes:
    """What comes back until the server hangs up, for parts that are sent one after the other."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def send_all() -> None:
        try:
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(pause)
            while keeps_on:
                writer.write(keeps_on)
                await writer.drain()
                await asyncio.sleep(pause)
        except OSError:
            pass  # the server has hung up

    sending = asyncio.create_task(send_all())
    received = b""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while data := await reader.read(65536):
                received += data
    except ConnectionResetError:
        pass
    sending.cancel()
    writer.close()
    return received


HEAD = b"POST / HTTP/1.1\r\nhost: x\r\n"
CLOSE = b"connection: close\r\n"


async def test_what_is_within_the_limits_is_answered(port: int) -> None:
    long = b"x-long: " + b"a" * (MAX_HEAD_BYTES - 200) + b"\r\n"
    whole = HEAD + CLOSE + long + b"content-length: 3\r\n\r\nabc"
    assert (await send(port, whole)).endswith(b"3 bytes")
    assert (await send(port, *(whole[at : at + 4000] for at in range(0, len(whole), 4000)), pause=0.01)).endswith(
        b"3 bytes"
    )
    chunked = HEAD + CLOSE + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-trailer: a\r\n\r\n"
    assert (await send(port, chunked)).endswith(b"3 bytes")


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param((HEAD + b"x-long: " + b"a" * MAX_HEAD_BYTES + b"\r\n\r\n",), id="one header"),
        pytest.param((HEAD + b"x: y\r\n" * 8000 + b"\r\n",), id="many headers"),
        pytest.param((b"GET /" + b"a" * MAX_HEAD_BYTES + b" HTTP/1.1\r\nhost: x\r\n\r\n",), id="path"),
        pytest.param((HEAD + b"x-long: ", *[b"a" * 5000] * 10), id="a header without an end"),
        pytest.param((HEAD + b"a" * 5000, *[b"a" * 5000] * 10), id="a name without an end"),
        pytest.param((b"GET /", *[b"a" * 5000] * 10), id="a path without an end"),
    ],
)
async def test_a_head_that_is_too_long_is_431(port: int, parts: tuple[bytes, ...]) -> None:
    received = await send(port, *parts, pause=0.01)
    assert received.startswith(b"HTTP/1.1 431 "), received[:200]
    assert b'"code":"head_too_large"' in received


@pytest.mark.parametrize("trailer", [b"x: y\r\n" * 1000, b"x-long: " + b"a" * 5000])
async def test_headers_behind_a_body_are_limited_as_well(port: int, trailer: bytes) -> None:
    chunked = HEAD + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n"
    received = await send(port, chunked, trailer, pause=0.01, keeps_on=b"a" * 5000 if b"long" in trailer else trailer)
    assert received.startswith(b"HTTP/1.1 431 "), received[:200]


@pytest.mark.usefixtures("hurried")
async def test_a_head_that_comes_too_slowly_is_408(port: int) -> None:
    assert (await send(port, HEAD, keeps_on=b"x", pause=0.05)).startswith(b"HTTP/1.1 408 ")
    assert (await send(port, b"G", pause=9)).startswith(b"HTTP/1.1 408 ")


@pytest.mark.usefixtures("hurried")
async def test_whoever_says_nothing_or_line_breaks_is_hung_up_on(port: int) -> None:
    assert await send(port) == b""
    await send(port, keeps_on=b"\r\n", pause=0.05)
    answered = HEAD + b"content-length: 0\r\n\r\n"
    assert b"0 bytes" in await send(port, answered, keeps_on=b"\r\n", pause=0.05)


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("framing", [b"content-length: 9999\r\n\r\n", b"transfer-encoding: chunked\r\n\r\n"])
async def test_a_body_that_comes_too_slowly_is_408(port: int, framing: bytes) -> None:
    part = b"x" if b"length" in framing else b"1\r\nx\r\n"
    received = await send(port, HEAD + framing, keeps_on=part, pause=0.05)
    assert received.startswith(b"HTTP/1.1 408 "), received[:200]
    assert b'"code":"request_too_slow"' in received


async def test_a_body_that_keeps_coming_may_take_its_time(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "BODY_SECONDS", 1.0)
    parts = [b"x" * 1000] * 8
    received = await send(port, HEAD + CLOSE + b"content-length: 8000\r\n\r\n", *parts, pause=0.2)
    assert received.endswith(b"8000 bytes")


@pytest.mark.usefixtures("hurried")
async def test_the_time_that_an_answer_takes_is_not_the_clients(port: int) -> None:
    """Neither for the request that is answered, nor for one behind it on the same connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /slow HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n" + HEAD + CLOSE)
    await asyncio.sleep(1)  # longer than a head may take
    writer.write(b"content-length: 0\r\n\r\n")
    let_go.set()
    received = await reader.read()
    writer.close()
    assert received.count(b"0 bytes") == 2
