"""The stack's own nats-server: how it is started, where it listens, and that it keeps what it acknowledges."""

import asyncio
import json
import shutil
import sysconfig
from pathlib import Path
from urllib.parse import urlsplit

from services.launcher import keys
from services.launcher.children import Child, Program
from services.launcher.errors import StartError
from services.launcher.folder import Folder
from services.launcher.probes import fetch

NAME = "nats"

ACCOUNT = "CHORUS"
"""Whose streams these are, in `deploy/nats/permissions.conf`."""

READING_BACK = 500
"""Status of a server's health while it does not listen yet; one that listens and cannot write says 503."""

START_SECONDS = 600.0
"""Until the server listens: 0.05 s here, but after a crash it reads its log back before, which takes 5 s for each million of
messages on a disk that is fast, and 40 s for the 4 GB that it may keep. A disk that is ten times slower is allowed for."""

PORTS_SECONDS = 5.0
"""How long its file of ports may be empty: it is written in a moment, or, on a full disk, never."""


def program(folder: Folder, port: int = -1, http_port: int = -1) -> Program:
    """The server on this port of the loopback; -1 lets the system choose a free one.

    Raises StartError when no nats-server is installed.
    """
    listen = ["--addr", "127.0.0.1", "--port", str(port), "--http_port", str(http_port)]
    keep = ["--store_dir", str(folder.nats), "--ports_file_dir", str(folder.nats)]
    probe = f"http://127.0.0.1:{http_port}/healthz" if http_port > 0 else ""
    config = folder.nats / "config" / keys.SECURED
    return Program(NAME, (str(binary()), "--config", str(config), *listen, *keep), probe=probe, watches_parent=False)


async def start(child: Child, folder: Folder) -> str:
    """Start the server and return its address once it listens; a later start of the child uses the same ports.

    Its keys are made if there are none. Raises StartError when it ends instead or does not listen within `START_SECONDS`, and
    when it would lose acknowledged messages in a power cut.
    """
    for stale in folder.nats.glob("*.ports"):
        stale.unlink()
    _take_over_store(folder)
    keys.make(folder.keys)
    keys.assemble(folder.keys, folder.nats / "config")
    child.start()
    ports = await _ports(child, folder)
    url, monitor = ports["nats"][0], ports["monitoring"][0]
    child.program = program(folder, urlsplit(url).port or 0, urlsplit(monitor).port or 0)
    status, body = await fetch(f"{monitor}/jsz?config=true")
    if status != 200 or not json.loads(body)["config"].get("sync_always"):
        raise StartError(f"nats-server does not write through to disk (sync_interval: always); see {keys.CONFIG}")
    return str(url)


def _take_over_store(folder: Folder) -> None:
    """Give what an earlier version stored, when all roles shared the server's own account, to the account of today."""
    old, new = (folder.nats / "jetstream" / account for account in ("$G", ACCOUNT))
    if old.exists() and not new.exists():
        old.rename(new)


async def _ports(child: Child, folder: Folder) -> dict[str, list[str]]:
    """What the server writes down once it listens."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + START_SECONDS
    while child.failures == 0:
        file = folder.nats / f"nats-server_{child.pid}.ports"
        try:
            ports: dict[str, list[str]] = json.loads(file.read_text())
            return ports
        except FileNotFoundError:
            pass
        except ValueError:  # there, and empty
            deadline = min(deadline, loop.time() + PORTS_SECONDS)
        if loop.time() > deadline:
            raise StartError(_silence(folder, file))
        await asyncio.sleep(0.005)
    raise StartError(f"nats-server ended at once: {folder.last_words(NAME)}. Its log: {folder.log(NAME)}")


def _silence(folder: Folder, file: Path) -> str:
    """Why it is not waited for any longer."""
    if file.exists():
        return f"nats-server could not write down its ports in {file}: is the disk full? Its log: {folder.log(NAME)}"
    said = folder.last_words(NAME)
    return f"nats-server does not listen after {START_SECONDS:g} s; it last said: {said}. Its log: {folder.log(NAME)}"


def binary() -> Path:
    """The server as it is installed. Raises StartError when it is not."""
    beside_python = Path(sysconfig.get_path("scripts")) / "nats-server"
    if beside_python.exists():
        return beside_python
    if found := shutil.which("nats-server"):
        return Path(found)
    raise StartError("nats-server is not installed: run make setup, or set NATS_URL to a NATS that runs already")
