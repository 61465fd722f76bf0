"""`launcher run`: the stack in the foreground, for a program that reads one line of JSON and then closes our input."""

import asyncio
import contextlib
import json
import os
import sys
from pathlib import Path

from services.launcher.errors import StartError
from services.launcher.folder import Folder
from services.launcher.locks import end_holders, hold, name_holder


def run(folder: Folder, services: str, *, parent_stdin: bool, temporary: bool = False, **choices: int | str | None) -> int:
    """Run a stack until told to stop; the first and only line on standard output says whether it is ready.

    With `temporary` nothing but the logs is left in the folder, also when whoever started it is gone.

    Everything else goes to `launcher.log` in the folder, so that a caller's terminal stays the caller's.
    """
    try:
        _own_files()
        folder.make()
        lock = hold(folder.lock)
        if lock is None:
            raise StartError(f"a stack runs already in {folder.root}; stop it with: launcher down")
        name_holder(lock, os.getpid())
        _redirect_errors(folder.log("launcher"))
        end_holders(folder.child_locks())
        try:
            return _supervise(folder, services, parent_stdin, choices)
        finally:
            if temporary:
                folder.remove_all_but_logs()
    except (StartError, TimeoutError) as error:
        _say({"ready": False, "error": str(error)})
    except OSError as error:  # not all name what they are about, as on a full disk
        _say({"ready": False, "error": f"The stack in {folder.root} cannot run: {error}"})
    return 1


def _own_files() -> None:
    """Before the first file is made. Raises StartError when a setting is wrong."""
    from shared.service import Settings, environment, load, own_files

    try:
        own_files(load(Settings, environment()))
    except SystemExit as error:
        raise StartError(str(error)) from error


def _supervise(folder: Folder, services: str, parent_stdin: bool, choices: dict[str, int | str | None]) -> int:
    from services.launcher.stack import chosen
    from services.launcher.supervisor import Supervisor
    from shared.service import SUPERVISED, start_logging, stop_on_signals

    stack = chosen(services, **choices)  # type: ignore[arg-type]  # its own signature checks them
    start_logging("launcher", stack.log_level)

    async def main() -> None:
        stopping = asyncio.Event()
        if parent_stdin:
            os.environ[SUPERVISED] = "1"
        stop_on_signals(stopping)
        supervisor = Supervisor(stack, folder)
        try:
            await supervisor.run(stopping, lambda nats_url: _say(_ready(nats_url, supervisor.stack.keys)))
        except StartError as error:
            sys.stderr.write(f"{error}\n")  # once it was ready, nobody reads our output: the log is where one looks
            raise

    import uvloop

    uvloop.run(main())
    return 0


def _ready(nats_url: str, folder: Path | None) -> dict[str, object]:
    """What the caller needs to get onto the bus, as a client."""
    from services.launcher import keys
    from shared.roles import GATEWAY

    return {"ready": True, "nats_url": nats_url, "keys": keys.variables(folder, GATEWAY) if folder else {}}


def _redirect_errors(path: Path) -> None:
    with path.open("ab") as file:
        os.dup2(file.fileno(), 2)


def _say(line: dict[str, object]) -> None:
    with contextlib.suppress(BrokenPipeError):  # once it was ready, nobody may be there to read
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
