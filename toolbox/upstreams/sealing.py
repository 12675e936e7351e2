"""What is secret in the configuration of an upstream, sealed with SECRET_KEY in the database.

The row of an upstream then holds its configuration as it may be shown; the whole lies among the secrets, under a name
that no `${secret:name}` can have: so it is backed up, restored and sealed with another key as they are. Without
SECRET_KEY there is nothing to seal with, and the row holds what was given.
"""

import hashlib
from typing import Any

import msgspec
from msgspec import Struct

from toolbox.database import Connection
from toolbox.definitions import Upstream
from toolbox.errors import SecretUnavailable
from toolbox.secrets.vault import Vault
from toolbox.upstreams.masking import mask, to_document

SEALED = "(select s.sealed from secrets s where s.name = 'upstream:' || upstreams.name) as sealed"
"""A column for reads of the table of upstreams."""


class Opened(Struct, frozen=True):
    """A configuration as it was read."""

    upstream: Upstream
    is_clear: bool = False
    """Whether its row holds something that should be sealed."""
    unreadable: str | None = None
    """Why what was sealed cannot be opened: the configuration is then as it may be shown."""


class Sealing:
    """Seals configurations and opens them."""

    def __init__(self, vault: Vault | None) -> None:
        self._vault = vault

    @property
    def is_possible(self) -> bool:
        """Whether there is a key."""
        return self._vault is not None

    async def seal(self, connection: Connection, upstream: Upstream) -> dict[str, Any]:
        """What the row of an upstream may hold; the whole is kept aside, instead of what was kept before."""
        name, whole, shown = _kept_under(upstream.name), to_document(upstream), mask(upstream)
        if self._vault is None or whole == shown:
            await forget(connection, upstream.name)
            return whole
        await connection.execute(
            """
            insert into secrets (name, sealed) values ($1, $2)
            on conflict (name) do update set sealed = excluded.sealed, updated_at = now()
            """,
            name,
            self._vault.seal(name, msgspec.json.encode(whole).decode()),
        )
        return shown

    def open(self, config: str, sealed: bytes | None) -> Opened:
        """The configuration that a row holds, or that is kept for it."""
        upstream = _read(config)
        if sealed is None:
            return Opened(upstream, is_clear=mask(upstream) != to_document(upstream))
        if self._vault is None:
            return Opened(upstream, unreadable="its configuration is sealed, and SECRET_KEY is not set here: set it")
        try:
            return Opened(_read(self._vault.open(_kept_under(upstream.name), sealed)))
        except SecretUnavailable:
            why = (
                "its configuration is sealed with a key that SECRET_KEY does not hold: add that behind the new one, "
                "with a comma between them, or configure it anew with all of its values"
            )
            return Opened(upstream, unreadable=why)

    def fingerprint(self, content: bytes) -> bytes:
        """16 bytes of which nothing can be guessed without the key."""
        key = self._vault.fingerprint_key if self._vault else b""
        return hashlib.blake2b(content, digest_size=16, key=key).digest()


async def forget(connection: Connection, upstream: str) -> None:
    """Keep nothing aside for an upstream."""
    await connection.execute("delete from secrets where name = $1", _kept_under(upstream))


def _kept_under(upstream: str) -> str:
    return f"upstream:{upstream}"


def _read(text: str) -> Upstream:
    # A field that a newer replica has written is none of ours.
    config = msgspec.json.decode(text, type=dict[str, Any])
    return msgspec.convert({name: value for name, value in config.items() if name in _FIELDS}, Upstream)


_FIELDS = frozenset(Upstream.__struct_fields__)
