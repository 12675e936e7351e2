"""Seals: what clients carry for us between requests, so that no replica has to remember it.

A sealed text is encrypted and authenticated (AES-256-GCM, NIST SP 800-38D) and ends by itself: nobody else can read it,
change it, make one, use it for another purpose or use it for ever.
"""

import os
import time
from base64 import b64decode, urlsafe_b64encode

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from toolbox.database import Database
from toolbox.settings import Secret

KEY_BYTES = 32
_NAME = "seals"
_NONCE_BYTES = 12
_TIME_BYTES = 8


class SealBroken(Exception):
    """A text was not sealed here, for this purpose, or its time is over; says which as far as that can be known."""


class Sealer:
    """Seals with a key of its own, made from a secret that all replicas share."""

    def __init__(self, secret: bytes) -> None:
        derived = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=b"toolbox seals").derive(secret)
        self._cipher = AESGCM(derived)

    def seal(self, purpose: str, content: bytes, *, seconds: float) -> str:
        """`content` as a text of letters, digits, `-` and `_`, good for some seconds and this purpose only."""
        nonce = os.urandom(_NONCE_BYTES)
        expires = int(time.time() + seconds).to_bytes(_TIME_BYTES)
        sealed = self._cipher.encrypt(nonce, expires + content, purpose.encode())
        return urlsafe_b64encode(nonce + sealed).rstrip(b"=").decode()

    def open(self, purpose: str, text: str) -> bytes:
        """What was sealed.

        Raises:
            SealBroken: It was not, or not for this, or too long ago.
        """
        try:
            raw = b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            opened = self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], purpose.encode())
        except (InvalidTag, ValueError) as error:
            raise SealBroken("it was not made here, or was changed") from error
        if int.from_bytes(opened[:_TIME_BYTES]) < time.time():
            raise SealBroken("it is too old")
        return opened[_TIME_BYTES:]


async def load_sealer(database: Database, secret_key: Secret | None) -> Sealer:
    """The sealer that all replicas share: from SECRET_KEY, or else from a secret that the first of them left.

    Raises:
        DatabaseUnavailable: PostgreSQL does not answer.
    """
    if secret_key is not None:
        return Sealer(secret_key.reveal().encode())
    async with database.transaction() as connection:
        await connection.execute(
            "insert into shared_secrets (name, value) values ($1, $2) on conflict do nothing",
            _NAME,
            os.urandom(KEY_BYTES),
        )
        return Sealer(await connection.fetchval("select value from shared_secrets where name = $1", _NAME))
