"""What must hold of every run, whatever broke meanwhile: pure functions over the evidence.

    I1  every candidate of a call that was issued, stored before the call was reported, has exactly one decision: accepted,
        duplicate, or counted as late; and nothing else has one
    I2  no two accepted attributes share a key
    I3  ordinals run 1, 2, 3 … without a gap, the digests chain, and stream, files and every client have the same list;
        each call that was issued is accounted for once, as it was reported
    I4  every client sees ids that strictly increase
    I5  stopping a run stops what is accepted
    I6  after a fault the run goes on within seconds
    I7  no process ends unless it was killed
    I8  nothing is written outside the output folder

I1 to I4 are read off the evidence by `check`; the others are measured where the fault is made, by the functions below it.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import msgspec

from services.tester.evidence import Evidence, Frame
from shared import subjects
from shared.messages import Accepted, Candidate, Duplicate, Finished, Spent, next_digest

RECOVERY_SECONDS = 10.0
"""I6 for each fault; nineteen of twenty must be within `MOSTLY_SECONDS`."""

MOSTLY_SECONDS = 3.0

ENOUGH = 20
"""Recoveries of which one in twenty may take longer."""

ON_ITS_WAY_SECONDS = 0.5
"""How long after a process was killed what it had sent still arrives."""

NAMED = 5
"""Examples named in a complaint."""


@dataclass(frozen=True, slots=True)
class Broken:
    """An invariant that does not hold, in words."""

    invariant: str
    what: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.what}"


class _Seen(msgspec.Struct):
    """What a client was told of an accepted attribute."""

    ordinal: int
    text: str
    digest: str = ""


def check(evidence: Evidence, key_of: Callable[[str], str] | None = None) -> list[Broken]:
    """Everything about a finished run that does not hold; empty when all is well.

    `key_of` normalises a text as the orchestrator should; without it the keys are believed.
    """
    return [
        *_complete(evidence),
        *_decided_once(evidence),
        *_no_key_twice(evidence, key_of),
        *_chain("the stream", evidence.accepted),
        *_files_agree(evidence),
        *_counts_agree(evidence),
        *_clients_agree(evidence),
        *(broken for number, frames in enumerate(evidence.clients, start=1) for broken in _ids_increase(number, frames)),
    ]


def lost(evidence: Evidence) -> int:
    """Candidates without a decision that should have one."""
    return len(_undecided(evidence))


def doubled(evidence: Evidence) -> int:
    """Decisions beyond the first of a candidate, and accepted attributes beyond the first of a key."""
    decisions = Counter(d.candidate for d in evidence.decisions)
    keys = Counter(a.key for a in evidence.accepted)
    return sum(n - 1 for n in decisions.values()) + sum(n - 1 for n in keys.values())


# ---- I1 ------------------------------------------------------------------------------------------------------------


def _complete(evidence: Evidence) -> Iterator[Broken]:
    if evidence.started is None:
        yield Broken("I1", "the log has no start of the run")
    if evidence.finished is None:
        yield Broken("I1", "the log has no end of the run")
    kinds = [type(d.message).__name__ for d in evidence.log]
    if kinds and (kinds[0] != "Started" or "Finished" in kinds[:-1]):
        yield Broken("I1", "the run's first and last entries are not its start and its end")


def _undecided(evidence: Evidence) -> list[str]:
    """Ids of stored candidates without a decision that should have one.

    Those aside that came when the list was full or the run was over, and those of calls that nobody had issued or that were
    done with: what a producer sends that had stood still meanwhile, or that lies.
    """
    decided = {d.candidate for d in evidence.decisions}
    last: dict[str, int] = {}
    for decision in evidence.decisions:
        last[decision.provider] = max(last.get(decision.provider, 0), decision.candidate_sequence)
    at_work = _at_work(evidence)
    missing = [(sequence, c) for sequence, c in evidence.candidates if c.id not in decided and at_work(c, sequence)]
    if _may_leave_a_rest(evidence):
        return [c.id for sequence, c in missing if sequence <= last.get(c.provider, 0)]
    return [c.id for _, c in missing]


def _at_work(evidence: Evidence) -> Callable[[Candidate | Accepted | Duplicate, int], bool]:
    """Tells whether a candidate, or what it became, is of a call that was at work at its place in the stream of reports."""
    issued, spent = evidence.issued, evidence.spent

    def at_work(about: Candidate | Accepted | Duplicate, sequence: int) -> bool:
        call, end = issued.get(about.task), spent.get(about.task)
        if call is None or call.task.provider != about.provider:
            return False
        return end is None or sequence < end.report

    return at_work


def _may_leave_a_rest(evidence: Evidence) -> bool:
    """Whether the run ended before its calls did: at max_items, or because somebody or something stopped it."""
    finished, started = evidence.finished, evidence.started
    if finished is None or started is None:
        return False
    full = started.spec.max_items is not None and finished.accepted >= started.spec.max_items
    return full or started.spec.max_seconds is not None or finished.status != "finished"


def _decided_once(evidence: Evidence) -> Iterator[Broken]:
    if missing := _undecided(evidence):
        yield Broken("I1", f"{len(missing)} of {len(evidence.candidates)} candidates have no decision: {_some(missing)}")
    decisions = Counter(d.candidate for d in evidence.decisions)
    if twice := [name for name, number in decisions.items() if number > 1]:
        yield Broken("I1", f"{len(twice)} candidates have more than one decision: {_some(twice)}")
    stored = {c.id: c for _, c in evidence.candidates}
    if strangers := [name for name in decisions if name not in stored]:
        yield Broken("I1", f"{len(strangers)} decisions are about candidates that nobody published: {_some(strangers)}")
    if changed := [d.text for d in evidence.decisions if d.candidate in stored and stored[d.candidate].text != d.text]:
        yield Broken("I1", f"{len(changed)} decisions have another text than their candidate: {_some(changed)}")
    at_work, unreported = _at_work(evidence), {task for task, spent in evidence.spent.items() if not spent.report}
    # Of a call that nobody reported it is not known when it was given up.
    unasked = [d.text for d in evidence.decisions if d.task not in unreported and not at_work(d, d.candidate_sequence)]
    if unasked:
        yield Broken("I1", f"{len(unasked)} decisions are about what no call at work had found: {_some(unasked)}")
    yield from _originals_exist(evidence)


def _originals_exist(evidence: Evidence) -> Iterator[Broken]:
    texts: dict[int, str] = {}
    wrong: list[str] = []
    for decided in evidence.log:
        if isinstance(decided.message, Accepted):
            texts.setdefault(decided.message.ordinal, decided.message.text)
        elif isinstance(decided.message, Duplicate) and texts.get(decided.message.of) != decided.message.of_text:
            wrong.append(decided.message.text)
    if wrong:
        yield Broken("I1", f"{len(wrong)} duplicates repeat an attribute that was not there before them: {_some(wrong)}")


# ---- I2 ------------------------------------------------------------------------------------------------------------


def _no_key_twice(evidence: Evidence, key_of: Callable[[str], str] | None) -> Iterator[Broken]:
    keys = Counter(a.key for a in evidence.accepted)
    if twice := [key for key, number in keys.items() if number > 1]:
        yield Broken("I2", f"{len(twice)} keys were accepted more than once: {_some(twice)}")
    accepted = [(d.subject, d.message) for d in evidence.log if isinstance(d.message, Accepted)]
    if astray := [a.key for subject, a in accepted if subject != subjects.accepted(evidence.run, a.key)]:
        yield Broken("I2", f"{len(astray)} accepted attributes are on another subject than their key's: {_some(astray)}")
    if key_of is not None and (wrong := [a.text for _, a in accepted if key_of(a.text) != a.key]):
        yield Broken("I2", f"{len(wrong)} keys are not the normalised text: {_some(wrong)}")


# ---- I3 ------------------------------------------------------------------------------------------------------------


def _chain(where: str, accepted: Iterable[Accepted]) -> Iterator[Broken]:
    digest = ""
    for expected, attribute in enumerate(accepted, start=1):
        if attribute.ordinal != expected:
            yield Broken("I3", f"in {where}, ordinal {attribute.ordinal} stands where {expected} belongs")
            return
        digest = next_digest(digest, attribute.text)
        if attribute.digest != digest:
            yield Broken("I3", f"in {where}, the digest of ordinal {attribute.ordinal} is wrong")
            return


def _files_agree(evidence: Evidence) -> Iterator[Broken]:
    files = evidence.files
    texts = [a.text for a in evidence.accepted]
    if files.copies is None or files.text is None or files.listed is None:
        yield Broken("I3", "a file of the run is missing")
        return
    if list(files.copies) != evidence.accepted:
        yield Broken("I3", f"output.jsonl and the stream differ: {_difference([a.text for a in files.copies], texts)}")
    if list(files.text) != texts:
        yield Broken("I3", f"output.txt and the stream differ: {_difference(list(files.text), texts)}")
    if list(files.listed) != texts:
        yield Broken("I3", f"output.json and the stream differ: {_difference(list(files.listed), texts)}")


def _counts_agree(evidence: Evidence) -> Iterator[Broken]:
    finished = evidence.finished
    if finished is None:
        return
    found = (len(evidence.accepted), len(evidence.duplicates))
    if (finished.accepted, finished.duplicates) != found:
        yield Broken(
            "I3", f"the run says {finished.accepted} accepted and {finished.duplicates} duplicates; the log has {found}"
        )
    last = evidence.accepted[-1].digest if evidence.accepted else ""
    if finished.digest != last:
        yield Broken("I3", "the run's last digest is not that of its last attribute")
    reported = len({u.task for u in evidence.usages})
    if reported != len(evidence.usages):
        yield Broken("I3", f"{len(evidence.usages) - reported} calls were reported twice")
    yield from _calls_agree(evidence, finished)
    if evidence.state is not None and (evidence.state.status, evidence.state.accepted) != (finished.status, finished.accepted):
        yield Broken("I3", f"the run's state ({evidence.state.status}, {evidence.state.accepted}) is not how it ended")


def _calls_agree(evidence: Evidence, finished: Finished) -> Iterator[Broken]:
    issued, spent = evidence.issued, evidence.spent
    if forgotten := [task for task in issued if task not in spent]:
        yield Broken("I3", f"{len(forgotten)} calls were issued and never accounted for: {_some(forgotten)}")
    if unasked := [task for task in spent if task not in issued]:
        yield Broken("I3", f"{len(unasked)} calls were accounted for and never issued: {_some(unasked)}")
    made = sum(one.outcome != "returned" for one in spent.values())
    if finished.calls != made:
        yield Broken("I3", f"the run counts {finished.calls} calls; the log has {made}")
    if wrong := [one.task for one in spent.values() if not _as_reported(one, evidence)]:
        yield Broken("I3", f"{len(wrong)} calls are accounted for otherwise than they were reported: {_some(wrong)}")


def _as_reported(spent: Spent, evidence: Evidence) -> bool:
    if not spent.report:
        return spent.outcome in ("lost", "returned")
    usage = evidence.reports.get((spent.provider, spent.report))
    if usage is None or usage.task != spent.task:
        return False
    return spent.outcome == "lost" or spent.tokens == usage.input_tokens + usage.output_tokens


def _clients_agree(evidence: Evidence) -> Iterator[Broken]:
    wanted = [(a.ordinal, a.text, a.digest) for a in evidence.accepted]
    for number, frames in enumerate(evidence.clients, start=1):
        told = [msgspec.json.decode(frame.data, type=_Seen) for frame in frames if frame.event == "accepted"]
        seen = [(one.ordinal, one.text, one.digest) for one in told]
        if seen != wanted:
            difference = _difference([text for _, text, _ in seen], [text for _, text, _ in wanted])
            yield Broken("I3", f"client {number} has another list than the stream: {difference}")
        if not any(frame.event == "done" for frame in frames):
            yield Broken("I3", f"client {number} was not told that the run is done")


# ---- I4 ------------------------------------------------------------------------------------------------------------


def _ids_increase(number: int, frames: Iterable[Frame]) -> Iterator[Broken]:
    epoch, sequence = "", 0
    for frame in frames:
        if not frame.id:
            continue
        its_epoch, _, its_sequence = frame.id.rpartition("-")
        if its_epoch == epoch and int(its_sequence) <= sequence:
            yield Broken("I4", f"client {number} saw id {frame.id} after {epoch}-{sequence}")
            return
        epoch, sequence = its_epoch, int(its_sequence)


# ---- I5 to I8 --------------------------------------------------------------------------------------------------------


def stops(accepted_before: int, evidence: Evidence, seconds: float, within: float) -> list[Broken]:
    """I5: a run that was stopped ended in time and took along only what was under way (a call each producer has in hand)."""
    found: list[Broken] = []
    if seconds > within:
        found.append(Broken("I5", f"the run ended {seconds:.1f} s after it was stopped; {within:g} s are allowed"))
    started = evidence.started
    under_way = started.spec.producers * started.spec.request_size if started else 0
    if len(evidence.accepted) > accepted_before + under_way:
        found.append(Broken("I5", f"{len(evidence.accepted) - accepted_before} attributes were accepted after the stop"))
    return found


def recovery(readers: Sequence[Sequence[float]], fault_ended: float) -> float | None:
    """Seconds from the end of a fault until every reader had something new again; None if one never had.

    `readers` holds, for each, the times at which something came. What was on its way when the fault came may still arrive
    after it, so what counts is the longest silence that began until `ON_ITS_WAY_SECONDS` after the fault.
    """
    longest = 0.0
    for times in readers:
        silences = [
            (before, after)
            for before, after in pairwise([-math.inf, *times])
            if after > fault_ended and before <= fault_ended + ON_ITS_WAY_SECONDS
        ]
        if not silences:
            return None
        longest = max(longest, *(after - max(before, fault_ended) for before, after in silences))
    return longest


def recovers(seconds: float | None) -> list[Broken]:
    """I6: the run went on in time."""
    if seconds is None:
        return [Broken("I6", "nothing was accepted any more after the fault")]
    if seconds > RECOVERY_SECONDS:
        return [Broken("I6", f"the run went on {seconds:.1f} s after the fault; {RECOVERY_SECONDS:g} s are allowed")]
    return []


def mostly_recovers(seconds: list[float]) -> list[Broken]:
    """I6 over many faults: nineteen of twenty within `MOSTLY_SECONDS`. Of fewer than twenty, each is judged by itself alone."""
    found = percentile(seconds, 0.95)
    if len(seconds) >= ENOUGH and found > MOSTLY_SECONDS:
        return [Broken("I6", f"of {len(seconds)} recoveries, 95 % took up to {found:.1f} s; {MOSTLY_SECONDS:g} s are allowed")]
    return []


def percentile(values: list[float], share: float) -> float:
    """The smallest value that so large a share of the values does not exceed (nearest rank); 0 when there are none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)] if ordered else 0.0


