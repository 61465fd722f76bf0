"""Whether a NATS that somebody else runs writes through to disk before it acknowledges."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import structlog

from services.launcher.errors import StartError
from services.launcher.probes import fetch
from shared.bus import Access, Denied, connect

RISK = "a power cut may lose what was acknowledged"

ACCEPT = f"or say --accept-unsynced (ACCEPT_UNSYNCED=1): {RISK}"

CONNECT_SECONDS = 5.0
"""Longer than a server takes that was reached a moment before."""

SYSTEM_STATE = "$SYS.REQ.SERVER.PING.JSZ"
"""Answered by each server of a cluster, for the `monitor` key of its system account."""

log = structlog.get_logger()


async def require(url: str, monitor_url: str, monitor: Access | None, *, accept_unsynced: bool) -> None:
    """Raise StartError unless the server syncs each write, or the user accepts that it may not.

    Asked at `monitor_url`, its HTTP monitoring address, or with the `monitor` key.
    """
    if accept_unsynced:
        log.warning("nats.unsynced_accepted", risk=RISK)
        return
    synced = await _by_http(monitor_url) if monitor_url else await _by_key(url, monitor) if monitor else None
    if synced is None:
        asked = f"its monitoring address {monitor_url} does not tell" if monitor_url else "nothing here may ask it"
        raise StartError(
            f"It cannot be told whether the NATS in NATS_URL writes through to disk (sync_interval: always): {asked}. "
            f"Set NATS_MONITOR_URL to its monitoring address (http://host:8222), {ACCEPT}"
        )
    if not synced:
        raise StartError(
            "The NATS in NATS_URL does not write through to disk. "
            f"Set sync_interval: always in the jetstream block of its configuration, {ACCEPT}"
        )


async def _by_http(monitor_url: str) -> bool | None:
    status, body = await fetch(f"{monitor_url.rstrip('/')}/jsz?config=true")
    return _synced(body) if status == 200 else None


async def _by_key(url: str, monitor: Access) -> bool | None:
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            bus = await connect(url, "launcher-monitor", replace(monitor, patient=False))
    except (TimeoutError, Denied) as error:
        log.warning("nats.state_unknown", error=str(error) or "no answer", role=monitor.role)
        return None
    try:
        answer = await bus.client.request(SYSTEM_STATE, b'{"config":true}', timeout=2)
        return _synced(answer.data)
    except Exception as error:
        log.warning("nats.state_unknown", error=f"{type(error).__name__}: {error}")
        return None
    finally:
        await bus.close()


def _synced(body: bytes) -> bool | None:
    try:
        found: dict[str, Any] = json.loads(body)
        config = found.get("data", found)["config"]
        return bool(config.get("sync_always"))
    except (ValueError, KeyError, AttributeError, TypeError):
        return None
