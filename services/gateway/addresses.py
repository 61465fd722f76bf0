"""Who a request comes from."""

import ipaddress
from functools import lru_cache

from starlette.types import Scope


def client_of(scope: Scope) -> str:
    """The address that a request comes from, as the log tells it; empty when there is none that is one."""
    client = scope.get("client")
    return _read(client[0])[0] if client else ""


def origin_of(scope: Scope) -> str:
    """The same as rates and caps count it."""
    client = scope.get("client")
    return origin(client[0]) if client else ""


def origin(address: str) -> str:
    """What belongs to one client: an address, or a network of IPv6, of which each subscriber has a whole one to draw on."""
    return _read(address)[1]


@lru_cache(maxsize=4096)
def _read(text: str) -> tuple[str, str]:
    try:
        address = ipaddress.ip_address(text[:100].partition("%")[0])  # longer is none, whatever a proxy passed on
    except ValueError:
        return "", ""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    if isinstance(address, ipaddress.IPv4Address):
        return str(address), str(address)
    return str(address), str(ipaddress.ip_network((address, 64), strict=False))
