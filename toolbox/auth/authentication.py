"""Finds out who is calling from what a request carries: a key, a token, or nothing.

Known keys are kept in memory, so that a request costs no look into the database. What is kept is forgotten as soon as
any process changes a key: what was read before that is not kept either (`_changes`). While the database does not
answer, known keys go on working.
"""

import time
from collections.abc import Iterable
from datetime import datetime

import structlog
from cachebox import LRUCache
from msgspec import Struct

from toolbox.auth.callers import LOCAL, VISITOR, Caller, limited_to, name_caller
from toolbox.auth.key_secrets import KeyDigests, is_secret
from toolbox.auth.repository import KeyRepository, KnownKey
from toolbox.auth.scopes import ALL
from toolbox.auth.tokens import TokenVerifier, is_token
from toolbox.errors import DatabaseUnavailable, Unauthenticated
from toolbox.events import Events
from toolbox.settings import Secret, Settings

logger = structlog.get_logger(__name__)

MAX_KNOWN = 50_000
MAX_UNKNOWN = 10_000
"""Keys that are remembered: those that work, and those that do not, apart, so that nobody can crowd others out."""

ADMIN = Caller("admin", ALL)
"""Whoever shows API_KEY."""
REPORTER = Caller("toolbox", frozenset({"tools:read", "metrics:read"}))
"""The report that a server prints at its start."""

HOW = "send a key as `Authorization: Bearer ...` or as `X-API-Key: ...`"


class _Known(Struct, frozen=True):
    caller: Caller
    until: float | None


class Authenticator:
    """Knows callers by what they carry."""

    def __init__(
        self,
        settings: Settings,
        keys: KeyRepository,
        digests: KeyDigests,
        events: Events,
        tokens: TokenVerifier | None = None,
    ) -> None:
        self._tokens = tokens
        self._settings = settings
        self._keys = keys
        self._digests = digests
        self._own = dict[bytes, Caller]()
        self._known: LRUCache[bytes, _Known] = LRUCache(MAX_KNOWN)
        self._unknown: LRUCache[bytes, bool] = LRUCache(MAX_UNKNOWN)
        self._changes = 0
        self._anonymous: Caller | None = None
        self._is_stale = True
        if settings.api_key:
            self.admit(settings.api_key, ADMIN)
        events.subscribe("keys", lambda _event: self._forget())

    def admit(self, secret: Secret, caller: Caller) -> None:
        """Let a caller in whose key no database has; before the first request."""
        self._own[self._digests.digest(secret.reveal().encode())] = caller

    async def identify(self, headers: Iterable[tuple[bytes, bytes]]) -> Caller:
        """Who sends a request with these headers. What is shown must be right, also where nothing need be shown.

        Raises:
            Unauthenticated: That cannot be known.
            DatabaseUnavailable: PostgreSQL does not answer, and the key is not known yet.
        """
        shown = read_credentials(headers)
        if shown is None:
            return await self._identify_anonymous()
        digest = self._digests.digest(shown)
        known: _Known | None = self._known.get(digest)
        if known is not None and (known.until is None or time.time() < known.until):
            return known.caller
        own = self._own.get(digest)
        if own is not None:
            return own
        if self._tokens is not None and is_token(shown):
            return await self._verify(self._tokens, shown, digest)
        return await self._look_up(shown, digest)

    async def has_credentials(self) -> bool:
        """Whether anybody can show anything: a key was issued, or the settings name one.

        Raises:
            DatabaseUnavailable: PostgreSQL does not answer.
        """
        return self._settings.api_key is not None or self._tokens is not None or await self._keys.has_any()

    async def describe(self) -> str:
        """Who may call, in words for the operator.

        Raises:
            DatabaseUnavailable: PostgreSQL does not answer.
        """
        if self._settings.allow_anonymous and (not self._settings.is_local or await self.has_credentials()):
            return "everybody may find and call tools, all else needs a key (ALLOW_ANONYMOUS)"
        if self._settings.is_local and not await self.has_credentials():
            return "open to everybody on this machine: no keys are needed"
        return "callers need a key"

    async def _look_up(self, shown: bytes, digest: bytes) -> Caller:
        if not is_secret(shown) or digest in self._unknown:
            raise Unauthenticated("the key is none that works here: it is mistyped, revoked or has expired")
        changes = self._changes
        key = await self._keys.find(self._digests.all_digests(shown))
        is_current = changes == self._changes
        if key is None:
            if is_current:
                self._unknown[digest] = True
            raise Unauthenticated("the key is none that works here: it is mistyped, revoked or has expired")
        caller = _to_caller(key)
        if is_current:
            self._known[digest] = _Known(caller, _to_time(key.expires_at))
        return caller

    async def _verify(self, tokens: TokenVerifier, shown: bytes, digest: bytes) -> Caller:
        verified = await tokens.verify(shown)
        self._known[digest] = _Known(verified.caller, verified.until)
        return verified.caller

    async def _identify_anonymous(self) -> Caller:
        if self._is_stale:
            await self._decide_about_anonymous()
        if self._anonymous is None:
            raise Unauthenticated(f"a key is needed: {HOW}", was_shown=False)
        return self._anonymous

    async def _decide_about_anonymous(self) -> None:
        """Everything on a machine where no key was ever made; little where the operator says so; else nothing."""
        changes = self._changes
        try:
            is_open = self._settings.is_local and not await self.has_credentials()
        except DatabaseUnavailable as error:
            logger.warning("callers without a key are treated as before", reason=error.message)
            return
        self._anonymous = LOCAL if is_open else VISITOR if self._settings.allow_anonymous else None
        self._is_stale = changes != self._changes

    def _forget(self) -> None:
        self._changes += 1
        self._known.clear()
        self._unknown.clear()
        self._is_stale = True


def read_credentials(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """What a request shows, if it shows anything.

    Raises:
        Unauthenticated: It shows two different things, or in a way that is unknown.
    """
    shown: bytes | None = None
    for name, value in headers:
        if name == b"authorization":
            scheme, _, found = value.strip().partition(b" ")
            if scheme.lower() != b"bearer":
                raise Unauthenticated(f"the header Authorization must begin with Bearer: {HOW}")
        elif name == b"x-api-key":
            found = value
        else:
            continue
        found = found.strip()
        if not found:
            continue
        if shown is not None and shown != found:
            raise Unauthenticated("two different keys are shown, and nobody can say which one counts")
        shown = found
    return shown


def _to_caller(key: KnownKey) -> Caller:
    return limited_to(name_caller(key.name), key.scopes, key.toolsets)


def _to_time(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment else None
