"""Upstreams in PostgreSQL."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct, structs

from toolbox.database import Connection, Database
from toolbox.definitions import Upstream
from toolbox.events import notify
from toolbox.secrets.vault import Vault
from toolbox.upstreams.discovery import LeftOut
from toolbox.upstreams.sdk import ServerInfo
from toolbox.upstreams.sealing import SEALED, Sealing, forget


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
    is_clear: bool
    """Whether something secret of its configuration is stored as it was given."""
    unreadable: str | None
    """Why its configuration cannot be opened, and so is known only as it may be shown."""


class Discovered(Struct, frozen=True, kw_only=True):
    """What was read of a server."""

    server: ServerInfo | None
    offers: Offers
    read_for: bytes
    """The fingerprint of the configuration that it was read by."""
    left_out: Sequence[LeftOut] = ()


_COLUMNS = f"""
    config, {SEALED}, origin, server, offers, left_out, problem, read_for, read_at, created_at, updated_at,
    (select count(*) from tools t where t.source = 'upstream:' || upstreams.name and t.active) as tools,
    (select count(distinct v.tool_id) from tool_versions v join tools t on t.id = v.tool_id
     where v.review = 'waiting' and t.is_offered and t.source = 'upstream:' || upstreams.name) as pending
"""
_IRRELEVANT = ("enabled", "title", "description", "idle_seconds", "refresh_seconds", "concurrency", "restarts")


class UpstreamRepository:
    """Reads and writes of the upstreams table."""

    def __init__(self, database: Database, vault: Vault | None) -> None:
        """Without a vault, as without SECRET_KEY, configurations are stored as they are given."""
        self._database = database
        self._sealing = Sealing(vault)

    def fingerprint(self, upstream: Upstream) -> bytes:
        """16 bytes that change when the server may offer something else, or its tools may be called something else."""
        fields = {name: getattr(upstream, name) for name in upstream.__struct_fields__ if name not in _IRRELEVANT}
        return self._sealing.fingerprint(msgspec.json.encode(fields, order="deterministic"))

    async def read_all(self) -> dict[str, StoredUpstream]:
        """All upstreams by name."""
        rows = await self._database.fetch(f"select {_COLUMNS} from upstreams order by name")
        stored = [self._to_stored(row) for row in rows]
        return {each.upstream.name: each for each in stored}

    async def read(self, name: str) -> StoredUpstream | None:
        """The upstream with this name."""
        row = await self._database.fetch_row(f"select {_COLUMNS} from upstreams where name = $1", name)
        return self._to_stored(row) if row else None

    async def read_due(self) -> list[str]:
        """Upstreams whose lists were never read, or longer ago than each wants."""
        rows = await self._database.fetch(
            """
            select name from upstreams where enabled and (read_at is null or problem is not null
                or read_at < now() - make_interval(secs => coalesce((config->>'refresh_seconds')::float8, 3600)))
            """
        )
        return [row["name"] for row in rows]

    async def read_groups(self) -> list[str]:
        """The names that several upstreams share, under which equal tools of theirs are one."""
        rows = await self._database.fetch("select distinct config->>'merge' as name from upstreams")
        return [row["name"] for row in rows if row["name"]]

    async def note_problem(self, name: str, problem: str) -> None:
        """Keep why the lists of an upstream could not be read."""
        async with self._database.transaction() as connection:
            await connection.execute("update upstreams set problem = $2 where name = $1", name, problem)
            await notify(connection, "upstreams", name)

    async def lock(self, connection: Connection, name: str) -> StoredUpstream | None:
        """The upstream with this name, which nobody else changes until the transaction ends."""
        row = await connection.fetchrow(f"select {_COLUMNS} from upstreams where name = $1 for update", name)
        return self._to_stored(row) if row else None

    async def write(self, connection: Connection, upstream: Upstream, origin: str) -> None:
        """Insert an upstream, or replace its configuration; what is known of it stays."""
        await connection.execute(
            """
            insert into upstreams (name, config, enabled, origin) values ($1, $2, $3, $4)
            on conflict (name) do update
            set config = excluded.config, enabled = excluded.enabled, origin = excluded.origin, updated_at = now()
            """,
            upstream.name,
            await self._sealing.seal(connection, upstream),
            upstream.enabled,
            origin,
        )
        await notify(connection, "upstreams", upstream.name)

    async def seal(self, names: Sequence[str]) -> None:
        """Seal what is stored as it was given, as by a process without SECRET_KEY, or before there was one."""
        if not self._sealing.is_possible:
            return
        for name in names:
            async with self._database.transaction() as connection:
                stored = await self.lock(connection, name)
                if stored and stored.is_clear:
                    shown = await self._sealing.seal(connection, stored.upstream)
                    await connection.execute("update upstreams set config = $2 where name = $1", name, shown)

    def _to_stored(self, row: Mapping[str, Any]) -> StoredUpstream:
        opened = self._sealing.open(row["config"], row["sealed"])
        return StoredUpstream(
            upstream=opened.upstream,
            origin=row["origin"],
            server=_read(row["server"], ServerInfo, None),
            offers=_read(row["offers"], Offers, Offers()),
            left_out=_read(row["left_out"], list[LeftOut], []),
            tools=row["tools"],
            pending=row["pending"],
            problem=opened.unreadable or row["problem"],
            read_for=row["read_for"],
            read_at=row["read_at"],
            created_at=row["created_at"],
            updated_at=row["updated_at"],
            is_clear=opened.is_clear,
            unreadable=opened.unreadable,
        )


async def lock_offers(connection: Connection, name: str) -> Offers | None:
    """What an upstream has offered beside tools; nobody else changes it until the transaction ends."""
    row = await connection.fetchrow("select offers from upstreams where name = $1 for update", name)
    return _read(row["offers"], Offers, Offers()) if row else None


async def delete_upstream(connection: Connection, name: str) -> None:
    """Delete an upstream; its tools are another matter."""
    await connection.execute("delete from upstreams where name = $1", name)
    await forget(connection, name)
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
        found.read_for,
    )
    await notify(connection, "upstreams", upstream.name)


def _read(text: str | None, kind: Any, default: Any) -> Any:
    return default if text is None else msgspec.json.decode(text, type=kind)


def with_enabled(upstream: Upstream, *, enabled: bool) -> Upstream:
    """The same, enabled or not."""
    return structs.replace(upstream, enabled=enabled)
