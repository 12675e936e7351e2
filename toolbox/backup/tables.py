"""Which tables there are, in an order in which their rows can be brought back, and which of them are left out.

PostgreSQL itself says which there are, so a new one is backed up without anybody having to think of it.
"""

from graphlib import TopologicalSorter

import asyncpg

from toolbox.backup.archive import Column, Table

REVISION_TABLE = "alembic_version"
"""Its one row is in the manifest."""

LEFT_OUT = {
    "client_answers": "answers on their way between replicas",
    "queue_jobs": "work that would be done a second time",
    "queue_log": "what became of that work",
    "queue_schedules": "made by every server and worker when it starts",
    "replicas": "the servers that run now",
    "stream_events": "open streams of clients",
    "tasks": "they end with the work that the queue holds",
}
"""Tables that live with the servers of the moment, and why their rows are not in a backup."""

HISTORY = frozenset({"calls", "results", "searches"})
"""What can be left out because it only grows: catalogue and search need none of it."""

SEEDED = frozenset({"catalogue", "lexemes", "shared_secrets"})
"""Tables that hold something even before ToolBox has been used."""


async def read_tables(connection: asyncpg.Connection) -> list[Table]:
    """All tables of ToolBox's schema, each behind those that it refers to."""
    columns: dict[str, list[Column]] = {}
    for row in await connection.fetch(_COLUMNS):
        columns.setdefault(row["table_name"], []).append(Column(row["column_name"], row["type"]))
    order = TopologicalSorter({name: set() for name in columns})
    for row in await connection.fetch(_REFERENCES):
        order.add(row["table_name"], row["referred"])
    return [Table(name, tuple(columns[name])) for name in order.static_order()]


_TABLES = """
    select c.oid, c.relname from pg_class c
    where c.relnamespace = (select relnamespace from pg_class where oid = 'alembic_version'::regclass)
        and c.relkind = 'r' and c.relname <> 'alembic_version'
        and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e')
"""

# What PostgreSQL computes by itself is left to it.
_COLUMNS = f"""
    select t.relname as table_name, a.attname as column_name, format_type(a.atttypid, a.atttypmod) as type
    from ({_TABLES}) t join pg_attribute a on a.attrelid = t.oid
    where a.attnum > 0 and not a.attisdropped and a.attgenerated = '' order by t.relname, a.attnum
"""

_REFERENCES = f"""
    select t.relname as table_name, r.relname as referred from pg_constraint k
    join ({_TABLES}) t on t.oid = k.conrelid join ({_TABLES}) r on r.oid = k.confrelid
    where k.contype = 'f' and k.conrelid <> k.confrelid
"""
