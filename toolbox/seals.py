"""Seals: what clients carry for us between requests, so that no replica has to remember it.

A sealed text is encrypted and authenticated (AES-256-GCM, NIST SP 800-38D) and ends by itself: nobody else can read it,
change it, make one, use it for another purpose or use it for ever.
"""

import contextlib
import os
import time
from base64 import b64decode, urlsafe_b64encode

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from toolbox.database import Database
from toolbox.settings import Secret, split_keys

KEY_BYTES = 32
_NAME = "seals"
_NONCE_BYTES = 12
_TIME_BYTES = 8


class SealBroken(Exception):
    """A text was not sealed here, for this purpose, or its time is over; says which as far as that can be known."""


class Sealer:
    """Seals with keys of its own, made from secrets that all replicas share: the first one seals, all open."""

    def __init__(self, *secrets: bytes) -> None:
        self._ciphers = [AESGCM(derive_key(secret, "seals")) for secret in secrets]

    def seal(self, purpose: str, content: bytes, *, seconds: float) -> str:
        """`content` as a text of letters, digits, `-` and `_`, good for some seconds and this purpose only."""
        nonce = os.urandom(_NONCE_BYTES)
        expires = int(time.time() + seconds).to_bytes(_TIME_BYTES)
        sealed = self._ciphers[0].encrypt(nonce, expires + content, purpose.encode())
        return urlsafe_b64encode(nonce + sealed).rstrip(b"=").decode()

    def open(self, purpose: str, text: str) -> bytes:
        """What was sealed.

        Raises:
            SealBroken: It was not, or not for this, or too long ago.
        """
        try:
            raw = b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except ValueError as error:
            raise SealBroken("it was not made here, or was changed") from error
        opened = self._decrypt(purpose, raw)
        if int.from_bytes(opened[:_TIME_BYTES]) < time.time():
            raise SealBroken("it is too old")
        return opened[_TIME_BYTES:]

    def _decrypt(self, purpose: str, raw: bytes) -> bytes:
        for cipher in self._ciphers:
            with contextlib.suppress(InvalidTag, ValueError):
                return cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], purpose.encode())
        raise SealBroken("it was not made here, or was changed")


def derive_key(secret: bytes, purpose: str) -> bytes:
    """A key for one purpose, from which neither the secret nor the key for another purpose can be found out."""
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=f"toolbox {purpose}".encode()).derive(secret)


async def load_secrets(database: Database, secret_key: Secret | None) -> tuple[bytes, ...]:
    """The secrets that all replicas share, the newest first: SECRET_KEY, or else one that the first of them left.

    Raises:
        DatabaseUnavailable: PostgreSQL does not answer.
    """
    if secret_key is not None:
        return tuple(split_keys(secret_key))
    async with database.transaction() as connection:
        await connection.execute(
            "insert into shared_secrets (name, value) values ($1, $2) on conflict do nothing",
            _NAME,
            os.urandom(KEY_BYTES),
        )
        return (await connection.fetchval("select value from shared_secrets where name = $1", _NAME),)


async def load_sealer(database: Database, secret_key: Secret | None) -> Sealer:
    """The sealer that all replicas share."""
    return Sealer(*await load_secrets(database, secret_key))
