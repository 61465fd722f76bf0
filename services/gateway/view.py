"""What the gateway knows of the bus: in memory, bounded, and empty until there is a bus."""

from services.gateway.clients import Clients
from services.gateway.known_runs import KnownRun, KnownRuns
from services.gateway.live_producers import LiveProducers
from services.gateway.log_tail import LogTail
from services.gateway.problems import Problem
from shared.bus import Bus, BusError, bucket_key, bucket_stream, decode
from shared.messages import RunState
from shared.streams import RUNS
from shared.subjects import TOKEN

NO_BUS = "No NATS server answers: start the stack with `make up`, or set NATS_URL to a running one."
NO_STREAMS = "NATS answers but holds no streams yet: `make up` makes them, or `launcher provision` on a NATS of your own."
NO_ORCHESTRATOR = "No orchestrator answers, so runs can be neither started nor changed: start one with `make up`."
NO_PRODUCERS = "No producers are live: a run waits until one joins."


class View:
    """One a process, fed by `feeds`, read by every request."""

    def __init__(self, clients: Clients | None = None) -> None:
        self.runs = KnownRuns()
        self.producers = LiveProducers()
        self.list = LogTail()
        """What was accepted, and ends: what every client gets."""
        self.whole = LogTail()
        """And what is told of duplicates, for those who ask for it."""
        self.clients = clients or Clients()
        self.orchestrator = False
        """Whether one answers."""
        self.current = False
        """Whether the log has been read up to its end."""
        self.closing = False
        self.bus: Bus | None = None

    @property
    def connected(self) -> bool:
        return self.bus is not None and self.bus.client.is_connected

    @property
    def ready(self) -> bool:
        """Whether runs can be shown."""
        return self.connected and self.current

    @property
    def reconnects(self) -> int:
        return self.bus.client.stats["reconnects"] if self.bus else 0

    def missing(self) -> list[str]:
        """What is not there, in sentences for the user; empty when all is well."""
        if not self.connected:
            return [NO_BUS]
        sentences = [] if self.current else [NO_STREAMS]
        if not self.orchestrator:
            sentences.append(NO_ORCHESTRATOR)
        if not self.producers.all():
            sentences.append(NO_PRODUCERS)
        return sentences

    def require_bus(self) -> Bus:
        """The bus. Raises Problem when it is not there now: a request sent meanwhile would be carried out later, unasked."""
        if self.bus is None or not self.connected:
            raise Problem(503, NO_BUS)
        return self.bus

    async def require_run(self, run: str) -> KnownRun:
        """A run by its id. Raises Problem when there is none, or nobody to ask."""
        known = await self.find_run(run)
        if known is None:
            raise Problem(404, f"There is no run {run[:80]!r}; GET /api/runs lists those there are.")
        return known

    async def find_run(self, run: str) -> KnownRun | None:
        """A run by its id, or None. Raises Problem when there is nobody to ask."""
        known = self.runs.get(run)
        if known is None and TOKEN.fullmatch(run):
            known = await self._from_bus(run)
        return known

    async def _from_bus(self, run: str) -> KnownRun | None:
        """A run that was started a moment ago or is older than those in memory."""
        try:
            stored = await self.require_bus().last(bucket_stream(RUNS.bucket), bucket_key(RUNS.bucket, run))
        except BusError as error:
            raise Problem(503, NO_BUS) from error
        return self.runs.learn(decode(RunState, stored.data)) if stored and stored.data else None

    def close(self) -> None:
        """Have every client's stream end."""
        self.closing = True
        for known in self.runs:
            known.bell.ring()
