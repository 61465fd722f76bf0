"""The spans of those who read the log of decisions: one for each batch of each run."""

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence

from shared import subjects, traces
from shared.stream_reader import Stored


@contextlib.contextmanager
def reading(name: str, batch: Sequence[Stored]) -> Iterator[Counter[str]]:
    """Take in entries of the log within spans of this name; gives how many there are of each kind.

    Log lines meanwhile carry the trace of the first entry, which is that of all unless several runs are active.
    """
    kinds: dict[str, Counter[str]] = {}
    first: dict[str, Stored] = {}
    last: dict[str, Stored] = {}
    for stored in batch:
        kind, run = subjects.decision(stored.subject)
        kinds.setdefault(run, Counter())[kind] += 1
        first.setdefault(run, stored)
        last[run] = stored
    with contextlib.ExitStack() as spans:
        for run, found in kinds.items():
            about: dict[str, traces.Value] = {
                "chorus.run": run,
                "chorus.entries": found.total(),
                "chorus.accepted": found["accepted"],
                "chorus.duplicates": found["duplicate"],
                "chorus.last_sequence": last[run].sequence,
            }
            spans.enter_context(traces.span(name, about, parent=first[run].trace, kind="consumer"))
        if batch:
            spans.enter_context(traces.working(batch[0].trace))
        yield sum(kinds.values(), Counter())
