"""Who is one client: an address, or all addresses that one subscriber of IPv6 has."""

import pytest

from services.gateway.addresses import client_of, origin, origin_of


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.0.0.7", "10.0.0.7"),
        ("::ffff:10.0.0.7", "10.0.0.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unknown", ""),
        ("x" * 10_000, ""),
    ],
)
def test_what_counts_as_one(address: str, expected: str) -> None:
    assert origin(address) == expected


def test_what_a_proxy_passes_on_is_an_address_or_nothing() -> None:
    assert client_of({"type": "http", "client": ("2001:db8::1", 0)}) == "2001:db8::1"
    assert client_of({"type": "http", "client": ("\x1b[2J", 0)}) == ""
    assert origin_of({"type": "http", "client": None}) == ""
