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
    Issued,
    RunSpec,
    RunState,
    Spent,
    Started,
    Task,
    Usage,
    candidate_id,
    next_digest,
)

RUN = "r1"
SPEC = RunSpec(topic="tools", providers=("random",))
TEXTS = ("hammer", "saw", "Hammer", "file", "plane", "SAW")
"""Of which the third and the last are duplicates."""

OTHERS = Task(id="r1-0", run=RUN, provider="openai", topic="tools", ordinal=0)

Change = Callable[[Evidence], Evidence]


def candidates() -> list[tuple[int, Candidate]]:
    made = {"run": RUN, "task": "r1-0", "provider": "random", "model": "random", "producer": "p"}
    return [
        (number + 10, Candidate(id=candidate_id("r1-0", text), ordinal=number, text=text, **made))  # type: ignore[arg-type]
        for number, text in enumerate(TEXTS)
    ]


def log() -> list[Decided]:
    task = Task(id="r1-0", run=RUN, provider="random", topic="tools", ordinal=0)
    found = [
        Decided(1, subjects.started(RUN), Started(run=RUN, spec=SPEC)),
        Decided(2, subjects.issued(RUN, task.id), Issued(run=RUN, task=task)),
    ]
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
    about = {"run": RUN, "task": "r1-0", "provider": "random", "model": "random"}
    spent = Spent(outcome="ok", report=16, tokens=7, **about)
    return [*found, Decided(98, subjects.spent(RUN, "r1-0"), spent), Decided(99, subjects.finished(RUN), end)]


def usage(**changes: Any) -> Usage:
    found = Usage(run=RUN, task="r1-0", provider="random", model="random", producer="p", outcome="ok", output_tokens=7)
    return msgspec.structs.replace(found, **changes)


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
        reports={("random", 16): usage()},
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
    "an accepted attribute is lost": ("I1", without(2)),
    "a duplicate is lost": ("I1", without(4)),
    "a candidate is decided twice": ("I1", again(4)),
    "the end is lost": ("I1", without(-1)),
    "the start is lost": ("I1", without(0)),
    "a decision without a candidate": ("I1", again(2, candidate="x", ordinal=5, key="new", text="new")),
    "a decision changes the text": ("I1", altered(2, text="Hammers")),
    "a duplicate of nothing": ("I1", altered(4, of=4)),
    "a key is accepted twice": ("I2", again(2, candidate="x", ordinal=5)),
    "a key on another's subject": ("I2", altered(2, key="other")),
    "an ordinal is left out": ("I3", altered(6, ordinal=9)),
    "the chain is broken": ("I3", altered(3, digest="0" * 64)),
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
    "a call is reported twice": ("I3", lambda found: replace(found, reports={**found.reports, ("random", 17): usage()})),
    "a call is accounted for, and nobody reported it": ("I3", lambda found: replace(found, reports={})),
    "a call cost other tokens than were reported": ("I3", altered(-2, tokens=8)),
    "a call is accounted for as another's": ("I3", altered(-2, report=3)),
    "a call is never accounted for": ("I3", without(-2)),
    "a call is counted that was not made": ("I3", altered(-2, outcome="returned", report=0, tokens=0)),
    "a call was never issued": ("I3", without(1)),
    "what nobody asked for is decided": ("I1", without(1)),
    "what came when the call was done with is decided": ("I1", altered(-2, report=12)),
    "another provider's is decided": (
        "I1",
        changed_log(lambda found: [found[0], replace(found[1], message=Issued(run=RUN, task=OTHERS)), *found[2:]]),
    ),
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
    assert lost(without(2)(sound())) == 1
    assert doubled(again(2)(sound())) == 2  # one decision and one key too many


def late_ones(found: Evidence, *places: int, **changes: Any) -> Evidence:
    """Candidates of the run's call that nobody decided, at these places of the stream of reports."""
    made = {"run": RUN, "task": "r1-0", "provider": "random", "model": "random", "producer": "p", **changes}
    more = [(place, Candidate(id=f"late{place}", ordinal=0, text=f"late {place}", **made)) for place in places]
    return replace(found, candidates=[*found.candidates, *more])


def test_what_was_not_asked_for_needs_no_decision() -> None:
    """Of a producer that stood still until its call was done with, or of one that lies; what came in time needs one."""
    assert check(late_ones(sound(), 17, 18), str.lower) == []
    assert check(late_ones(sound(), 3, task="r1-77"), str.lower) == []
    assert check(late_ones(sound(), 3, provider="openai"), str.lower) == []
    assert lost(late_ones(sound(), 3, 15, 17)) == 2
    assert {broken.invariant for broken in check(late_ones(sound(), 15))} == {"I1"}


def test_a_call_that_was_lost_leaves_what_came_before_that_decided() -> None:
    """Another producer reports it; or nobody does, and nobody knows when it was given up."""
    reported = replace(altered(-2, outcome="lost", tokens=500)(sound()), reports={("random", 16): usage(error_kind="lost")})
    given_up = replace(altered(-2, outcome="lost", report=0, tokens=500)(sound()), reports={})
    for found in (reported, given_up):
        assert check(found, str.lower) == []
        assert found.calls_wasted == 1
        assert invariants.pays_once(found, 1) == []
        assert invariants.pays_once(found, 0)
    assert lost(late_ones(reported, 15)) == 1
    assert lost(late_ones(given_up, 15, 17)) == 0


def test_places_are_of_each_provider_alone() -> None:
    """What one provider's stream has at a place says nothing of another's."""
    full = RunSpec(topic="tools", providers=("random",), max_items=4)
    found = changed_log(lambda entries: [replace(entries[0], message=Started(run=RUN, spec=full)), *entries[1:]])(sound())
    other = Task(id="r1-1", run=RUN, provider="openai", topic="tools", ordinal=1)
    spent = Spent(run=RUN, task="r1-1", outcome="returned", provider="openai", model="m")
    calls = [Decided(3, subjects.issued(RUN, "r1-1"), Issued(run=RUN, task=other)), Decided(97, "", spent)]
    found = changed_log(lambda entries: [*entries[:-1], *calls[:1], entries[-1]])(found)
    assert lost(late_ones(found, 5, task="r1-1", provider="openai")) == 0  # the list was full, and nothing of it is decided
    assert check(changed_log(lambda entries: [*entries[:-1], *calls[1:], entries[-1]])(found), str.lower) == []


def test_a_full_list_may_leave_a_rest_but_no_hole() -> None:
    """What came when the list was full is counted as late; what came before the last decision is lost."""
    full = RunSpec(topic="tools", providers=("random",), max_items=4)
    found = changed_log(lambda entries: [replace(entries[0], message=Started(run=RUN, spec=full)), *entries[1:]])(sound())
    rest = changed_log(lambda entries: [e for e in entries if e.sequence != 15])(altered(-1, duplicates=1, late=1)(found))
    assert check(rest) == []
    assert "I1" in {broken.invariant for broken in check(without(4)(rest))}


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
