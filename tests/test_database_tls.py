"""TLS options of DATABASE_URL, over a real TLS connection.

The embedded PostgreSQL is built without OpenSSL, so a small server in front of it speaks PostgreSQL's TLS start
(SSLRequest, PostgreSQL documentation 54.2.10) and passes on what comes after it.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from msgspec import Struct
from sqlalchemy import text

from tests.certificates import make_certificate
from toolbox.database import create_engine, open_database
from toolbox.errors import DatabaseUnavailable

SSL_REQUEST = bytes.fromhex("0000000804d2162f")


class TlsServer(Struct):
    """Where it listens, the certificate that vouches for it, and one that does not."""

    port: int
    authority: Path
    stranger: Path


@pytest.fixture
async def tls(tmp_path: Path, postgres: str) -> AsyncIterator[TlsServer]:
    certificate, key = make_certificate(tmp_path, "server")
    stranger, _ = make_certificate(tmp_path, "stranger")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    socket = postgres.partition("host=")[2].partition("&")[0] + "/.s.PGSQL.5432"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
            if await reader.readexactly(8) == SSL_REQUEST:
                writer.write(b"S")
                await writer.drain()
                await writer.start_tls(context)
                to_server = await asyncio.open_unix_connection(socket)
                await asyncio.gather(pass_on(reader, to_server[1]), pass_on(to_server[0], writer))
        writer.close()

    async def pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while data := await source.read(65536):
                target.write(data)
                await target.drain()
        target.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield TlsServer(server.sockets[0].getsockname()[1], certificate, stranger)


async def reach_with_pool(url: str) -> None:
    async with open_database(url, pool_size=1, max_overflow=0, timeout_seconds=5) as database:
        assert (await database.fetch("select 1 as one"))[0]["one"] == 1


async def reach_with_engine(url: str) -> None:
    engine = create_engine(url)
    try:
        async with engine.connect() as connection:
            assert (await connection.execute(text("select 1"))).scalar() == 1
    finally:
        await engine.dispose()


@pytest.mark.parametrize("reach", [reach_with_pool, reach_with_engine])
async def test_both_drivers_use_and_check_tls(
    reach: Callable[[str], Awaitable[None]], tls: TlsServer, database_url: str
) -> None:
    name = database_url.partition("?")[0].rpartition("/")[2]
    url = f"postgresql://toolbox@127.0.0.1:{tls.port}/{name}"
    await reach(f"{url}?sslmode=require")
    await reach(f"{url}?sslmode=verify-full&sslrootcert={tls.authority}")
    with pytest.raises(DatabaseUnavailable):
        await reach(f"{url}?sslmode=verify-full&sslrootcert={tls.stranger}")
    with pytest.raises(DatabaseUnavailable):
        await reach(f"{url}?sslmode=disable")
