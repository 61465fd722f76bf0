"""The runs as last heard of."""

import heapq
from collections.abc import Iterator

import msgspec

from services.gateway import frames
from services.gateway.bell import Bell
from services.gateway.run_view import ESTIMATES, run_view
from services.gateway.series import Series
from shared.messages import ENDED, Finished, RunState, Snapshot

MAX_RUNS = 10_000
"""Runs held in memory, about 20 MB and up to 80 MB more for those that were watched; older ones are found on the bus."""


class KnownRun:
    """One run: its state, the frames that tell it, and a bell that rings when there is news."""

    def __init__(self, state: RunState) -> None:
        self.state = state
        self.series = Series()
        self.series.add(state)
        self.bell = Bell()
        self.changes = 0
        """Rises with each change of status or reason; then `change_frame` is new."""
        self.change_frame = b""
        self.snapshots = 0
        """Rises with each snapshot; then `snapshot_frame` is new."""
        self.snapshot_frame = b""

    @property
    def ended(self) -> bool:
        return self.state.status in ENDED

    def learn(self, state: RunState) -> None:
        """Take a newer state. A run that ended does not come back: a state that says so was overtaken on its way."""
        if self.ended and state.status not in ENDED:
            return
        before, self.state = self.state, state
        self.series.add(state)
        if (before.status, before.reason) != (state.status, state.reason):
            self.changes += 1
            self.change_frame = frames.run(run_view(state))
            self.bell.ring()

    def learn_snapshot(self, snapshot: Snapshot) -> None:
        """Take a snapshot. One of a run that has ended is no news: it was overtaken by the end."""
        self.learn(snapshot.state)
        if self.ended:
            return
        self.snapshots += 1
        self.snapshot_frame = frames.snapshot(snapshot)
        self.bell.ring()

    def finish(self, end: Finished) -> None:
        """Take the run's last entry of the log, which comes before the final state."""
        if self.ended:
            return
        self.learn(
            msgspec.structs.replace(
                self.state,
                status=end.status,
                reason=end.reason,
                accepted=end.accepted,
                duplicates=end.duplicates,
                calls=max(self.state.calls, end.calls),
                tokens=max(self.state.tokens, end.tokens),
                usd=end.usd,
                reserved_usd=0.0,
                seconds=end.seconds,
                providers=end.providers or self.state.providers,
                models=end.models or self.state.models,
                ended=end.at,
                **{name: getattr(end, name) for name in ESTIMATES},
            )
        )


class KnownRuns:
    """All runs the gateway knows of, at most `MAX_RUNS`."""

    def __init__(self, limit: int = MAX_RUNS) -> None:
        self._limit = limit
        self._runs: dict[str, KnownRun] = {}

    def __iter__(self) -> Iterator[KnownRun]:
        return iter(self._runs.values())

    def get(self, run: str) -> KnownRun | None:
        return self._runs.get(run)

    def newest(self, count: int) -> list[KnownRun]:
        """The newest runs, newest first."""
        return heapq.nlargest(count, self._runs.values(), key=lambda known: (known.state.created, known.state.run))

    def learn(self, state: RunState) -> KnownRun:
        """Take a state from the bus."""
        known = self._runs.get(state.run)
        if known is None:
            known = self._runs[state.run] = KnownRun(state)
            self._make_room()
        else:
            known.learn(state)
        return known

    def forget(self, run: str) -> None:
        self._runs.pop(run, None)

    def clear(self) -> None:
        """Forget all, and wake those who watch: the bus was made anew."""
        forgotten, self._runs = self._runs, {}
        for known in forgotten.values():
            known.bell.ring()

    def _make_room(self) -> None:
        if len(self._runs) <= self._limit:
            return
        oldest = next((run for run, known in self._runs.items() if known.ended), None)
        if oldest is not None:  # active runs stay: they are few, and somebody watches them
            del self._runs[oldest]
