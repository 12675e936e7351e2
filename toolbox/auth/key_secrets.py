"""What callers show: 256 random bits behind `tbx_`, of which only a keyed digest is ever kept. Pure module: no I/O.

The digest is what a key is looked up by, so nothing is compared character by character, and whoever reads the database
has nothing to show. A slow hash would add nothing: there is nothing to guess.
"""

import hashlib
import re
import secrets

from toolbox.seals import derive_key

PREFIX = "tbx_"
_SECRET = re.compile(rb"tbx_[A-Za-z0-9_-]{43}")
ENDING = 4


class KeyDigests:
    """Makes digests with keys of this ToolBox's own, the newest first: SECRET_KEY may have been another one."""

    def __init__(self, *secrets: bytes) -> None:
        self._keys = [derive_key(secret, "keys") for secret in secrets]

    def digest(self, secret: bytes) -> bytes:
        """32 bytes that stand for a secret."""
        return hashlib.blake2b(secret, key=self._keys[0], digest_size=32).digest()

    def all_digests(self, secret: bytes) -> list[bytes]:
        """All that may stand for it, in what was written before."""
        return [hashlib.blake2b(secret, key=key, digest_size=32).digest() for key in self._keys]


def new_secret() -> str:
    """One that nobody has seen before."""
    return PREFIX + secrets.token_urlsafe(32)


def is_secret(text: bytes) -> bool:
    """Whether a text could be one of ours."""
    return _SECRET.fullmatch(text) is not None
