"""Decides whether a caller may ask now: by key, else by address, and apart for searching, calling and administering."""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from toolbox.auth.callers import LOCAL, NOBODY, Caller
from toolbox.errors import RateLimited
from toolbox.metrics import RATE_LIMITED
from toolbox.rate_limiting.counts import Counts
from toolbox.rate_limiting.windows import Verdict, Window
from toolbox.settings import Settings

if TYPE_CHECKING:
    from redis.asyncio import Redis

Category: TypeAlias = Literal["search", "call", "admin"]

ANONYMOUS_SHARE = 10
"""Callers who show no key have this part of the limits of others."""


class Limiter:
    """Counts requests of callers, and refuses what is too much."""

    def __init__(self, settings: Settings, client: "Redis | None") -> None:
        self.is_enabled = settings.rate_limit_enabled
        self._counts = Counts(client)
        per_second, per_minute, per_hour = (
            settings.rate_limit_burst,
            settings.rate_limit_requests_per_minute,
            settings.rate_limit_requests_per_hour,
        )
        self._windows = _make_windows(per_second, per_minute, per_hour)
        self._few = _make_windows(*(max(limit // ANONYMOUS_SHARE, 1) for limit in (per_second, per_minute, per_hour)))
        self._proxies = [ip_network(proxy, strict=False) for proxy in settings.trusted_proxies]

    @property
    def is_redis_down(self) -> bool:
        """Whether replicas count by themselves, as Redis did not answer."""
        return self._counts.is_redis_down

    def is_limited(self, caller: Caller) -> bool:
        """Whether a caller's requests are counted: not those of the one machine that ToolBox is open to."""
        return self.is_enabled and caller is not LOCAL

    async def take(self, caller: Caller, scope: Mapping[str, Any], category: Category, cost: int = 1) -> Verdict:
        """Count a request.

        Raises:
            RateLimited: There were too many; this one does not count.
        """
        is_known = not caller.is_anonymous and caller is not NOBODY
        who = caller.name if is_known else f"address:{self.find_address(scope)}"
        windows = self._windows if is_known else self._few
        verdict = await self._counts.take(who, category, windows, min(cost, windows[0].limit))
        if not verdict.is_allowed:
            RATE_LIMITED[category, verdict.window.name].inc()
            raise RateLimited(verdict.retry_seconds, describe(verdict, windows))
        return verdict

    def describe(self, caller: Caller, verdict: Verdict) -> dict[str, str]:
        """The headers that tell a caller what is left."""
        is_known = not caller.is_anonymous and caller is not NOBODY
        return describe(verdict, self._windows if is_known else self._few)

    def find_address(self, scope: Mapping[str, Any]) -> str:
        """Where a request comes from: the last address that no trusted proxy has, of those that proxies have added."""
        client = scope.get("client")
        address = str(client[0]) if client else "unknown"
        forwarded = (
            b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for") if self._proxies else b""
        )
        hops = [hop.strip() for hop in forwarded.decode("latin-1").split(",") if hop.strip()]
        while hops and self._is_trusted(address):
            address = hops.pop()
        return _group(address)

    def _is_trusted(self, address: str) -> bool:
        found = _read_address(address)
        return found is not None and any(found in network for network in self._proxies)


def describe(verdict: Verdict, windows: tuple[Window, ...]) -> dict[str, str]:
    """RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers-10), and the X-RateLimit-* before them."""
    reset = max(round(verdict.retry_seconds or verdict.reset_seconds), 1)
    return {
        "RateLimit-Policy": ", ".join(f'"{window.name}";q={window.limit};w={window.seconds}' for window in windows),
        "RateLimit": f'"{verdict.window.name}";r={verdict.remaining};t={reset}',
        "X-RateLimit-Limit": str(verdict.window.limit),
        "X-RateLimit-Remaining": str(verdict.remaining),
        "X-RateLimit-Reset": str(reset),
    }


def _make_windows(per_second: int, per_minute: int, per_hour: int) -> tuple[Window, ...]:
    return Window("second", 1, per_second), Window("minute", 60, per_minute), Window("hour", 3600, per_hour)


def _group(address: str) -> str:
    """One subscriber of IPv6 has a whole network of addresses (RFC 6177): it is counted as one."""
    found = _read_address(address)
    if found is None:
        return address[:64]
    return str(ip_network(f"{found}/64", strict=False)) if found.version == 6 else str(found)


def _read_address(text: str) -> IPv4Address | IPv6Address | None:
    """An address, behind which some proxies write the port, too.

    Where one socket listens to both, a client of IPv4 has one of IPv6 (`::ffff:192.0.2.1`, RFC 4291): it is no
    neighbour of all others.
    """
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found
