"""`launcher tap`: prints the messages of the bus as they pass, for people without the nats command."""

import asyncio
import re
import sys
from dataclasses import replace
from pathlib import Path

from services.launcher import keys
from services.launcher.folder import Folder, StackReport
from services.launcher.locks import holder
from services.launcher.stack import LauncherSettings
from shared.bus import Access, Denied, connect
from shared.roles import TAP
from shared.service import Settings, environment, load
from shared.terminal import printable

SUBJECT = re.compile(r"[A-Za-z0-9_$*>-]+(\.[A-Za-z0-9_$*>-]+)*")
"""What may be listened to; the server closes the connection on anything odd."""


def address(report: StackReport) -> str:
    """Where the stack's NATS is."""
    return report.nats_url or load(Settings, environment()).nats_url


def access_of(folder: Folder, report: StackReport | None, role: str) -> Access:
    """How to get onto the stack's NATS, or that of NATS_URL, in this role."""
    settings = load(LauncherSettings, environment())
    if report and report.nats_url:
        return keys.access(folder.keys, role, settings.nats_ca)
    return keys.access(Path(settings.nats_keys), role, settings.nats_ca) if settings.nats_keys else settings.access(role)


def tap(folder: Folder, subject: str) -> int:
    """Print each message on a subject, wildcards allowed, until Ctrl-C."""
    if not SUBJECT.fullmatch(subject) or len(subject) > 256:
        sys.stderr.write(f"{subject[:80]!r} is no subject; try 'attributes.>' or 'control.>'\n")
        return 1
    report = folder.read_report() if holder(folder.lock) is not None else None
    settings = load(LauncherSettings, environment())
    access = replace(access_of(folder, report, TAP), patient=False)
    try:
        asyncio.run(_print_messages(address(report) if report else settings.nats_url, access, subject))
    except Denied as error:
        sys.stderr.write(f"launcher: {error}\n")
        return 1
    return 0


async def _print_messages(url: str, access: Access, subject: str) -> None:
    bus = await connect(url, "launcher-tap", access)
    try:
        subscription = await bus.client.subscribe(subject)
        await bus.client.flush()  # now the server has it: what is said from here on is seen
        sys.stdout.write(f"Listening on {subject} (Ctrl-C ends)\n")
        sys.stdout.flush()
        number = 0
        async for message in subscription.messages:
            number += 1
            text = printable(message.data.decode(errors="replace"), keep="\n")
            sys.stdout.write(f"[#{number}] {printable(message.subject)}\n{text}\n\n")
            sys.stdout.flush()
    finally:
        await bus.close()
