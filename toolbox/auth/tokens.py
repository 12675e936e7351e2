"""Tokens of an OAuth 2.1 authorization server (RFC 9068 in what they claim): ToolBox is its resource server.

A token counts when its signature, issuer, audience and time are right. Algorithms are pinned: those of public keys
where there is a JWKS, HS256 where there is a shared secret, never what a token itself wishes for.
"""

import time
from typing import Annotated, Any

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OctKey
from joserfc.jws import extract_compact
from msgspec import Meta, Struct, UnsetType

from toolbox.auth.callers import Caller, limited_to
from toolbox.auth.jwks import Jwks
from toolbox.auth.scopes import ALL
from toolbox.errors import Unauthenticated
from toolbox.settings import Settings

PUBLIC_KEY_ALGORITHMS = ["RS256", "PS256", "ES256", "ES384", "Ed25519", "EdDSA"]
SECRET_ALGORITHMS = ["HS256"]

LEEWAY_SECONDS = 30
"""How far the clocks of two machines may be apart."""
MAX_TOKEN_BYTES = 8192
TRUSTED_SECONDS = 300.0
"""How long a token that was checked is taken without another look: a key may have been withdrawn meanwhile."""


class Claims(Struct):
    """What a token says, as far as it matters here."""

    iss: str
    sub: Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]
    """As long as OpenID Connect Core lets it be (2); who it names owns calls and results, so it is taken whole."""
    aud: str | list[str]
    exp: float
    nbf: float = 0.0
    scope: str = ""
    scp: str | list[str] = ""
    toolsets: list[str] | UnsetType = msgspec.UNSET


class Verified(Struct, frozen=True):
    """Who shows a token, and until when it need not be checked again."""

    caller: Caller
    until: float


class TokenVerifier:
    """Knows the tokens of one authorization server."""

    def __init__(self, settings: Settings, jwks: Jwks | None) -> None:
        self._issuer = settings.jwt_issuer
        self._audience = settings.jwt_audience or settings.public_url or ""
        self._jwks = jwks
        secret = settings.jwt_secret
        self._secret = OctKey.import_key(secret.reveal()) if secret else None

    async def verify(self, shown: bytes) -> Verified:
        """Who shows this token.

        Raises:
            Unauthenticated: Nobody, or not here, or not any more.
        """
        if len(shown) > MAX_TOKEN_BYTES:
            raise Unauthenticated(f"the token is longer than {MAX_TOKEN_BYTES} bytes")
        try:
            claims = msgspec.convert(await self._decode(shown.decode("ascii")), Claims)
        except (JoseError, ValueError, TypeError) as error:  # the reason may quote the token, so it is not passed on
            raise Unauthenticated("the token is none that counts here") from error
        self._check(claims)
        scopes = frozenset(claims.scope.split()) | frozenset(
            claims.scp.split() if isinstance(claims.scp, str) else claims.scp
        )
        toolsets = None if claims.toolsets is msgspec.UNSET else frozenset(claims.toolsets)
        caller = limited_to(f"token:{claims.sub}", scopes & ALL, toolsets)
        return Verified(caller, min(claims.exp + LEEWAY_SECONDS, time.time() + TRUSTED_SECONDS))

    async def _decode(self, token: str) -> dict[str, Any]:
        if self._secret is not None:
            return jwt.decode(token, self._secret, algorithms=SECRET_ALGORITHMS).claims
        assert self._jwks is not None  # noqa: S101 - the settings have one of the two
        keys: KeySet = await self._jwks.find(_read_key_id(token))
        return jwt.decode(token, keys, algorithms=PUBLIC_KEY_ALGORITHMS).claims

    def _check(self, claims: Claims) -> None:
        now = time.time()
        if claims.iss != self._issuer:
            raise Unauthenticated("the token comes from another issuer")
        audiences = [claims.aud] if isinstance(claims.aud, str) else claims.aud
        if not any(_is_within(audience, self._audience) for audience in audiences):
            raise Unauthenticated("the token is for another audience")
        if claims.exp + LEEWAY_SECONDS < now:
            raise Unauthenticated("the token has expired")
        if claims.nbf - LEEWAY_SECONDS > now:
            raise Unauthenticated("the token does not count yet")


def is_token(shown: bytes) -> bool:
    """Whether a text could be a token: three parts between dots, which no key of ours has."""
    return shown.count(b".") == 2


def _read_key_id(token: str) -> str | None:
    found = extract_compact(token.encode()).headers().get("kid")
    return found if isinstance(found, str) else None


def _is_within(audience: str, ours: str) -> bool:
    """Clients name the very endpoint that they use (RFC 8707): it is ours if it lies below the one that is set."""
    audience, ours = audience.rstrip("/"), ours.rstrip("/")
    return audience == ours or audience.startswith(f"{ours}/")
