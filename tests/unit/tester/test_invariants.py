"""The checker finds nothing wrong with a sound run, and finds everything that is done to one."""

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.tester import invariants
from services.tester.evidence import Decided, Evidence, Files, Frame
from services.tester.invariants import check, doubled, lost
from shared import subjects
from shared.messages import (
    Accepted,
    Candidate,
    Duplicate,
    Finished,
    RunSpec,
    RunState,
    Started,
    Usage,
    candidate_id,
    next_digest,
)

RUN = "r1"
SPEC = RunSpec(topic="tools", providers=("random",))
TEXTS = ("hammer", "saw", "Hammer", "file", "plane", "SAW")
"""Of which the third and the last are duplicates."""

Change = Callable[[Evidence], Evidence]


def candidates() -> list[tuple[int, Candidate]]:
    made = {"run": RUN, "task": "r1-0", "provider": "random", "model": "random", "producer": "p"}
    return [
        (number + 10, Candidate(id=candidate_id("r1-0", text), ordinal=number, text=text, **made))  # type: ignore[arg-type]
        for number, text in enumerate(TEXTS)
    ]


def log() -> list[Decided]:
    found = [Decided(1, subjects.started(RUN), Started(run=RUN, spec=SPEC))]
    places: dict[str, int] = {}
    digest = ""
    for sequence, one in candidates():
        key = one.text.lower()
        about: dict[str, Any] = {"run": RUN, "candidate": one.id, "candidate_sequence": sequence, "text": one.text}
        about |= {"task": one.task, "provider": one.provider, "model": one.model, "producer": one.producer}
        if key in places:
            twin = Duplicate(of=places[key], of_text=key, tier="exact", score=1, **about)
            found.append(Decided(sequence, subjects.duplicate(RUN, one.id), twin))
            continue
        places[key] = len(places) + 1
        digest = next_digest(digest, one.text)
        kept = Accepted(ordinal=places[key], key=key, digest=digest, **about)
        found.append(Decided(sequence, subjects.accepted(RUN, key), kept))
    end = Finished(run=RUN, status="finished", reason="done", accepted=4, duplicates=2, calls=1, digest=digest)
    return [*found, Decided(99, subjects.finished(RUN), end)]


def frames(entries: Iterable[Decided]) -> list[Frame]:
    told = [Frame(f"abc-{d.sequence}", "accepted", msgspec.json.encode(d.message), 0) for d in entries if is_accepted(d)]
    return [*told, Frame("abc-99", "done", b"{}", 0)]


def is_accepted(decided: Decided) -> bool:
    return isinstance(decided.message, Accepted)


def sound() -> Evidence:
    """A run as it should be."""
    entries = log()
    accepted = tuple(d.message for d in entries if isinstance(d.message, Accepted))
    texts = tuple(a.text for a in accepted)
    return Evidence(
        run=RUN,
        candidates=candidates(),
        log=entries,
        usages=[Usage(run=RUN, task="r1-0", provider="random", model="random", producer="p", outcome="ok")],
        state=RunState(run=RUN, spec=SPEC, status="finished", accepted=4),
        files=Files(text=texts, copies=accepted, listed=texts, metadata={}),
        clients=[frames(entries), frames(entries)],
        begun=["r1-0"],
    )


def changed_log(change: Callable[[list[Decided]], list[Decided]]) -> Change:
    return lambda found: replace(found, log=change(list(found.log)))


def without(place: int) -> Change:
    return changed_log(lambda entries: entries[:place] + entries[place + 1 :])


def again(place: int, **changes: object) -> Change:
    """One entry twice in the log, the second time changed."""

    def change(entries: list[Decided]) -> list[Decided]:
        copy = replace(entries[place], sequence=98, message=msgspec.structs.replace(entries[place].message, **changes))
        return [*entries[:-1], copy, entries[-1]]

    return changed_log(change)


def altered(place: int, **changes: object) -> Change:
    def change(entries: list[Decided]) -> list[Decided]:
        entries[place] = replace(entries[place], message=msgspec.structs.replace(entries[place].message, **changes))
        return entries

    return changed_log(change)


def client(change: Callable[[list[Frame]], list[Frame]]) -> Change:
    return lambda found: replace(found, clients=[found.clients[0], change(list(found.clients[1]))])


def files(**changes: Any) -> Change:
    return lambda found: replace(found, files=replace(found.files, **changes))


