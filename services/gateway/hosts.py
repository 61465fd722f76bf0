"""The names under which the gateway may be asked for, against DNS rebinding."""

import ipaddress
import re
from collections.abc import Collection

HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]{2,45}\]|[^\s:/?#@\[\]]{1,253})(:(?P<port>[0-9]{1,5}))?")
"""A Host header (RFC 9110): a name or an address, and a port. Anything else would come back in links that we make of it."""


def names_of(host: str, more: str, url: str = "") -> frozenset[str]:
    """What a request's Host may be besides an address: `localhost`, the host listened on, `more`, comma-separated, and the
    host of the `url` that browsers use."""
    listed = {name.strip().lower() for name in more.split(",")}
    if found := HOST.fullmatch(url.partition("://")[2]):
        listed.add(found["name"].lower())
    return frozenset(listed | {"localhost", host.lower()}) - {""}


def is_own(host_header: str, names: Collection[str]) -> bool:
    """Whether a Host header is ours.

    A page of another site can reach us only under its own name, pointed here by its DNS. An address needs no DNS, so any
    address will do: probes ask a container by the address it was given.
    """
    found = HOST.fullmatch(host_header)
    if not found or int(found["port"] or 0) > 65535:
        return False
    name = found["name"].lower()
    return name in names or _is_address(name)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def is_loopback(address: str) -> bool:
    """Whether an address is reached from this machine only."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback
