"""What finds out who is calling: keys, and the tokens of an authorization server where there is one."""

import contextlib
from collections.abc import AsyncIterator

from toolbox.auth.authentication import Authenticator
from toolbox.auth.jwks import Jwks
from toolbox.auth.key_secrets import KeyDigests
from toolbox.auth.service import KeyService
from toolbox.auth.tokens import TokenVerifier
from toolbox.database import Database
from toolbox.events import Events
from toolbox.seals import load_secrets
from toolbox.settings import Settings


@contextlib.asynccontextmanager
async def open_authenticator(
    settings: Settings, database: Database, events: Events
) -> AsyncIterator[tuple[KeyService, Authenticator]]:
    """The keys, and what knows callers by them; both digest a key in the same way."""
    digests = KeyDigests(*await load_secrets(database, settings.secret_key))
    keys = KeyService(database, digests)
    async with _open_tokens(settings) as tokens:
        yield keys, Authenticator(settings, keys.repository, digests, events, tokens)


@contextlib.asynccontextmanager
async def _open_tokens(settings: Settings) -> AsyncIterator[TokenVerifier | None]:
    """What checks tokens, where there is an authorization server."""
    if not settings.takes_tokens:
        yield None
        return
    if settings.jwt_jwks_url is None:
        yield TokenVerifier(settings, None)
        return
    import httpx

    async with httpx.AsyncClient() as client:
        yield TokenVerifier(settings, Jwks(settings.jwt_jwks_url, client))