CHANGES: dict[str, tuple[str, Change]] = {
    "an accepted attribute is lost": ("I1", without(1)),
    "a duplicate is lost": ("I1", without(3)),
    "a candidate is decided twice": ("I1", again(3)),
    "the end is lost": ("I1", without(-1)),
    "the start is lost": ("I1", without(0)),
    "a decision without a candidate": ("I1", again(1, candidate="x", ordinal=5, key="new", text="new")),
    "a decision changes the text": ("I1", altered(1, text="Hammers")),
    "a duplicate of nothing": ("I1", altered(3, of=4)),
    "a key is accepted twice": ("I2", again(1, candidate="x", ordinal=5)),
    "a key on another's subject": ("I2", altered(1, key="other")),
    "an ordinal is left out": ("I3", altered(5, ordinal=9)),
    "the chain is broken": ("I3", altered(2, digest="0" * 64)),
    "the counts are wrong": ("I3", altered(-1, accepted=5)),
    "the last digest is wrong": ("I3", altered(-1, digest="0" * 64)),
    "a file is missing": ("I3", files(listed=None)),
    "output.txt lost a line": ("I3", files(text=("hammer", "saw", "file"))),
    "output.json has one twice": ("I3", files(listed=("hammer", "saw", "file", "plane", "plane"))),
    "output.jsonl is in another order": ("I3", lambda found: files(copies=tuple(reversed(found.files.copies or ())))(found)),
    "the state says it runs": (
        "I3",
        lambda found: replace(found, state=RunState(run=RUN, spec=SPEC, status="running", accepted=4)),
    ),
    "a call is reported twice": ("I3", lambda found: replace(found, usages=[*found.usages, *found.usages])),
    "a client missed one": ("I3", client(lambda told: told[1:])),
    "a client got one twice": ("I3", client(lambda told: [told[0], *told])),
    "a client was not told of the end": ("I3", client(lambda told: told[:-1])),
    "ids go back": ("I4", client(lambda told: [told[1], told[0], *told[2:]])),
}


def test_a_sound_run_is_sound() -> None:
    found = sound()
    assert check(found, str.lower) == []
    assert (lost(found), doubled(found)) == (0, 0)


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_done_to_it_is_found(name: str) -> None:
    invariant, change = CHANGES[name]
    assert invariant in {broken.invariant for broken in check(change(sound()))}


def test_keys_are_recomputed_when_one_says_how() -> None:
    assert {broken.invariant for broken in check(sound(), str.upper)} == {"I2"}


def test_loss_and_doubling_are_counted() -> None:
    assert lost(without(1)(sound())) == 1
    assert doubled(again(1)(sound())) == 2  # one decision and one key too many


def test_a_full_list_may_leave_a_rest_but_no_hole() -> None:
    """What came when the list was full is counted as late; what came before the last decision is lost."""
    full = RunSpec(topic="tools", providers=("random",), max_items=4)
    found = changed_log(lambda entries: [replace(entries[0], message=Started(run=RUN, spec=full)), *entries[1:]])(sound())
    rest = changed_log(lambda entries: [e for e in entries if e.sequence != 15])(altered(-1, duplicates=1, late=1)(found))
    assert check(rest) == []
    assert "I1" in {broken.invariant for broken in check(without(3)(rest))}


@pytest.mark.parametrize(
    ("readers", "seconds"),
    [
        ([[1, 2, 3]], 1.0),  # the fault ended at 1
        ([[0.5, 1.2, 4.0, 4.1]], 2.8),  # what was on its way does not count
        ([[1, 2, 3], [1, 9]], 8.0),  # the slowest reader counts
        ([[0.5, 0.9]], None),
        ([[]], None),
    ],
)
def test_recovery_is_the_longest_silence_after_the_fault(readers: list[list[float]], seconds: float | None) -> None:
    found = invariants.recovery(readers, 1.0)
    assert found == seconds or math.isclose(found or 0, seconds or 1)


def test_the_share_is_by_nearest_rank() -> None:
    values = [float(n) for n in range(1, 101)]
    assert [invariants.percentile(values, share) for share in (0.5, 0.95, 1.0)] == [50, 95, 100]
    assert invariants.percentile([], 0.95) == 0
    assert invariants.mostly_recovers([1.0] * 19 + [9.0]) == []
    assert invariants.mostly_recovers([1.0] * 18 + [9.0] * 2)
    assert invariants.mostly_recovers([9.0] * 5) == []


def test_ends_stray_files_and_repeated_calls_are_found(tmp_path: Path) -> None:
    assert invariants.survives({"gateway": 1}, {"gateway": 1}) == []
    assert invariants.survives({"gateway": 2}, {"gateway": 1})
    (tmp_path / "output").mkdir()
    assert invariants.stays_inside(tmp_path, {"output"}) == []
    assert invariants.stays_inside(tmp_path, set())
    twice = replace(sound(), begun=["r1-0", "r1-0"])
    assert invariants.pays_once(twice, 1) == []
    assert invariants.pays_once(twice, 0)
    assert invariants.recovers(None)
    assert invariants.recovers(11)
    assert invariants.recovers(2) == []