def survives(ended: dict[str, int], killed: dict[str, int]) -> list[Broken]:
    """I7: every end of a process was our doing. By process name: how often it ended, how often it was killed."""
    return [
        Broken("I7", f"{name} ended {times} times and was killed {killed.get(name, 0)} times")
        for name, times in sorted(ended.items())
        if times > killed.get(name, 0)
    ]


def stays_inside(root: Path, allowed: set[str]) -> list[Broken]:
    """I8: in the folder that everything may write to, there is nothing but these entries."""
    found = sorted(entry.name for entry in root.iterdir() if entry.name not in allowed)
    return [Broken("I8", f"unexpected files in {root}: {_some(found)}")] if found else []


def pays_once(evidence: Evidence, in_flight: int) -> list[Broken]:
    """A fault costs at most the calls that were under way when it came."""
    if evidence.calls_wasted > in_flight:
        return [Broken("paid", f"{evidence.calls_wasted} calls were made again or lost; {in_flight} were under way")]
    return []


def _difference(found: list[str], wanted: list[str]) -> str:
    place = next(
        (n for n, pair in enumerate(zip(found, wanted, strict=False)) if pair[0] != pair[1]), min(len(found), len(wanted))
    )
    return f"{len(found)} and {len(wanted)} attributes, the first difference at {place + 1}"


def _some(values: Iterable[str]) -> str:
    listed = list(values)
    return ", ".join(repr(v[:60]) for v in listed[:NAMED]) + (", …" if len(listed) > NAMED else "")
