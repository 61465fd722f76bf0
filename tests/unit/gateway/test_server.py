"""The address is had, or the reason is told in one line."""

import pytest

from services.gateway.server import address, listen


def test_a_free_port_is_taken() -> None:
    with listen("127.0.0.1", 0) as listener:
        assert address(listener).startswith("http://127.0.0.1:")


def test_a_taken_port_ends_with_one_line() -> None:
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(SystemExit) as refused:
            listen("127.0.0.1", port)
        assert f"port {port}" in str(refused.value)
        assert "PORT" in str(refused.value)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104  # to be refused
def test_other_machines_are_served_only_when_a_token_guards(host: str) -> None:
    with pytest.raises(SystemExit) as refused:
        listen(host, 0)
    assert "GATEWAY_TOKEN" in str(refused.value)
    with listen("0.0.0.0", 0, guarded=True) as listener:  # noqa: S104  # for a moment, and nobody is told the port
        assert address(listener).startswith("http://0.0.0.0:")
