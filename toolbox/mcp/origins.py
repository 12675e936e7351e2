"""Which names a request may call this server by, and which web pages may call it at all. Pure module: no I/O.

A page of any site can make its own name resolve to a loopback address (DNS rebinding), and then speak to a server that
listens there as if it were its own. Its requests give themselves away by their Host and Origin.
"""

from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

from toolbox.settings import LOOPBACK, Settings

_DEFAULT_PORTS = {"http": 80, "https": 443}


class _Place(NamedTuple):
    scheme: str
    host: str | None
    port: int | None


class Origins:
    """What the settings allow."""

    def __init__(self, settings: Settings) -> None:
        public = _parse(settings.public_url or "")
        self._local_hosts = LOOPBACK | {settings.host.lower()}
        self._hosts = self._local_hosts | ({public.host} if public.host else set())
        # On an address that others can reach, only the operator knows the names that they reach it by.
        self._checks_host = settings.is_loopback or public.host is not None
        self._allows_all = "*" in settings.cors_origins
        self._pages = {page for page in (public, *map(_parse, settings.cors_origins)) if page.host}

    def allows_host(self, host: str | None) -> bool:
        """Whether a request may name this host (RFC 9110, 7.2: a name, or a name and a port)."""
        return not self._checks_host or _parse(f"//{host}" if host else "").host in self._hosts

    def allows_origin(self, origin: str | None) -> bool:
        """Whether a page from there may call; what sends no Origin is no page."""
        if origin is None or self._allows_all:
            return True
        page = _parse(origin)
        return page.host in self._local_hosts or page in self._pages


@lru_cache(1024)  # clients send the same few values again and again
def _parse(url: str) -> _Place:
    """Where a URL leads; of one that cannot be read, nowhere."""
    try:
        parts = urlsplit(url)
        return _Place(parts.scheme, parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme))
    except ValueError:
        return _Place("", None, None)
