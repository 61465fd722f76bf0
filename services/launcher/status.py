"""`launcher status`: each service, its process and its health."""

import asyncio
import sys

from services.launcher.folder import Folder, StackReport
from services.launcher.locks import holder
from shared.bus import connect
from shared.roles import PROVISION

ANSWER_SECONDS = 2.0
"""How long a service may take to answer before it is called silent."""


def status(folder: Folder) -> int:
    """Print a table; returns 0 only if everything is well."""
    report = folder.read_report() if holder(folder.lock) is not None else None
    if report is None:
        sys.stdout.write("Chorus is not running. Start it with: make up\n")
        return 1
    answering = asyncio.run(_answering(folder, report))
    sys.stdout.write(f"{'SERVICE':<22}{'PID':>8}  {'STATE':<10}{'RESTARTS':>8}\n")
    for child in report.children:
        state = "silent" if child.state == "ready" and child.name not in answering else child.state
        sys.stdout.write(f"{child.name:<22}{child.pid or '-':>8}  {state:<10}{child.restarts:>8}\n")
    if report.dashboard:
        sys.stdout.write(f"\n{report.dashboard}\n")
    return 0 if len(answering) == len(report.children) else 1


async def _answering(folder: Folder, report: StackReport) -> set[str]:
    """Names of the children that answer now."""
    from services.launcher.readiness import ready_now
    from services.launcher.tap import access_of, address

    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            bus = await connect(address(report), "launcher-status", access_of(folder, report, PROVISION))
    except TimeoutError:
        return set()
    try:
        return await ready_now(bus, report.children, ANSWER_SECONDS)
    finally:
        await bus.close()
