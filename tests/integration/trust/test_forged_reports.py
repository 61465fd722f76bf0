"""What the holder of the least of the keys says of calls that are not his: a run of another provider notices nothing."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from shared import subjects
from shared.bus import encode
from shared.messages import Begun, Candidate, Judgement, Usage, candidate_id, claim_id
from tests.conftest import eventually
from tests.integration.trust.attempts import Tried
from tests.integration.trust.stage import HONEST, HOSTILE, Producers, Stage, shout

pytestmark = pytest.mark.asyncio(loop_scope="module")

CALLS = 12
"""Of the run that is attacked."""

Attack = Callable[[str], Awaitable[None]]


async def attacked(stage: Stage, vendor: Producers, run: str, attack: Attack, **fields: Any) -> Any:
    """A run of the honest provider, attacked when it has made two calls; its list and bill are then held to its own."""
    await stage.begin(run, **{"max_calls": CALLS, **fields})
    await eventually(lambda: vendor.bill(run).calls >= 2)
    await attack(run)
    return await stage.verdict(run, vendor)


def usage(run: str, number: int, provider: str = HOSTILE, **more: Any) -> bytes:
    fields = {"outcome": "ok", "model": "m", "producer": "p", **more}
    return encode(Usage(run=run, task=f"{run}-{number}", provider=provider, **fields))


def candidate(run: str, number: int, text: str = "Junk", provider: str = HOSTILE, **more: Any) -> bytes:
    task = f"{run}-{number}"
    about = {"id": candidate_id(task, text), "task": task, "ordinal": 0, "model": "m", "producer": "p", **more}
    return encode(Candidate(run=run, text=text, provider=provider, **about))


def changed(data: bytes, **fields: Any) -> bytes:
    """The same message with some fields as a type would not allow them."""
    return json.dumps({**json.loads(data), **fields}).encode()


LIES: dict[str, Callable[[str, int], list[bytes]]] = {
    "facets of a facet that is not there": lambda run, n: [
        usage(run, n, kind="facets", facet="there is no such facet", facets=["a1", "b2"])
    ],
    "a bill of 10^9 tokens": lambda run, n: [usage(run, n, input_tokens=10**9, output_tokens=10**9)],
    "a call for nothing, before it is made": lambda run, n: [usage(run, n)],
    "a provider that gives up": lambda run, n: [
        usage(run, n, outcome="failed", error_kind="auth", error="the key was refused (401)", gives_up=True)
    ],
    "a call that was lost": lambda run, n: [usage(run, n, outcome="failed", error_kind="lost")],
    "a call that was given back": lambda run, n: [usage(run, n, outcome="cancelled", error_kind="rate_limit")],
    "judgements that nobody asked for": lambda run, n: [
        usage(run, n, kind="adjudicate", judgements=[Judgement(ordinal=o, same=True) for o in range(1, 50)])
    ],
    "a sample that nobody asked about": lambda run, n: [usage(run, n, kind="judge", off_topic=list(range(1, 50)))],
    "in the other provider's name": lambda run, n: [
        usage(run, n, HONEST, input_tokens=10**9),
        usage(run, n, HONEST, outcome="failed", error_kind="auth", gives_up=True),
    ],
    "attributes of a provider that the run has not": lambda run, n: [candidate(run, n, f"Junk {n}")],
    "attributes in the other provider's name": lambda run, n: [candidate(run, n, f"Junk {n}", HONEST)],
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_report_of_a_call_that_was_given_to_another_counts_for_nothing(
    stage: Stage, vendor: Producers, tried: Tried, lie: str
) -> None:
    """Every id that the run has and will have is spoken for, on the one subject that the liar may write on."""
    run = f"lie{list(LIES).index(lie)}"
    tried("a report counts for an issued call of its own provider", lie, sum(len(LIES[lie](run, n)) for n in range(CALLS + 4)))

    async def attack(run: str) -> None:
        for n in range(CALLS + 4):
            for number, data in enumerate(LIES[lie](run, n)):
                subject = subjects.candidate(run, HOSTILE) if b'"text"' in data else subjects.usage(run, HOSTILE)
                await shout(stage.hostile, subject, data, f"{run}-{n}-{number}")

    end = await attacked(stage, vendor, run, attack)
    assert end.calls == CALLS
    assert set(end.providers) == {HONEST}
    assert end.status == "finished"


async def test_the_subjects_of_another_provider_are_closed(stage: Stage, vendor: Producers, tried: Tried) -> None:
    tried("a producer speaks for its own provider", "on the subjects of another provider", 4 * 6)

    async def attack(run: str) -> None:
        for n in range(6):
            claim = encode(Begun(run=run, task=f"{run}-{n}", provider=HONEST, producer="p"))
            await shout(stage.hostile, subjects.usage(run, HONEST), usage(run, n, HONEST, gives_up=True, outcome="failed"))
            await shout(stage.hostile, subjects.candidate(run, HONEST), candidate(run, n, "Junk", HONEST))
            await shout(stage.hostile, subjects.begun(run, HONEST, f"{run}-{n}"), claim, claim_id(f"{run}-{n}"))
            await shout(stage.hostile, f"control.pause.{HONEST}", b"{}")

    assert (await attacked(stage, vendor, "closed", attack)).calls == CALLS


async def test_ids_that_another_provider_will_need_are_free_for_it(stage: Stage, vendor: Producers, tried: Tried) -> None:
    """The ids of candidates, reports and claims can be told in advance; each provider's stream has its own."""
    tried("nobody silences another by his ids", "ids of candidates, reports and claims, taken first", 4 * CALLS)
    run = "ids"
    for n in range(CALLS):
        task = f"{run}-{n}"
        for text in (f"place a{n}b0", f"place a{n}b1"):
            await shout(stage.hostile, subjects.candidate(run, HOSTILE), b"{}", candidate_id(task, text))
        await shout(stage.hostile, subjects.usage(run, HOSTILE), b"{}", task)
        await shout(stage.hostile, subjects.begun(run, HOSTILE, task), b"{}", claim_id(task))
    await stage.hostile.client.flush()

    async def attack(_: str) -> None:
        return

    end = await attacked(stage, vendor, run, attack)
    assert end.accepted == 2 * CALLS


