"""Connections to servers that tools name: to public addresses only, unless the operator allows others.

The address is looked at that is connected to, after the name was resolved: neither a redirect nor a name whose address
changes between two looks leads inside (server-side request forgery).
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import certifi
import httpcore

from toolbox.addresses import AddressPolicy, IpAddress
from toolbox.errors import ToolError

MAX_CONNECTIONS = 512
MAX_IDLE_CONNECTIONS = 64
IDLE_SECONDS = 30.0


class AddressRefused(ToolError):
    """A tool wants to connect to where nothing of the operator's says that it may."""


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Opens connections for httpcore, to what the policy allows."""

    def __init__(self, policy: AddressPolicy) -> None:
        self._policy = policy
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Resolve the name once, and connect to one of its addresses that may be connected to.

        Raises:
            AddressRefused: None of them may.
        """
        addresses = await _resolve(host, port, timeout)
        allowed = [address for address in addresses if self._policy.allows(address)]
        if not allowed:
            raise AddressRefused(
                f"{host} is at {', '.join(map(str, addresses))}, which is no public address; the operator may allow it "
                "with ALLOWED_PRIVATE_NETWORKS"
            )
        for address in allowed[:-1]:
            try:
                return await self._backend.connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._backend.connect_tcp(str(allowed[-1]), port, timeout, local_address, socket_options)

    async def connect_unix_socket(self, path: str, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        """Never: URLs name no sockets."""
        raise AddressRefused(f"{path} is a socket of this machine")

    async def sleep(self, seconds: float) -> None:
        """As httpcore wants it."""
        await asyncio.sleep(seconds)


class Outbound:
    """The pool of connections that all tools of a process share; nothing is opened before the first call."""

    def __init__(self, policy: AddressPolicy) -> None:
        self._policy = policy

    @cached_property
    def pool(self) -> httpcore.AsyncConnectionPool:
        """Connections to whatever the policy allows; no proxy, no cookies, no redirects of its own."""
        return httpcore.AsyncConnectionPool(
            ssl_context=_create_ssl_context(),
            max_connections=MAX_CONNECTIONS,
            max_keepalive_connections=MAX_IDLE_CONNECTIONS,
            keepalive_expiry=IDLE_SECONDS,
            network_backend=GuardedBackend(self._policy),
        )

    async def close(self) -> None:
        """Close the connections."""
        if "pool" in self.__dict__:
            await self.pool.aclose()


def _create_ssl_context() -> ssl.SSLContext:
    """Trusts what the machine trusts, and what browsers do."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


async def _resolve(host: str, port: int, timeout_seconds: float | None) -> Sequence[IpAddress]:
    try:
        return [ipaddress.ip_address(host)]
    except ValueError:
        pass
    try:
        async with asyncio.timeout(timeout_seconds):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpcore.ConnectError(f"{host} cannot be resolved: {error}") from error
    except TimeoutError as error:
        raise httpcore.ConnectTimeout(f"{host} cannot be resolved in time") from error
    return [ipaddress.ip_address(str(address[4][0]).partition("%")[0]) for address in found]
