"""Upstreams in PostgreSQL."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct, structs

from toolbox.database import Connection, Database
from toolbox.definitions import Upstream
from toolbox.events import notify
from toolbox.upstreams.discovery import LeftOut
from toolbox.upstreams.sdk import ServerInfo


class Offers(Struct, frozen=True):
    """What a server offers beside tools, as it listed it."""

    resources: list[dict[str, Any]] = []
    templates: list[dict[str, Any]] = []
    prompts: list[dict[str, Any]] = []


class StoredUpstream(Struct, frozen=True, kw_only=True):
    """An upstream, and the last that is known of it."""

    upstream: Upstream
    origin: str
    server: ServerInfo | None
    offers: Offers
    left_out: list[LeftOut]
    tools: int
    """How many of its tools are in force."""
    pending: int
    """How many wait for approval, new or changed."""
    problem: str | None
    read_for: bytes | None
    read_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @property
    def is_read(self) -> bool:
        """Whether its lists have been read since it was configured as it is."""
        return self.read_for == fingerprint(self.upstream)


class Discovered(Struct, frozen=True, kw_only=True):
    """What was read of a server."""

    server: ServerInfo | None
    offers: Offers
    left_out: Sequence[LeftOut] = ()


_COLUMNS = """
    config, origin, server, offers, left_out, problem, read_for, read_at, created_at, updated_at,
    (select count(*) from tools t where t.source = 'upstream:' || upstreams.name and t.active) as tools,
    (select count(distinct v.tool_id) from tool_versions v join tools t on t.id = v.tool_id
     where v.review = 'waiting' and t.is_offered and t.source = 'upstream:' || upstreams.name) as pending
"""
_IRRELEVANT = ("enabled", "title", "description", "idle_seconds", "refresh_seconds", "concurrency", "restarts")


def fingerprint(upstream: Upstream) -> bytes:
    """16 bytes that change when the server may offer something else, or its tools may be called something else."""
    fields = {name: getattr(upstream, name) for name in upstream.__struct_fields__ if name not in _IRRELEVANT}
    return hashlib.blake2b(msgspec.json.encode(fields, order="deterministic"), digest_size=16).digest()


class UpstreamRepository:
    """Reads and writes of the upstreams table."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read_all(self) -> dict[str, StoredUpstream]:
        """All upstreams by name."""
        rows = await self._database.fetch(f"select {_COLUMNS} from upstreams order by name")
        stored = [_to_stored(row) for row in rows]
        return {each.upstream.name: each for each in stored}

    async def read(self, name: str) -> StoredUpstream | None:
        """The upstream with this name."""
        row = await self._database.fetch_row(f"select {_COLUMNS} from upstreams where name = $1", name)
        return _to_stored(row) if row else None

    async def read_due(self) -> list[str]:
        """Upstreams whose lists were never read, or longer ago than each wants."""
        rows = await self._database.fetch(
            """
            select name from upstreams where enabled and (read_at is null or problem is not null
                or read_at < now() - make_interval(secs => coalesce((config->>'refresh_seconds')::float8, 3600)))
            """
        )
        return [row["name"] for row in rows]

    async def note_problem(self, name: str, problem: str) -> None:
        """Keep why the lists of an upstream could not be read."""
        async with self._database.transaction() as connection:
            await connection.execute("update upstreams set problem = $2 where name = $1", name, problem)
            await notify(connection, "upstreams", name)


async def lock_upstream(connection: Connection, name: str) -> StoredUpstream | None:
    """The upstream with this name, which nobody else changes until the transaction ends."""
    row = await connection.fetchrow(f"select {_COLUMNS} from upstreams where name = $1 for update", name)
    return _to_stored(row) if row else None


async def write_upstream(connection: Connection, upstream: Upstream, origin: str) -> None:
    """Insert an upstream, or replace its configuration; what is known of it stays."""
    await connection.execute(
        """
        insert into upstreams (name, config, enabled, origin) values ($1, $2, $3, $4)
        on conflict (name) do update
        set config = excluded.config, enabled = excluded.enabled, origin = excluded.origin, updated_at = now()
        """,
        upstream.name,
        upstream,
        upstream.enabled,
        origin,
    )
    await notify(connection, "upstreams", upstream.name)


async def delete_upstream(connection: Connection, name: str) -> None:
    """Delete an upstream; its tools are another matter."""
    await connection.execute("delete from upstreams where name = $1", name)
    await notify(connection, "upstreams", name)


async def write_discovered(connection: Connection, upstream: Upstream, found: Discovered) -> None:
    """Keep what was read of a server."""
    await connection.execute(
        """
        update upstreams set server = $2, offers = $3, left_out = $4, read_for = $5, read_at = now(), problem = null
        where name = $1
        """,
        upstream.name,
        found.server,
        found.offers,
        list(found.left_out),
        fingerprint(upstream),
    )
    await notify(connection, "upstreams", upstream.name)


def _to_stored(row: Mapping[str, Any]) -> StoredUpstream:
    def read(column: str, kind: Any, default: Any) -> Any:
        return default if row[column] is None else msgspec.json.decode(row[column], type=kind)

    # A field that a newer replica has written is none of ours.
    config = msgspec.json.decode(row["config"], type=dict[str, Any])
    known = {name: value for name, value in config.items() if name in Upstream.__struct_fields__}
    return StoredUpstream(
        upstream=msgspec.convert(known, Upstream),
        origin=row["origin"],
        server=read("server", ServerInfo, None),
        offers=read("offers", Offers, Offers()),
        left_out=read("left_out", list[LeftOut], []),
        tools=row["tools"],
        pending=row["pending"],
        problem=row["problem"],
        read_for=row["read_for"],
        read_at=row["read_at"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def with_enabled(upstream: Upstream, *, enabled: bool) -> Upstream:
    """The same, enabled or not."""
    return structs.replace(upstream, enabled=enabled)
