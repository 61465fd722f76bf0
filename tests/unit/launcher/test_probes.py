"""Whatever is asked, the answer is a status."""

import pytest

from services.launcher.probes import fetch


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/healthz", "http://127.0.0.1:monitor", "http://127.0.0.1:99999", "http://[", ""]
)
async def test_an_address_where_nobody_answers_has_no_status(url: str) -> None:
    assert await fetch(url) == (0, b"")