UNBOUNDED: dict[str, dict[str, Any]] = {
    "the kind of an error has 7 KB": {"error.type": "x" * 7000},
    "an error has 12 KB": {"error": "x" * 12_000},
    "a call of 1.7e308 seconds": {"gen_ai.client.operation.duration": 1.7e308},
    "a call of -1 seconds": {"gen_ai.client.operation.duration": -1},
    "the last candidate is at 2^60": {"last_candidate": 2**60},
    "10^18 tokens": {"gen_ai.usage.input_tokens": 10**18},
    "2^70 tokens": {"gen_ai.usage.output_tokens": 2**70},
    "-5 tokens": {"gen_ai.usage.output_tokens": -5},
    "a model that names itself in 20,000 characters": {"gen_ai.response.model": "m" * 15_000},
    "a facet of 6 KB": {"kind": "facets", "facet": "x" * 6000, "facets": ["y\n" * 3000]},
    "10^9 attempts": {"attempts": 10**9},
    "a thousand kinds of rejects": {"rejected": {f"k{n}": 1 for n in range(1000)}},
    "a null in a number's place": {"gen_ai.usage.input_tokens": None},
    "a task that is a list": {"task": []},
    "no run": {"run": ""},
    "a run with a dot in its name": {"run": "a.b"},
}


@pytest.mark.parametrize("excess", UNBOUNDED)
async def test_a_field_beyond_its_bound_costs_its_message_alone(
    stage: Stage, vendor: Producers, tried: Tried, excess: str
) -> None:
    run = f"far{list(UNBOUNDED).index(excess)}"
    tried("every field has a bound", excess, 12)

    async def attack(run: str) -> None:
        for n in range(12):
            data = changed(usage(run, n), **UNBOUNDED[excess])
            await shout(stage.hostile, subjects.usage(run, HOSTILE), data, f"{run}-far-{n}")

    await attacked(stage, vendor, run, attack, max_calls=5)


NOT_JSON = [
    b"",
    b"\x00" * 100,
    b"{",
    b"[]",
    b"null",
    b'{"run": 1e999}',
    b"[" * 3000,
    b"\xff\xfe",
    b'{"text": "\\ud800"}',
    b"9" * 4000,
]


async def test_bytes_that_are_no_message_are_passed_over(stage: Stage, vendor: Producers, tried: Tried) -> None:
    tried("every field has a bound", "bytes that are no message", 3 * len(NOT_JSON))

    async def attack(run: str) -> None:
        for data in NOT_JSON:
            for subject in (subjects.usage(run, HOSTILE), subjects.candidate(run, HOSTILE), subjects.begun(run, HOSTILE, "t")):
                await shout(stage.hostile, subject, data)

    await attacked(stage, vendor, "bytes", attack)


async def test_what_was_refused_is_counted_by_kind_and_said_once(stage: Stage, vendor: Producers, tried: Tried) -> None:
    """And a flood of lies, one after another as fast as they can be sent, is no reason to log each."""
    tried("one bad message is counted, said once a kind, and passed over", "two kinds of lies, 2,000 of them", 2000)

    async def attack(run: str) -> None:
        for n in range(1000):
            await shout(stage.hostile, subjects.usage(run, HOSTILE), usage(run, n % 50), f"{run}-o-{n}")
            await shout(stage.hostile, subjects.usage(run, HOSTILE), b"{}", f"{run}-m-{n}")

    before = await stage.refused()
    await attacked(stage, vendor, "counted", attack)

    async def counted() -> bool:
        now = await stage.refused()
        return all(now.get(kind, 0) - before.get(kind, 0) >= 1000 for kind in ("malformed",)) and (
            sum(now.values()) - sum(before.values()) >= 2000
        )

    await eventually(counted, 20)
    for kind in ("malformed", "not_outstanding"):
        assert sum("report.refused" in line and kind in line for line in stage.words().splitlines()) <= 1


async def test_lies_are_passed_over_on_replay_as_well(stage: Stage, vendor: Producers, tried: Tried) -> None:
    """They stand in the stream between the last entry of the log and its end, when the next orchestrator reads it."""
    lies = [data for lie in LIES.values() for data in lie("replay", 3)]
    lies += [changed(usage("replay", 3), **fields) for fields in UNBOUNDED.values()]
    tried("one bad message is passed over, live and on replay", "every lie, read again after a kill", len(lies))

    async def attack(run: str) -> None:
        stage.kill()
        for number, data in enumerate(lies):
            subject = subjects.candidate(run, HOSTILE) if b'"text"' in data else subjects.usage(run, HOSTILE)
            await shout(stage.hostile, subject, data, f"replay-{number}")
        await stage.hostile.client.flush()
        stage.start()

    end = await attacked(stage, vendor, "replay", attack)
    assert end.calls == CALLS
    await asyncio.sleep(0)
