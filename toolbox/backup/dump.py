"""Writing a backup: one snapshot, read while everything else goes on."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import IO

import asyncpg

from toolbox.backup.archive import FORMAT, End, Manifest, Table, Writer
from toolbox.backup.tables import HISTORY, LEFT_OUT, REVISION_TABLE, read_tables
from toolbox.database import open_connection
from toolbox.errors import InvalidRequest
from toolbox.seals import derive_key
from toolbox.version import VERSION

FINGERPRINT_BYTES = 16


async def write_backup(url: str, file: IO[bytes], *, with_history: bool, secret_keys: Sequence[bytes]) -> End:
    """Write all that the database holds, as it is at one moment; nobody has to wait for it.

    Raises:
        InvalidRequest: There is nothing of ToolBox in the database.
        DatabaseUnavailable: PostgreSQL does not answer.
    """
    async with _snapshot(url) as connection:
        manifest = await _describe(connection, with_history, secret_keys)
        writer = Writer(file, manifest)
        for table in manifest.tables:
            await _write_rows(connection, writer, table)
        return writer.close()


def fingerprints(secret_keys: Sequence[bytes]) -> tuple[str, ...]:
    """Tell one key from another, and nothing about either."""
    return tuple(derive_key(key, "backup")[:FINGERPRINT_BYTES].hex() for key in secret_keys)


@contextlib.asynccontextmanager
async def _snapshot(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A transaction whose statements all see the rows of one moment (PostgreSQL documentation, 13.2.2).

    COPY in it takes no lock that a reader or writer would wait for.
    """
    async with (
        open_connection(url) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        yield connection


async def _describe(connection: asyncpg.Connection, with_history: bool, secret_keys: Sequence[bytes]) -> Manifest:
    if await connection.fetchval("select to_regclass($1)", REVISION_TABLE) is None:
        raise InvalidRequest("there is nothing to back up: ToolBox has never used this database")
    tables = await read_tables(connection)
    left_out = LEFT_OUT.keys() | (frozenset() if with_history else HISTORY)
    return Manifest(
        format=FORMAT,
        toolbox=VERSION,
        made_at=datetime.now(UTC),
        revision=await connection.fetchval(f"select version_num from {REVISION_TABLE}"),
        has_history=with_history,
        key_fingerprints=fingerprints(secret_keys),
        tables=tuple(table for table in tables if table.name not in left_out),
    )


async def _write_rows(connection: asyncpg.Connection, writer: Writer, table: Table) -> None:
    rows = writer.start_table(table.name)
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    # Given as a query, which sees what the whole transaction sees; the order makes equal content equal files.
    tag = await connection.copy_from_query(f'select {names} from "{table.name}"', output=rows.write, format="binary")
    rows.end(int(tag.split()[-1]))
