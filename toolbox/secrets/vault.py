"""Sealing secrets for the database: AES-256-GCM (NIST SP 800-38D) with keys made from SECRET_KEY (HKDF, RFC 5869).

The first key seals, all of them open: so a new key is put before the old one, everything is sealed anew, and then the
old one can go. Pure module: no I/O beyond random numbers.
"""

import hashlib
import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from toolbox.errors import SecretUnavailable

_FORM = b"\x01"
"""Before each sealed value, so that another way to seal can be told apart."""
_KEY_ID_BYTES = 4
_NONCE_BYTES = 12
_HEAD_BYTES = len(_FORM) + _KEY_ID_BYTES


class Vault:
    """Seals and opens with keys that nobody but this process's environment has."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        derived = [HKDF(SHA256(), 32, None, b"toolbox secrets").derive(key) for key in keys]
        self._ciphers = {_key_id(key): AESGCM(key) for key in derived}
        self._newest = _key_id(derived[0])
        self.fingerprint_key = HKDF(SHA256(), 32, None, b"toolbox fingerprints").derive(keys[0])
        """For digests of what is sealed, so that nobody can guess by them what it is."""

    def seal(self, name: str, value: str) -> bytes:
        """A value, readable under this name only: a row that is copied to another name does not open."""
        nonce, head = os.urandom(_NONCE_BYTES), _FORM + self._newest
        return head + nonce + self._ciphers[self._newest].encrypt(nonce, value.encode(), head + name.encode())

    def open(self, name: str, sealed: bytes) -> str:
        """What was sealed.

        Raises:
            SecretUnavailable: It was sealed with a key that SECRET_KEY does not hold, or was changed.
        """
        head, rest = sealed[:_HEAD_BYTES], sealed[_HEAD_BYTES:]
        cipher = self._ciphers.get(head[len(_FORM) :])
        try:
            if cipher is not None and head.startswith(_FORM):
                return cipher.decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], head + name.encode()).decode()
        except (InvalidTag, ValueError):
            pass
        raise SecretUnavailable(
            f"the secret {name!r} cannot be opened: none of the keys in SECRET_KEY has sealed it; add the earlier key "
            "behind the new one, with a comma between them, or set the secret again"
        )

    def is_newest(self, sealed: bytes) -> bool:
        """Whether a value is sealed with the first key."""
        return sealed.startswith(_FORM + self._newest)


def _key_id(key: bytes) -> bytes:
    """Which key it is, telling nothing of it."""
    return hashlib.blake2b(key, digest_size=_KEY_ID_BYTES, person=b"toolbox key id").digest()
