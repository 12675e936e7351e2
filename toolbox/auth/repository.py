"""Keys in PostgreSQL."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import asyncpg
from msgspec import Struct

from toolbox.auth.schemas import Key, NewKey
from toolbox.database import Connection, Database

_COLUMNS = ", ".join(f"k.{name}" for name in Key.__struct_fields__ if name != "endings")
_KEY = f"""
    select {_COLUMNS}, coalesce((
        select array_agg(s.ending order by s.created_at desc) from key_secrets s
        where s.key_id = k.id and (s.expires_at is null or s.expires_at > now()) and k.revoked_at is null
    ), '{{}}') as endings from keys k
"""


class KnownKey(Struct, frozen=True):
    """What must be known of a key to let its caller in."""

    name: str
    scopes: frozenset[str]
    toolsets: frozenset[str] | None
    expires_at: datetime | None


class KeyRepository:
    """Reads and writes of keys."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, digests: list[bytes]) -> KnownKey | None:
        """The key behind one of these digests, if it works now."""
        row = await self._database.fetch_row(
            """
            select k.name, k.scopes, k.toolsets, least(k.expires_at, s.expires_at) as expires_at
            from key_secrets s join keys k on k.id = s.key_id
            where s.digest = any($1::bytea[]) and k.revoked_at is null
              and coalesce(least(k.expires_at, s.expires_at) > now(), true)
            """,
            digests,
        )
        if row is None:
            return None
        toolsets = None if row["toolsets"] is None else frozenset(row["toolsets"])
        return KnownKey(row["name"], frozenset(row["scopes"]), toolsets, row["expires_at"])

    async def has_any(self) -> bool:
        """Whether a key was ever issued."""
        row = await self._database.fetch_row("select exists (select from keys) as has_any")
        return bool(row and row["has_any"])

    async def list_keys(self, *, after: str = "", limit: int = 1000) -> list[Key]:
        """Keys in the order of their names, revoked ones too."""
        rows = await self._database.fetch(f"{_KEY} where k.name > $1 order by k.name limit $2", after, limit)
        return [_to_key(row) for row in rows]


async def insert_key(connection: Connection, key: NewKey, created_by: str) -> bool:
    """Keep a new key; false if its name is taken."""
    row = await connection.fetchrow(
        """
        insert into keys (name, scopes, toolsets, expires_at, created_by) values ($1, $2, $3, $4, $5)
        on conflict (name) do nothing returning id
        """,
        key.name,
        list(key.scopes),
        None if key.toolsets is None else list(key.toolsets),
        key.expires_at,
        created_by,
    )
    return row is not None


async def lock_key(connection: Connection, name: str) -> Key | None:
    """The key with this name; nobody else changes it until the transaction ends."""
    await connection.execute("select from keys where name = $1 for update", name)
    return await read_key(connection, name)


async def read_key(connection: Connection, name: str) -> Key | None:
    """The key with this name."""
    row: asyncpg.Record | None = await connection.fetchrow(f"{_KEY} where k.name = $1", name)
    return _to_key(row) if row else None


async def insert_secret(connection: Connection, name: str, digest: bytes, ending: str) -> None:
    """Let a key's caller show something new."""
    await connection.execute(
        "insert into key_secrets (digest, key_id, ending) select $2, id, $3 from keys where name = $1",
        name,
        digest,
        ending,
    )


async def expire_secrets(connection: Connection, name: str, seconds: float) -> None:
    """Let what a key's caller shows now work only so much longer; what has ended is forgotten."""
    await connection.execute(
        """
        update key_secrets s set expires_at = least(s.expires_at, now() + make_interval(secs => $2))
        from keys k where k.id = s.key_id and k.name = $1
        """,
        name,
        seconds,
    )
    await connection.execute("delete from key_secrets where expires_at <= now()")


async def revoke_key(connection: Connection, name: str) -> None:
    """Let a key work no more."""
    await connection.execute("update keys set revoked_at = coalesce(revoked_at, now()) where name = $1", name)
    await connection.execute("delete from key_secrets s using keys k where k.id = s.key_id and k.name = $1", name)


def _to_key(row: Mapping[str, Any]) -> Key:
    return Key(**{name: row[name] for name in Key.__struct_fields__})
