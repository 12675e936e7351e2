"""Bringing a backup back: all of it in one transaction, so that whatever is wrong leaves the database as it was."""

from collections.abc import AsyncIterator, Iterator

import asyncpg

from toolbox.backup.archive import End, Manifest, Reader, Table
from toolbox.backup.tables import HISTORY, LEFT_OUT, SEEDED, read_tables
from toolbox.database import Schema, changing_schema, newest_revision
from toolbox.errors import InvalidBackup, InvalidRequest
from toolbox.index.embeddings import Model, create_vector_indexes

LOCK_SECONDS = 10
"""How long to wait for whoever else uses the tables."""


async def restore_backup(url: str, reader: Reader, *, replace: bool) -> End:
    """Make the database hold what the backup holds, in this version's schema.

    The schema is brought to where it was when the backup was made, filled, and then brought to where this version
    has it: so whatever a migration does to rows, it does to these too.

    Raises:
        InvalidBackup: The file is wrong, damaged, or made by a newer ToolBox; nothing has changed.
        InvalidRequest: The database is in use, or holds something and `replace` is not given; nothing has changed.
        DatabaseUnavailable: PostgreSQL does not answer; nothing has changed.
    """
    manifest = reader.manifest
    if manifest.revision > newest_revision():
        raise InvalidBackup(
            f"the backup was made by ToolBox {manifest.toolbox} with schema {manifest.revision}, and this one knows up "
            f"to {newest_revision()}: restore it with that version or a newer one"
        )
    async with changing_schema(url) as schema:
        await schema.connection.execute(f"set local lock_timeout = '{LOCK_SECONDS}s'")
        await schema.connection.execute("set local maintenance_work_mem = '256MB'")  # what vector indexes are made in
        await _refuse_company(schema.connection)
        try:
            return await _replace_all(schema, reader, replace)
        except asyncpg.LockNotAvailableError as error:
            raise InvalidRequest("others use the tables of this database: stop them first") from error


async def _replace_all(schema: Schema, reader: Reader, replace: bool) -> End:
    connection, manifest = schema.connection, reader.manifest
    before = await schema.revision()
    is_newer = before > manifest.revision
    if before and not replace:
        await _refuse_loss(connection, manifest, everything=is_newer)
    if before and not is_newer:
        await _empty(connection, manifest)  # so that migrations have nothing to do with rows that are given up
    await schema.bring_to(manifest.revision, downgrade=is_newer)
    await _empty(connection, manifest)
    await _refuse_other_tables(connection, manifest)
    rows = await _fill(connection, reader)
    end = reader.check(rows)
    await schema.bring_to("head")
    for row in await connection.fetch("select id, name, dimensions from models"):
        await create_vector_indexes(connection, Model(**row))
    await connection.execute("analyze " + ", ".join(f'"{table.name}"' for table in await read_tables(connection)))
    return end


async def _refuse_company(connection: asyncpg.Connection) -> None:
    """What a server remembers would not be true any more, and it would write into what is restored."""
    others = await connection.fetchval("""
        select count(*) from pg_stat_activity
        where datname = current_database() and application_name like 'toolbox%' and pid <> pg_backend_pid()
    """)
    if others:
        raise InvalidRequest(f"ToolBox is running on this database ({others} connections): stop its servers first")


async def _refuse_loss(connection: asyncpg.Connection, manifest: Manifest, *, everything: bool) -> None:
    """Refuse to give up rows: those of the backup's tables, and of all others where newer ones are to be dropped."""
    existing = {table.name for table in await read_tables(connection)}
    for name in sorted((existing if everything else existing & _known(manifest)) - LEFT_OUT.keys() - SEEDED):
        if await connection.fetchval(f'select exists (select from "{name}")'):
            raise InvalidRequest(
                f"the database holds something already (in {name}): --replace gives all of it up for what the backup "
                "holds"
            )


async def _empty(connection: asyncpg.Connection, manifest: Manifest) -> None:
    """Remove what is there: in the backup's tables and those that are left out, never in tables of others."""
    existing = {table.name for table in await read_tables(connection)}
    known = _known(manifest)
    # Those of models that the backup may not know, or have under another number.
    for row in await connection.fetch(r"select indexname from pg_indexes where indexname ~ '^ix_\w+_model_\d+$'"):
        await connection.execute(f'drop index "{row["indexname"]}"')
    if existing & known:
        await connection.execute("truncate " + ", ".join(f'"{name}"' for name in sorted(existing & known)))


def _known(manifest: Manifest) -> set[str]:
    return {table.name for table in manifest.tables} | LEFT_OUT.keys() | HISTORY


async def _refuse_other_tables(connection: asyncpg.Connection, manifest: Manifest) -> None:
    there = {table.name: table for table in await read_tables(connection)}
    for table in manifest.tables:
        if table.name not in there or set(there[table.name].columns) != set(table.columns):
            raise InvalidBackup(f"the backup's table {table.name[:100]!r} is not as schema {manifest.revision} has it")


async def _fill(connection: asyncpg.Connection, reader: Reader) -> dict[str, int]:
    """Load the rows as they are: what triggers would do to them was done before the backup was made."""
    tables = {table.name: table for table in reader.manifest.tables}
    rows = {}
    for name, parts in reader.tables():
        if name not in tables or name in rows:
            raise InvalidBackup(f"the file is damaged: it holds rows of {name[:100]!r} where there should be none")
        await connection.execute(f'alter table "{name}" disable trigger user')
        try:
            rows[name] = await _load(connection, tables[name], parts)
        except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
            raise InvalidBackup(f"the rows of {name} cannot be brought back: {error}") from error
        await connection.execute("set constraints all immediate")
        await connection.execute(f'alter table "{name}" enable trigger user')
        await _continue_numbers(connection, name)
    return rows


async def _load(connection: asyncpg.Connection, table: Table, parts: Iterator[bytes]) -> int:
    async def source() -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    columns = [column.name for column in table.columns]
    tag = await connection.copy_to_table(table.name, source=source(), columns=columns, format="binary")
    return int(tag.split()[-1])


async def _continue_numbers(connection: asyncpg.Connection, table: str) -> None:
    """Let new rows be numbered after those that came back."""
    for row in await connection.fetch(_NUMBERED, table):
        await connection.execute(
            f'select setval($1::text::regclass, coalesce((select max("{row["column_name"]}") from "{table}"), 0) + 1, '
            "false)",
            row["sequence"],
        )


_NUMBERED = """
    select a.attname as column_name, pg_get_serial_sequence(quote_ident($1::text), a.attname) as sequence
    from pg_attribute a where a.attrelid = to_regclass(quote_ident($1::text)) and a.attnum > 0 and not a.attisdropped
        and pg_get_serial_sequence(quote_ident($1::text), a.attname) is not null
"""
