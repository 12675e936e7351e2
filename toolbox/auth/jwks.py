"""The public keys of the authorization server (RFC 7517), fetched when they are needed.

One request at a time asks for them, whoever else waits takes what it brings. A token with a key that is not known
brings them anew, but not more often than every few seconds: anybody can make such tokens.
"""

import asyncio
import time
from typing import TYPE_CHECKING

import msgspec
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from toolbox.errors import Unauthenticated

if TYPE_CHECKING:  # the HTTP client takes a quarter of a second to load, and most installations need none here
    from httpx import AsyncClient

logger = structlog.get_logger(__name__)

MAX_AGE_SECONDS = 300.0
"""A key that the authorization server has withdrawn is good for new tokens so long at most."""
COOLDOWN_SECONDS = 5.0
TIMEOUT_SECONDS = 5.0
MAX_BYTES = 512 * 1024


class Jwks:
    """Keys by their ids; while the server does not answer, as they were last known."""

    def __init__(self, url: str, client: "AsyncClient") -> None:
        self._url = url
        self._client = client
        self._keys: KeySet | None = None
        self._ids = frozenset[str | None]()
        self._read_at = self._tried_at = -MAX_AGE_SECONDS
        self._reading = asyncio.Lock()

    async def find(self, key_id: str | None) -> KeySet:
        """The keys, among which that with this id is if the server has it.

        Raises:
            Unauthenticated: They have never been read, and cannot be now.
        """
        if not self._is_enough(key_id):
            async with self._reading:
                if not self._is_enough(key_id):
                    await self._read()
        if self._keys is None:
            raise Unauthenticated("tokens cannot be checked now: their issuer does not answer; try again")
        return self._keys

    def _is_enough(self, key_id: str | None) -> bool:
        now = time.monotonic()
        if now - self._tried_at < COOLDOWN_SECONDS:
            return True
        return self._keys is not None and now - self._read_at < MAX_AGE_SECONDS and key_id in self._ids

    async def _read(self) -> None:
        import httpx

        self._tried_at = time.monotonic()
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):  # the client's own begins anew with each part that comes
                answer = await self._client.get(self._url, follow_redirects=False)
            answer.raise_for_status()
            if len(answer.content) > MAX_BYTES:
                raise ValueError(f"it is longer than {MAX_BYTES} bytes")  # noqa: TRY301 - one way to say what is wrong
            keys = KeySet.import_key_set(msgspec.json.decode(answer.content))
        except (TimeoutError, httpx.HTTPError, JoseError, ValueError, TypeError, KeyError) as error:
            logger.warning("the keys of JWT_JWKS_URL cannot be read", reason=str(error) or type(error).__name__)
            return
        self._keys, self._read_at = keys, time.monotonic()
        self._ids = frozenset([None, *(key.kid for key in keys.keys)])
