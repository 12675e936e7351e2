"""Finds out who is calling from what a request carries."""

from collections.abc import Iterable

from toolbox.auth.callers import LOCAL, VISITOR, Caller
from toolbox.errors import Unauthenticated
from toolbox.settings import Settings


class Authenticator:
    """Knows callers by what they carry."""

    def __init__(self, settings: Settings) -> None:
        self._anonymous = LOCAL if settings.is_loopback else VISITOR if settings.allow_anonymous else None

    async def identify(self, _headers: Iterable[tuple[bytes, bytes]]) -> Caller:
        """Who sends a request with these headers.

        Raises:
            Unauthenticated: That cannot be known.
        """
        if self._anonymous is None:
            raise Unauthenticated("a key is needed: send it as `Authorization: Bearer ...` or as `X-API-Key`")
        return self._anonymous
