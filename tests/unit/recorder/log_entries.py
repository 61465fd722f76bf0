"""Entries of the log as a run's orchestrator would write them, for tests of the recorder without a bus."""

from typing import Any

import msgspec

from shared import subjects
from shared.bus import Entry, Stored, encode
from shared.messages import (
    Accepted,
    Duplicate,
    FacetCounts,
    Finished,
    Issued,
    Message,
    ProviderCounts,
    RunSpec,
    Spent,
    Started,
    Task,
    next_digest,
)


class RunLog:
    """One run's entries, from Started to Finished, with a true digest chain."""

    def __init__(
        self,
        run: str = "20261124-103207-9f3ac1",
        topic: str = "Paris attractions",
        begun: str = "2026-11-24T10:32:07.000+00:00",
    ) -> None:
        self.run = run
        self.spec = RunSpec(topic=topic, providers=("random",), producers=2, iterations=5)
        self.entries: list[Entry] = []
        self.accepted: list[Accepted] = []
        self.duplicates = 0
        self.digest = ""
        self._add(subjects.started(run), Started(run=run, spec=self.spec, at=begun))

    def accept(self, *texts: str, **changes: Any) -> "RunLog":
        """Add accepted attributes; `changes` to their fields, to make a broken chain."""
        for text in texts:
            number = len(self.accepted) + 1
            self.digest = next_digest(self.digest, text)
            accepted = Accepted(
                run=self.run,
                ordinal=number,
                text=text,
                key=text.casefold(),
                candidate=f"c{number}",
                candidate_sequence=number,
                task="t1",
                provider="random",
                model="zipf-1",
                producer="random-1a2b3c",
                facet="landmarks",
                trace="4bf92f3577b34da6a3ce929d0e0e4736",
                at="2026-11-24T10:32:37.000+00:00",
                digest=self.digest,
            )
            accepted = msgspec.structs.replace(accepted, **changes)
            self.accepted.append(accepted)
            self._add(subjects.accepted(self.run, text.casefold()), accepted)
        return self

    def repeat(self, of: int, *texts: str) -> "RunLog":
        """Add duplicates of the attribute with ordinal `of`."""
        for text in texts:
            self.duplicates += 1
            candidate = f"d{self.duplicates}"
            duplicate = Duplicate(
                run=self.run,
                candidate=candidate,
                candidate_sequence=10_000 + self.duplicates,
                text=text,
                of=of,
                of_text=self.accepted[of - 1].text,
                tier="exact",
                score=1.0,
                task="t1",
                provider="random",
                model="zipf-1",
                producer="random-1a2b3c",
                at="2026-11-24T10:32:37.000+00:00",
            )
            self._add(subjects.duplicate(self.run, candidate), duplicate)
        return self

    def issue(self, *tasks: str) -> "RunLog":
        """Add calls that may be made."""
        for number, name in enumerate(tasks):
            task = Task(id=name, run=self.run, provider="random", topic=self.spec.topic, ordinal=number)
            self._add(subjects.issued(self.run, name), Issued(run=self.run, task=task))
        return self

    def spend(self, *tasks: str) -> "RunLog":
        """Add that calls are done with."""
        for task in tasks:
            spent = Spent(run=self.run, task=task, outcome="ok", provider="random", model="zipf-1", cost=5)
            self._add(subjects.spent(self.run, task), spent)
        return self

    def finish(self, **changes: Any) -> "RunLog":
        """Add the run's end."""
        counts = ProviderCounts(
            calls=10,
            failed=1,
            candidates=len(self.accepted) + self.duplicates,
            accepted=len(self.accepted),
            duplicates=self.duplicates,
            input_tokens=1000,
            output_tokens=500,
            cached_tokens=100,
            usd=0.02,
            seconds=25.0,
            errors={"rate_limit": 1},
        )
        finished = Finished(
            run=self.run,
            status="finished",
            reason="all 10 calls are done",
            accepted=len(self.accepted),
            duplicates=self.duplicates,
            late=2,
            seconds=30.0,
            providers={"random": counts},
            models={"random/zipf-1": counts},
            calls=10,
            tokens=1500,
            usd=0.02,
            coverage=0.7,
            coverage_low=0.6,
            coverage_high=0.8,
            new_share=0.25,
            marginal_usd=0.004,
            marginal_seconds=0.5,
            on_topic=0.95,
            on_topic_low=0.9,
            on_topic_high=0.99,
            judged=20,
            facets={"landmarks": FacetCounts(calls=9, accepted=5, duplicates=4, new_share=0.25)},
            digest=self.digest,
            at="2026-11-24T10:32:38.000+00:00",
        )
        self._add(subjects.finished(self.run), msgspec.structs.replace(finished, **changes))
        return self

    def stored(self, first: int = 1) -> list[Stored]:
        """The entries as the stream holds them, from a sequence on."""
        return [Stored(n, e.subject, encode(e.message), "") for n, e in enumerate(self.entries, start=first)]

    @property
    def texts(self) -> list[str]:
        return [accepted.text for accepted in self.accepted]

    def _add(self, subject: str, message: Message) -> None:
        self.entries.append(Entry(subject, message))
