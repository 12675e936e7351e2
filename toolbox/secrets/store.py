"""Secrets in PostgreSQL, and the references to them: `${secret:name}` in a header, a URL, an environment variable.

References are stored, shown and logged; values are put in their place at the last moment, and kept in memory until
any process changes one.
"""

import re
from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from toolbox.audit import AuditEntry, record
from toolbox.database import Connection, Database
from toolbox.definitions import ANONYMOUS, Moment
from toolbox.errors import InvalidRequest, NotFound, SecretUnavailable
from toolbox.events import notify
from toolbox.secrets.vault import Vault

NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
REFERENCE = re.compile(r"\$\{secret:([A-Za-z0-9_.-]{1,64})\}")
MAX_VALUE_BYTES = 64 * 1024
SHORTEST_HIDDEN = 6
"""Shorter values are not looked for in what tools answer: they are too likely to be there by chance."""


class StoredSecret(Struct, frozen=True):
    """What may be known of a secret."""

    name: str
    toolset: str | None
    """Whose own it is, if it is not everybody's."""
    created_at: Moment
    updated_at: Moment
    needs_rotation: bool
    """Whether it is sealed with an earlier key."""


class SecretStore:
    """Keeps secrets, and puts their values where they are named."""

    def __init__(self, database: Database, vault: Vault | None) -> None:
        """Without a vault, as without SECRET_KEY, there are no secrets."""
        self._database = database
        self._vault = vault
        self._values = dict[tuple[str, str | None], str]()
        self._changes = 0

    async def set_secret(self, name: str, value: str, *, toolset: str | None = None, caller: str = ANONYMOUS) -> bool:
        """Keep a value under a name, or a toolset's own one, instead of the one before; true if there was none.

        Raises:
            InvalidRequest: The name or the value cannot be used.
            SecretUnavailable: SECRET_KEY is not set.
        """
        _check_name(name)
        if not value or len(value.encode()) > MAX_VALUE_BYTES or "\0" in value:
            raise InvalidRequest(f"value: it must have 1 to {MAX_VALUE_BYTES} bytes, and no NUL")
        name = own_name(name, toolset)
        sealed = self._require_vault().seal(name, value)
        async with self._database.transaction() as connection:
            is_new: bool = await connection.fetchval(
                """
                insert into secrets (name, sealed) values ($1, $2)
                on conflict (name) do update set sealed = excluded.sealed, updated_at = now()
                returning created_at = updated_at
                """,
                name,
                sealed,
            )
            await record(connection, AuditEntry(caller, f"secret.{'created' if is_new else 'set'}", "secret", name))
            await self._tell(connection)
        return is_new

    async def delete_secret(self, name: str, *, toolset: str | None = None, caller: str = ANONYMOUS) -> None:
        """Forget a secret, or a toolset's own one; what refers to it fails from now on, or gets the common one.

        Raises:
            InvalidRequest: It is no name of a secret, such as that of what is kept for an upstream.
            NotFound: There is no such secret.
        """
        _check_name(name)
        name = own_name(name, toolset)
        async with self._database.transaction() as connection:
            if not await connection.fetchval("delete from secrets where name = $1 returning true", name):
                raise NotFound(f"there is no secret {name[:100]!r}")
            await record(connection, AuditEntry(caller, "secret.deleted", "secret", name))
            await self._tell(connection)

    async def list_secrets(self, toolset: str | None = None) -> list[StoredSecret]:
        """What there is, of all or of one toolset alone, by name; never a value."""
        rows = await self._database.fetch(
            """
            select name, sealed, created_at, updated_at from secrets
            where $1::text is null or starts_with(name, $1 || '/') order by name
            """,
            toolset,
        )
        return [
            StoredSecret(*_split(row["name"]), row["created_at"], row["updated_at"], self._is_old(row["sealed"]))
            for row in rows
        ]

    async def rotate(self, *, caller: str = ANONYMOUS) -> int:
        """Seal everything with the newest key that is sealed with an earlier one, in one transaction; how many.

        Raises:
            SecretUnavailable: One cannot be opened; nothing has changed.
        """
        vault = self._require_vault()
        async with self._database.transaction() as connection:
            rows = await connection.fetch("select name, sealed from secrets order by name for update")
            old = [(row["name"], row["sealed"]) for row in rows if not vault.is_newest(row["sealed"])]
            anew = [(name, vault.seal(name, vault.open(name, sealed))) for name, sealed in old]
            await connection.executemany("update secrets set sealed = $2 where name = $1", anew)
            entries = [AuditEntry(caller, "secret.rotated", "secret", name) for name, _ in old]
            await record(connection, *entries)
        return len(old)

    async def resolve(self, text: str, toolset: str | None = None) -> str:
        """The text with values in place of references, for a call through a toolset if there is one.

        Raises:
            SecretUnavailable: One is not there, or cannot be opened.
        """
        if "${secret:" not in text:
            return text
        values = {name: await self.get(name, toolset) for name in dict.fromkeys(REFERENCE.findall(text))}
        return REFERENCE.sub(lambda reference: values[reference[1]], text)

    async def get(self, name: str, toolset: str | None = None) -> str:
        """The value of a secret, for whoever uses it at once: the toolset's own one, else the common one.

        Raises:
            SecretUnavailable: It is not there, or cannot be opened.
        """
        known = self._values.get((name, toolset))
        if known is not None:
            return known
        changes = self._changes
        row = await self._database.fetch_row(
            "select name, sealed from secrets where name = any($1::text[]) order by name = $2 limit 1",
            list({name, own_name(name, toolset)}),
            name,
        )
        if row is None:
            raise SecretUnavailable(f"there is no secret {name!r}: `toolbox secrets set {name}` sets it")
        value = self._require_vault().open(row["name"], row["sealed"])
        if changes == self._changes:
            self._values[name, toolset] = value
        return value

    def forget(self) -> None:
        """Read values anew: some process has changed one."""
        self._changes += 1
        self._values = {}

    async def hide(self, text: str, names: Iterable[str], toolset: str | None = None) -> str:
        """The text with references in place of values, should whoever got a secret have said it back."""
        for name in names:
            value = await self.get(name, toolset)
            if len(value) >= SHORTEST_HIDDEN:
                text = text.replace(value, f"${{secret:{name}}}")
        return text

    def _require_vault(self) -> Vault:
        if self._vault is None:
            raise SecretUnavailable(
                "secrets need SECRET_KEY, the same for all replicas: set it to 32 random characters or more"
            )
        return self._vault

    def _is_old(self, sealed: bytes) -> bool:
        return self._vault is None or not self._vault.is_newest(sealed)

    async def _tell(self, connection: Connection) -> None:
        self.forget()
        await notify(connection, "secrets")


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise InvalidRequest(f"name: {name[:100]!r} is none for a secret: 1 to 64 letters, digits, `_`, `.` or `-`")


def own_name(name: str, toolset: str | None) -> str:
    """Under which name a toolset's own secret is kept: no reference, and no other secret, has a `/`."""
    return name if toolset is None else f"{toolset}/{name}"


def _split(kept_under: str) -> tuple[str, str | None]:
    toolset, _, name = kept_under.rpartition("/")
    return name, toolset or None


async def delete_secrets_of(connection: Connection, toolset: str) -> None:
    """Forget the own secrets of a toolset that goes."""
    await connection.execute("delete from secrets where starts_with(name, $1 || '/')", toolset)
    await notify(connection, "secrets")


def find_references(value: Any) -> list[str]:
    """The names of all secrets that a JSON value refers to."""
    found, pending = dict[str, None](), [value]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            found.update(dict.fromkeys(REFERENCE.findall(item)))
        elif isinstance(item, dict):
            pending.extend(item.values())
        elif isinstance(item, list | tuple):
            pending.extend(item)
    return sorted(found)
