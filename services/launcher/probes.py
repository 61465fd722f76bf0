"""Asking a local HTTP address how it is."""

import asyncio
import http.client
from urllib.parse import urlsplit

PROBE_SECONDS = 2.0
"""How long an answer from this machine is waited for."""


async def fetch(url: str) -> tuple[int, bytes]:
    """Status and body of a GET; status 0 when nobody answers within `PROBE_SECONDS`, or the address is none."""
    return await asyncio.to_thread(_get, url)


def _get(url: str) -> tuple[int, bytes]:
    try:
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PROBE_SECONDS)
    except ValueError:  # it may be the user's, with a port that is no number
        return 0, b""
    try:
        connection.request("GET", f"{parts.path}?{parts.query}")
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()
