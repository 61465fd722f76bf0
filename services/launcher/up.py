"""`launcher up` and `launcher down`: the stack in the background."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

from services.launcher.folder import PROJECT, Folder, StackReport
from services.launcher.locks import end_holders, holder
from shared.terminal import printable

STOP_SECONDS = 60.0
"""Until everything has stopped: six groups of children, each of which is killed after 8 s."""

NATS_PORT = 4222
"""Where the nats command looks by itself; another free one is taken when somebody has it."""


COMPARED_PER_SECOND = 10_000_000
"""Bytes of the log: 20,000 entries of half a kilobyte."""

NOTICEABLE_SECONDS = 3.0


def up(folder: Folder, *, provider: str | None, producers: int | None, port: int | None) -> int:
    """Start the stack, wait until it is ready, and say where it is."""
    if holder(folder.lock) is not None:
        return _already_running(folder)
    os.chdir(PROJECT)  # where .env is read and output/ is written
    from services.launcher.errors import StartError
    from services.launcher.stack import NATS, SERVICES, chosen, is_free
    from shared.service import environment

    try:
        stack = chosen(",".join(SERVICES), provider=provider, producers=producers, port=port)
    except StartError as error:
        return _fail(str(error))
    if not is_free(stack.port):
        return _fail(f"Port {stack.port} is taken by another program. Choose another: make up PORT={stack.port + 1}")
    services = [name for name in SERVICES if name != NATS or not environment().get("NATS_URL")]
    answer = _start(folder, services, provider, producers, port)
    if not answer.get("ready"):
        return _fail(str(answer.get("error")))
    report = folder.read_report()
    if report is None:
        return _fail(why_no_report(folder))
    no_key = stack.base.providers == ("local",) and (provider or environment().get("PROVIDER")) != "local"
    _describe(folder, report, chose_local=no_key)
    return 0


def why_no_report(folder: Folder) -> str:
    """Why a stack that said it was ready does not say what runs in it."""
    if holder(folder.lock) is not None:
        return (
            f"It is ready, but what runs in it cannot be read from {folder.root / 'stack.json'}: is the disk full? "
            f"It goes on; its log: {folder.log('launcher')}. Stop it with: make down"
        )
    return (
        f"It stopped as soon as it was ready; the last it said: {folder.last_words('launcher')}. "
        f"The logs of its services, each with its reason: {folder.logs}"
    )


def announce_comparison(folder: Folder) -> None:
    """Say that a start takes longer, where it does: the log is compared with its second copy first."""
    size = 0
    for block in folder.nats.rglob("streams/RESULTS/msgs/*.blk"):
        with contextlib.suppress(FileNotFoundError):  # a server left behind may still write, and begin another block
            size += block.stat().st_size
    if size > COMPARED_PER_SECOND * NOTICEABLE_SECONDS:
        _say(f"Comparing the log with its second copy first: about {size / COMPARED_PER_SECOND:.0f} s ...")
        sys.stdout.flush()


def _start(
    folder: Folder, services: list[str], provider: str | None, producers: int | None, port: int | None
) -> dict[str, object]:
    """Start a supervisor that outlives us and return what it says when it is ready or has failed."""
    command = [sys.executable, "-m", "services.launcher", "run", "--services", ",".join(services)]
    command += ["--folder", str(folder.root), "--nats-port", str(NATS_PORT), "--metrics"]
    for flag, value in (("--provider", provider), ("--producers", producers), ("--port", port)):
        if value is not None:
            command += [flag, str(value)]
    if "nats" in services:
        announce_comparison(folder)
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None  # noqa: S101  # for the type checker: it is a pipe
    try:
        line = process.stdout.readline()
    except KeyboardInterrupt:
        process.send_signal(signal.SIGTERM)
        process.wait()
        return {"error": "Stopped before it was ready; nothing is running."}
    if not line:
        return {"error": f"The launcher ended: {folder.last_words('launcher')}. Its log: {folder.log('launcher')}"}
    answer: dict[str, object] = json.loads(line)
    return answer


def down(folder: Folder) -> int:
    """Stop the stack; returns when nothing of it is left."""
    pid = holder(folder.lock)
    if pid:
        with contextlib.suppress(ProcessLookupError):  # it ends by itself at this moment
            os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while holder(folder.lock) is not None:
        if time.monotonic() > deadline:
            return _fail(f"The launcher (process {pid}) does not stop; see {folder.log('launcher')}")
        time.sleep(0.02)
    try:
        left = end_holders(folder.child_locks())  # of a launcher that was killed
    except TimeoutError as error:
        return _fail(str(error))
    _say("Stopped." if pid is not None or left else "Nothing was running.")
    return 0


def _already_running(folder: Folder) -> int:
    report = folder.read_report()
    if report and report.ready and all(child.state == "ready" for child in report.children):
        _say(f"Chorus is already running: {report.dashboard}\nStop it with: make down")
        return 0
    return _fail("Chorus is already running but not everything in it is ready: see make status. Start afresh: make down up")


def _describe(folder: Folder, report: StackReport, chose_local: bool) -> None:
    _say(f"Chorus is up: {report.dashboard}")
    _say(f"  providers  {', '.join(report.providers)}" + (" (no key is set: the local model answers)" if chose_local else ""))
    server = f"-s {report.nats_url} " if report.nats_url and not report.nats_url.endswith(f":{NATS_PORT}") else ""
    key = f"--nkey {os.path.relpath(folder.keys / 'tap.nk')} " if report.nats_url else ""
    _say(f"  listen     nats sub {server}{key}'attributes.>'    or without that tool: .venv/bin/launcher tap")
    for sentence in report.repaired:
        _say(f"  repaired   {sentence}")
    _say("  look       make status, make logs")
    _say("  stop       make down")


def _say(text: str) -> None:
    sys.stdout.write(printable(text, keep="\n") + "\n")


def _fail(text: str) -> int:
    sys.stderr.write(printable(text, keep="\n") + "\n")
    return 1
