"""Who is ready: which processes answer `$SRV.PING`, and whose address answers 200."""

import asyncio
import socket
from collections.abc import Iterable
from typing import Any

import msgspec

from services.launcher.folder import ChildReport
from services.launcher.probes import fetch
from shared.bus import Bus, Malformed, decode

HOST = socket.gethostname()


class Pong(msgspec.Struct):
    """Answer to `$SRV.PING` (NATS ADR-32), as far as it matters here."""

    name: str
    metadata: dict[str, str] = {}


class RollCall:
    """The processes of this machine that answered so far, by service name and process id."""

    def __init__(self, bus: Bus) -> None:
        self._client = bus.client
        self._inbox = ""
        self.present: set[tuple[str, int]] = set()

    async def call(self, services: Iterable[str]) -> None:
        """Ask all instances of these services to answer; who does is in `present` a moment later."""
        if not self._client.is_connected:
            return  # what is said meanwhile is kept for later, and that has a limit
        if not self._inbox:
            self._inbox = self._client.new_inbox()
            await self._client.subscribe(self._inbox, cb=self._on_answer)
        for name in set(services) - {""}:
            await self._client.publish(f"$SRV.PING.{name}", reply=self._inbox)

    async def _on_answer(self, message: Any) -> None:
        try:
            pong = decode(Pong, message.data)
            if pong.metadata.get("host") == HOST:  # another machine on a joined bus may use the same process id
                self.present.add((pong.name, int(pong.metadata["pid"])))
        except (Malformed, KeyError, ValueError):
            return  # an instance of another project's, or a version before process ids were told


async def is_ready(report: ChildReport, roll: RollCall) -> bool:
    """Whether a child answers where it should."""
    if report.service and (report.service, report.pid) not in roll.present:
        return False
    return not report.probe or (await fetch(report.probe))[0] == 200


async def ready_now(bus: Bus, reports: Iterable[ChildReport], seconds: float) -> set[str]:
    """Names of the children that answer within `seconds`."""
    roll = RollCall(bus)
    missing = {report.name: report for report in reports}
    ready: set[str] = set()
    deadline = asyncio.get_running_loop().time() + seconds
    while missing and asyncio.get_running_loop().time() < deadline:
        await roll.call(report.service for report in missing.values())
        await asyncio.sleep(0.02)
        for report in list(missing.values()):
            if await is_ready(report, roll):
                ready.add(report.name)
                del missing[report.name]
    return ready
