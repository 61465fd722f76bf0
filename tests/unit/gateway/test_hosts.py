"""A foreign domain pointed at this machine is not one of its names."""

import pytest

from services.gateway.hosts import is_loopback, is_own, names_of

NAMES = names_of("0.0.0.0", "chorus.example, Other.Example", "https://third.example:8443")  # noqa: S104  # a name here, nothing listens


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:8080",
        "127.0.0.1",
        "127.0.0.1:8080",
        "[::1]",
        "[::1]:80",
        "10.1.2.3:8080",
        "other.example:443",
        "third.example",
    ],
)
def test_own_names_and_addresses(host: str) -> None:
    assert is_own(host, NAMES)


@pytest.mark.parametrize(
    "host",
    [
        *("", ":80", "evil.test", "evil.test:8080", "localhost.evil.test", "chorus.example.evil", "127.1"),
        *("localhost:", "localhost:80x", "localhost:99999", "localhost:\u0661", "localhost:80 ", " localhost", "localhost/x"),
        *("localhost:8080@evil.test", "localhost@evil.test", "localhost:1:2", "::1", "[::1", "[localhost]"),
    ],
)
def test_foreign_names(host: str) -> None:
    assert not is_own(host, NAMES)


def test_loopback() -> None:
    assert all(is_loopback(address) for address in ("127.0.0.1", "127.9.9.9", "::1"))
    assert not any(is_loopback(address) for address in ("0.0.0.0", "10.0.0.1", "::", "fe80::1%eth0"))  # noqa: S104
