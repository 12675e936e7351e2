"""Issuing, rotating and revoking keys: each in one transaction with its entry in the audit log."""

from datetime import UTC, datetime

from toolbox.audit import AuditEntry, record
from toolbox.auth.callers import Caller, name_caller
from toolbox.auth.key_secrets import ENDING, KeyDigests, new_secret
from toolbox.auth.repository import (
    KeyRepository,
    expire_secrets,
    insert_key,
    insert_secret,
    lock_key,
    read_key,
    revoke_key,
)
from toolbox.auth.schemas import IssuedKey, Key, NewKey
from toolbox.auth.scopes import LIMITED
from toolbox.database import Connection, Database
from toolbox.errors import Conflict, InsufficientScope, InvalidRequest, NotFound
from toolbox.events import notify


class KeyService:
    """Manages keys. Nobody hands on what they do not have themselves."""

    def __init__(self, database: Database, digests: KeyDigests) -> None:
        self._database = database
        self._digests = digests
        self.repository = KeyRepository(database)

    async def issue(self, new: NewKey, caller: Caller) -> IssuedKey:
        """A new key.

        Raises:
            InvalidRequest: It is limited to toolsets, and could do more than read and call; or it has ended already.
            InsufficientScope: The caller lacks a scope that it would have.
            Conflict: The name is taken.
        """
        _check(new, caller)
        if _is_over(new.expires_at):
            raise InvalidRequest("expires_at: it has passed, so nobody could use the key")
        async with self._database.transaction() as connection:
            if not await insert_key(connection, new, caller.name):
                raise Conflict(
                    f"there is, or was, a key {new.name!r}: its calls are known by this name, so choose another"
                )
            return await self._hand_out(connection, new.name, None, "key.created", caller)

    async def restore_in(self, connection: Connection, new: NewKey, caller: Caller) -> bool:
        """A key without a secret, within a transaction, until it is rotated; false if there is one of the name.

        Raises: as `issue`.
        """
        _check(new, caller)
        if not await insert_key(connection, new, caller.name):
            return False
        after = await read_key(connection, new.name)
        await record(connection, AuditEntry(caller.name, "key.created", "key", new.name, after=after))
        await notify(connection, "keys")
        return True

    async def rotate(self, name: str, overlap_seconds: float, caller: Caller) -> IssuedKey:
        """The same key with a new secret; the one before works for a while longer.

        Raises:
            NotFound: There is no such key, or it is revoked.
            InsufficientScope: The caller lacks a scope that the key has.
            Conflict: The key has expired: another secret would not work either.
        """
        async with self._database.transaction() as connection:
            before = await lock_key(connection, name)
            if before is None or before.revoked_at is not None:
                raise _not_found(name)
            _require_all(caller, before.scopes)
            if _is_over(before.expires_at):
                raise Conflict(f"the key {name!r} has expired, and would work with no secret: issue another one")
            await expire_secrets(connection, name, overlap_seconds)
            return await self._hand_out(connection, name, before, "key.rotated", caller)

    async def revoke(self, name: str, caller: Caller) -> None:
        """Let a key work no more, on any replica, from when it hears of it: a moment after this returns.

        Streams on which its caller listens end.

        Raises:
            NotFound: There is no such key.
        """
        async with self._database.transaction() as connection:
            before = await lock_key(connection, name)
            if before is None:
                raise _not_found(name)
            await revoke_key(connection, name)
            await record(
                connection,
                AuditEntry(caller.name, "key.revoked", "key", name, before, await read_key(connection, name)),
            )
            await notify(connection, "keys", name_caller(name))

    async def _hand_out(
        self, connection: Connection, name: str, before: Key | None, action: str, caller: Caller
    ) -> IssuedKey:
        secret = new_secret()
        await insert_secret(connection, name, self._digests.digest(secret.encode()), secret[-ENDING:])
        key = await read_key(connection, name)
        assert key is not None  # noqa: S101 - it was written in this transaction
        await record(connection, AuditEntry(caller.name, action, "key", name, before, key))
        await notify(connection, "keys")
        return IssuedKey(key=key, secret=secret)


def _check(new: NewKey, caller: Caller) -> None:
    if new.toolsets is not None and not LIMITED.issuperset(new.scopes):
        raise InvalidRequest(
            "scopes: a key that is limited to toolsets can have tools:read and tools:call only, because the others are "
            "about all tools"
        )
    _require_all(caller, new.scopes)


def _require_all(caller: Caller, scopes: tuple[str, ...] | list[str]) -> None:
    for scope in scopes:
        if scope not in caller.scopes:
            raise InsufficientScope(scope, f"to give a key the scope {scope!r} one must have it oneself")


def _is_over(moment: datetime | None) -> bool:
    return moment is not None and moment <= datetime.now(UTC)


def _not_found(name: str) -> NotFound:
    return NotFound(f"there is no key {name[:100]!r} that works; GET /admin/keys and `toolbox keys list` name them")
