"""Settings that would open the gateway to everybody, or mean nothing, end it with a sentence."""

import pytest

from services.gateway.settings import GatewaySettings
from shared.service import load

TOKEN = "correct horse battery"  # noqa: S105  # of this test alone


@pytest.mark.parametrize(
    ("name", "value"),
    [("GATEWAY_HOSTS", "chorus.example"), ("GATEWAY_URL", "https://chorus.example"), ("GATEWAY_PROXIES", "127.0.0.1")],
)
def test_what_a_proxy_forwards_is_served_only_when_a_token_guards(name: str, value: str) -> None:
    with pytest.raises(SystemExit, match=f"{name} is set without GATEWAY_TOKEN.* set GATEWAY_TOKEN to"):
        load(GatewaySettings, {name: value})
    load(GatewaySettings, {name: value, "GATEWAY_TOKEN": TOKEN})


@pytest.mark.parametrize(
    ("given", "origin"),
    [
        ("", ""),
        ("https://Chorus.example/", "https://chorus.example"),
        ("https://chorus.example:443", "https://chorus.example"),
        ("https://chorus.example:8443", "https://chorus.example:8443"),
        ("http://10.0.0.7:80", "http://10.0.0.7"),
        ("http://[2001:db8::1]:8080", "http://[2001:db8::1]:8080"),
    ],
)
def test_where_browsers_reach_it_is_read_as_they_write_it(given: str, origin: str) -> None:
    assert load(GatewaySettings, {"GATEWAY_URL": given, "GATEWAY_TOKEN": TOKEN}).origin == origin


@pytest.mark.parametrize(
    "given",
    ["chorus.example", "ftp://chorus.example", "https://chorus.example/path", "https://a@b", "https://a:99999", "https://"],
)
def test_an_address_that_browsers_cannot_have_is_refused(given: str) -> None:
    with pytest.raises(SystemExit, match="GATEWAY_URL is"):
        load(GatewaySettings, {"GATEWAY_URL": given, "GATEWAY_TOKEN": TOKEN})


@pytest.mark.parametrize("given", ["*", "proxy.example", "10.0.0.1/8", "127.0.0.1, nonsense"])
def test_only_addresses_and_networks_are_proxies(given: str) -> None:
    with pytest.raises(SystemExit, match="GATEWAY_PROXIES has"):
        load(GatewaySettings, {"GATEWAY_PROXIES": given, "GATEWAY_TOKEN": TOKEN})
