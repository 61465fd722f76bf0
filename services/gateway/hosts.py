"""The names under which the gateway may be asked for, against DNS rebinding."""

import ipaddress
from collections.abc import Collection


def names_of(host: str, more: str) -> frozenset[str]:
    """What a request's Host may be besides an address: `localhost`, the host listened on, and `more`, comma-separated."""
    return frozenset({"localhost", host.lower(), *(name.strip().lower() for name in more.split(",") if name.strip())})


def is_own(host_header: str, names: Collection[str]) -> bool:
    """Whether a Host header is ours.

    A page of another site can reach us only under its own name, pointed here by its DNS. An address needs no DNS, so any
    address will do: probes ask a container by the address it was given.
    """
    host = host_header.rsplit(":", 1)[0] if not host_header.endswith("]") else host_header
    return host.lower() in names or _is_address(host)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def is_loopback(address: str) -> bool:
    """Whether an address is reached from this machine only."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback
