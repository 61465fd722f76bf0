"""`recorder` writes the files of all runs; `recorder repair` compares log and second copy. Set up by environment variables."""

import argparse
import functools
import sys
from pathlib import Path

from services.recorder.recorder import Recorder
from shared.bus import Bus, BusError, Denied
from shared.service import Settings, environment, load, run, service
from shared.subjects import TOKEN

DAMAGED = 3
"""Exit code of `recorder repair --look-only` when the log is damaged or may be lost."""

AGAIN = "Nothing is lost by trying again: recorder repair"


class RecorderSettings(Settings, frozen=True, kw_only=True):
    """Where to write, and of which run."""

    output: str = "output"
    """Folder of the runs' folders."""
    record_run: str = ""
    """Write only this run's files."""
    record_into: str = ""
    """The folder for the files of `record_run`, in place of one in `output`."""


def settings() -> RecorderSettings:
    """Read the settings. Exits with one line if one is wrong."""
    found = load(RecorderSettings, environment())
    if found.record_run and not TOKEN.fullmatch(found.record_run):
        raise SystemExit(f"RECORD_RUN is {found.record_run[:80]!r}, which is no run id ([A-Za-z0-9_-], 1 to 64 characters).")
    if found.record_into and not found.record_run:
        raise SystemExit("RECORD_INTO is the folder for one run: set RECORD_RUN too, or OUTPUT for the folder of all runs.")
    return found


async def record() -> None:
    """Record until told to stop."""
    chosen = settings()
    folder = Path(chosen.record_into or chosen.output)
    async with service("recorder", chosen, "Writes the output files and a second copy of the log") as running:
        if await running.provisioned():
            recorder = Recorder(running.bus, folder, only_run=chosen.record_run, exactly=bool(chosen.record_into))
            await running.run_until_stopped(recorder.run())


async def repair(look_only: bool) -> int:
    """Compare the log with its second copy and repair what is damaged until told to stop; returns the exit code."""
    chosen = settings()
    code: int | None = None

    async def work(bus: Bus) -> None:
        nonlocal code
        code = await _repair(bus, Path(chosen.output), look_only)

    async with service("recorder-repair", chosen, "Compares the log with its second copy", ready=False) as running:
        if await running.provisioned():
            await running.run_until_stopped(work(running.bus))
    if code is None:
        _say(f"Stopped before the end. {AGAIN}")
        return 1
    return code


async def _repair(bus: Bus, output: Path, look_only: bool) -> int:
    from services.recorder.repair import RepairError
    from services.recorder.repair import repair as compare_and_repair

    try:
        found, done = await compare_and_repair(bus, output, look_only=look_only)
    except (RepairError, BusError, Denied, OSError) as error:
        _say(f"The log could not be compared or repaired: {error}. {AGAIN}")
        return 1
    for sentence in [*found.sentences(), *done]:
        _say(sentence)
    return DAMAGED if look_only and (found.log_damaged or found.undecidable) else 0


def _say(sentence: str) -> None:
    sys.stdout.write(sentence + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(prog="recorder", description=__doc__)
    parser.add_argument("command", nargs="?", choices=["repair"], help="without it: record until told to stop")
    parser.add_argument("--look-only", action="store_true", help=f"only say what is damaged; the exit code is then {DAMAGED}")
    given = parser.parse_args()
    run(record if given.command is None else functools.partial(repair, given.look_only))


if __name__ == "__main__":
    main()
