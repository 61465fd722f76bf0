"""Start the recorder: `python -m services.recorder`, set up by environment variables."""

from pathlib import Path

from services.recorder.recorder import Recorder
from shared.service import Settings, environment, load, run, service
from shared.subjects import TOKEN


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


def main() -> None:
    run(record)


if __name__ == "__main__":
    main()
