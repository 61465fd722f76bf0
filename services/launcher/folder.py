"""The folder that one stack lives in, and what it says about itself there."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from shared.terminal import printable

PROJECT = Path(__file__).parents[2]
"""Where the project is checked out."""

State = Literal["starting", "ready", "waiting", "stopped"]


class ChildReport(msgspec.Struct, frozen=True):
    """One line of `launcher status`."""

    name: str
    state: State
    pid: int
    restarts: int
    service: str
    """Name it answers `$SRV.PING` under; empty if it does not."""
    probe: str
    """Address that answers 200 when it is well; empty if there is none."""


class StackReport(msgspec.Struct, frozen=True):
    """`stack.json`: what runs here. Holds no secret: an address of somebody else's NATS is left out."""

    nats_url: str
    """Empty when a NATS was joined, whose address (it may hold a password) is in NATS_URL."""
    dashboard: str
    providers: tuple[str, ...]
    ready: bool
    children: tuple[ChildReport, ...]
    repaired: tuple[str, ...] = ()
    """What of the log was found damaged, and what was done, in sentences."""


@dataclass(frozen=True, slots=True)
class Folder:
    """Paths of one stack."""

    root: Path

    @property
    def logs(self) -> Path:
        return self.root / "log"

    @property
    def nats(self) -> Path:
        return self.root / "nats"

    @property
    def keys(self) -> Path:
        """Of the stack's own NATS."""
        return self.root / "keys"

    @property
    def lock(self) -> Path:
        """Held by the launcher for as long as it lives."""
        return self.root / "launcher.lock"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def child_lock(self, name: str) -> Path:
        """Held by the child itself, so that one left behind by a killed launcher can be found."""
        return self.root / "children" / f"{name}.lock"

    def child_locks(self) -> list[Path]:
        return sorted((self.root / "children").glob("*.lock"))

    def make(self) -> None:
        """Make the folders. Raises OSError, whose text names the path."""
        for folder in (self.logs, self.nats, self.root / "children"):
            folder.mkdir(parents=True, exist_ok=True)

    def remove_all_but_logs(self) -> None:
        """For a stack that is not started again; what cannot be removed stays."""
        for entry in self.root.iterdir():
            if entry == self.logs:
                continue
            if entry.is_dir():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)

    def write_report(self, report: StackReport) -> None:
        temporary = self.root / "stack.json.new"
        temporary.write_bytes(msgspec.json.format(msgspec.json.encode(report)))
        temporary.replace(self.root / "stack.json")  # a reader sees the old one or the new one, never half of it

    def read_report(self) -> StackReport | None:
        """What the running stack last wrote, or None."""
        try:
            return msgspec.json.decode((self.root / "stack.json").read_bytes(), type=StackReport)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def forget_report(self) -> None:
        (self.root / "stack.json").unlink(missing_ok=True)

    def last_words(self, name: str) -> str:
        """The last line of a log, for an error message."""
        try:
            with self.log(name).open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - 4000))
                lines = file.read().decode(errors="replace").strip().splitlines()
        except OSError:
            lines = []
        return printable(lines[-1][:500]) if lines else "it wrote nothing to its log"
