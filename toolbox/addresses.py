"""Which addresses tools may connect to: public ones, and those that the operator allows. Pure module: no I/O."""

import ipaddress
from collections.abc import Iterable
from typing import TypeAlias

from toolbox.errors import SettingsError

IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_V4_COMPATIBLE = ipaddress.IPv6Network("::/96")


class AddressPolicy:
    """Which addresses may be connected to."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        """Public ones, and those in the `allowed` networks.

        Raises:
            SettingsError: One of them is no network.
        """
        self._allowed = [_read_network(text) for text in allowed]

    def allows(self, address: IpAddress) -> bool:
        """Whether it may be connected to; an IPv4 address inside an IPv6 one counts as itself."""
        address = getattr(address, "ipv4_mapped", None) or address
        if any(address.version == network.version and address in network for network in self._allowed):
            return True
        return _is_public(address) and all(map(_is_public, _embedded(address)))


def _is_public(address: IpAddress) -> bool:
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _embedded(address: IpAddress) -> list[IpAddress]:
    """IPv4 addresses that an IPv6 address leads to: 6to4, Teredo, NAT64, and the form that is out of use."""
    if not isinstance(address, ipaddress.IPv6Address):
        return []
    found: list[IpAddress | None] = [address.sixtofour, *(address.teredo or ())]
    if address in _NAT64 or address in _V4_COMPATIBLE:
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return [one for one in found if one is not None]


def _read_network(text: str) -> IpNetwork:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise SettingsError(
            f"ALLOWED_PRIVATE_NETWORKS={text!r} cannot be used: networks such as 10.0.0.0/8 or ::1/128 are expected"
        ) from error
