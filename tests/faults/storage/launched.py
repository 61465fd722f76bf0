"""A stack as `make up` runs it, whose store the test can put on a disk of its choice and do harm to."""

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from shared import streams, subjects
from shared.bus import Access, Bus, Stored, connect, decode
from shared.messages import Accepted, Duplicate, Finished, RunSpec, RunState, StartRun, next_digest
from shared.roles import GATEWAY
from shared.service import SUPERVISED, end

RESULTS = streams.RESULTS.name or ""

READY_SECONDS = 60.0


class Launched:
    """A launcher with server, orchestrator, recorder and two producers of the random provider; no gateway."""

    def __init__(self, folder: Path, store: Path | None = None) -> None:
        """`store`: where the server keeps its data, in place of a folder in `folder`."""
        self.folder = folder
        self.output = folder / "output"
        self.seen: dict[str, Stored] = {}
        """Every entry of the log that a reader has ever been given, by its subject: what must never be lost."""
        self.times: list[tuple[float, int]] = []
        """When how many attributes had been seen."""
        self.said: list[str] = []
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._ready: dict[str, Any] = {}
        (folder / "stack").mkdir(parents=True, exist_ok=True)
        if store is not None and not (folder / "stack" / "nats").exists():
            (folder / "stack" / "nats").symlink_to(store)

    async def __aenter__(self) -> "Launched":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start it and follow its log. Fails when it is not ready in time."""
        command = [sys.executable, "-m", "services.launcher", "run", "--services", "nats,orchestrator,recorder"]
        command += ["--folder", str(self.folder / "stack"), "--provider", "random", "--producers", "2", "--parent-stdin"]
        variables = {k: v for k, v in os.environ.items() if k not in ("NATS_URL", "RECORD_RUN", SUPERVISED)}
        variables |= {"OUTPUT": str(self.output), "RANDOM_LATENCY_SECONDS": "0.3"}
        self._process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=variables
        )
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), READY_SECONDS)
        self._ready = json.loads(line)
        assert self._ready["ready"], self._ready
        self.said = self.report()["repaired"]
        self._reading = asyncio.create_task(self._read())

    async def stop(self) -> None:
        """Stop everything in good order; may be started again."""
        if self._reading:
            await end([self._reading])
        if self._process and self._process.stdin:
            self._process.stdin.close()
            await asyncio.wait_for(self._process.wait(), 60)

    def report(self) -> dict[str, Any]:
        """`stack.json`."""
        found: dict[str, Any] = json.loads((self.folder / "stack" / "stack.json").read_bytes())
        return found

    def pid(self, name: str = "nats") -> int:
        """The process of a child, 0 while it is being started again."""
        return next(int(child["pid"]) for child in self.report()["children"] if child["name"] == name)

    def log_of(self, name: str) -> str:
        """What a child has logged."""
        return (self.folder / "stack" / "log" / f"{name}.log").read_text(errors="replace")

    async def bus(self) -> Bus:
        """A connection with the rights of a gateway."""
        keys = self._ready.get("keys", {})
        return await connect(
            self._ready["nats_url"], GATEWAY, Access(GATEWAY, keys.get("NATS_NKEY", ""), "", keys.get("ORCHESTRATOR_KEY", ""))
        )

    async def provisioner(self) -> Bus:
        """A connection with the rights of who makes the streams."""
        seed = self.folder / "stack" / "keys" / "provision.nk"
        return await connect(self._ready["nats_url"], "provision", Access("provision", str(seed)))

    async def begin(self, run: str, **wish: Any) -> None:
        """Start a run."""
        spec = msgspec.convert({"topic": "tools", "providers": ["random"], "producers": 2, "dedupe": "exact", **wish}, RunSpec)
        bus = await self.bus()
        try:
            answer = await bus.ask(subjects.START_RUN, StartRun(spec=spec, run=run), timeout=20)
            decode(RunState, answer)
        finally:
            await bus.close()

    @property
    def accepted(self) -> int:
        """Attributes seen so far."""
        return self.times[-1][1] if self.times else 0

    async def _read(self) -> None:
        bus = await self.bus()
        try:
            while True:
                try:
                    await self._follow(bus)
                except Exception:  # whatever the fault does to a reader, it reads on
                    await asyncio.sleep(0.2)
        finally:
            await bus.close()

    async def _follow(self, bus: Bus) -> None:
        """Read the log from its beginning, again when it was made anew."""
        epoch = (await bus.head(RESULTS)).epoch
        async for batch in bus.follow(RESULTS, ["attributes.>"]):
            for stored in batch:
                before = self.seen.setdefault(stored.subject, stored)
                if before is stored and ".accepted." in stored.subject:
                    self.times.append((time.monotonic(), self.accepted + 1))
            if not batch and (await bus.head(RESULTS)).epoch != epoch:
                return

    def first_after(self, moment: float) -> float | None:
        """Seconds from a moment to the first attribute seen after it; None if there was none."""
        return next((at - moment for at, _ in self.times if at > moment), None)


class Judged(msgspec.Struct):
    """What an independent reader finds in the log in the end."""

    entries: int
    lost: int
    """Entries that a reader had been given and that are gone, or say something else."""
    examples: list[str]
    """Some of those."""
    doubled: int
    """Attributes that are there twice in one run."""
    broken: list[str]
    """Where ordinals or digests do not follow."""


async def judge(bus: Bus, seen: dict[str, Stored]) -> Judged:
    """Read the log and hold it against what was seen of it."""
    seen = dict(seen)  # as of now: the run may go on while its log is read
    log = [stored async for batch in bus.history(RESULTS, ["attributes.>"]) for stored in batch]
    present = {stored.subject: stored for stored in log}
    lost = [subject for subject, stored in seen.items() if _meaning(stored) != _meaning(present.get(subject))]
    broken: list[str] = []
    ends: dict[str, tuple[int, str]] = {}
    keys: list[tuple[str, str]] = []
    for stored in log:
        kind, run = subjects.decision(stored.subject)
        ordinal, digest = ends.get(run, (0, ""))
        if kind == "accepted":
            accepted = decode(Accepted, stored.data)
            keys.append((run, accepted.key))
            ends[run] = (accepted.ordinal, next_digest(digest, accepted.text))
            if (accepted.ordinal, accepted.digest) != (ordinal + 1, ends[run][1]):
                broken.append(f"{run}: attribute {accepted.ordinal} does not follow {ordinal}")
        elif kind == "finished":
            finished = decode(Finished, stored.data)
            if (finished.accepted, finished.digest) != (ordinal, digest):
                broken.append(f"{run}: ended with {finished.accepted}, {ordinal} are there")
    return Judged(len(log), len(lost), lost[:5], len(keys) - len(set(keys)), broken)


def _meaning(stored: Stored | None) -> object:
    """What an entry says, without when it was said: a decision that is made again says the same."""
    if stored is None:
        return None
    kind, _ = subjects.decision(stored.subject)
    if kind == "accepted":
        accepted = decode(Accepted, stored.data)
        return (accepted.ordinal, accepted.text, accepted.digest)
    if kind == "duplicate":
        duplicate = decode(Duplicate, stored.data)
        return (duplicate.of, duplicate.text)
    return stored.subject
