"""Processes that are killed or stopped while a stack, started by the launcher as users start it, works on a run."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from services.orchestrator.dedupe import key
from services.tester import invariants
from services.tester.faults import PROCESS_FAULTS, Fault
from services.tester.stack import Stack
from services.tester.trial import LATENCY_SECONDS, Trial, attempt, run_spec
from services.tester.watch import Watched
from shared.bus import Bus
from tests.faults.seeds import SEEDS

pytestmark = [pytest.mark.faults, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A whole stack that the faults of this module share, as a long-lived one would meet them."""
    under_test = Stack(tmp_path_factory.mktemp("stack"))
    await under_test.start({"RANDOM_LATENCY_SECONDS": LATENCY_SECONDS})
    yield under_test
    await under_test.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bus(stack: Stack) -> AsyncIterator[Bus]:
    connected = await stack.connect()
    yield connected
    await connected.close()


@pytest.mark.parametrize("fault", PROCESS_FAULTS, ids=lambda fault: fault.name)
@pytest.mark.parametrize("seed", SEEDS)  # the slower one to change: one process killed thrice in a row is started ever later
async def test_a_run_survives(stack: Stack, bus: Bus, ledger: Callable[[Trial], None], fault: Fault, seed: int) -> None:
    await stack.until_ready()

    async def begin() -> Watched:
        return await Watched.begin(stack.url, bus, stack.output, **run_spec(fault.name, seed))

    trial, evidence = await attempt(fault.name, seed, begin, lambda chance: fault.make(stack, chance), stack.producer_logs, key)
    if evidence is not None:
        trial.broken += invariants.pays_once(evidence, fault.repeats)
    trial.broken += invariants.survives(stack.ended(), stack.killed)
    trial.broken += invariants.stays_inside(stack.folder, {"stack", "output", "home"})
    trial.broken += invariants.stays_inside(stack.folder / "home", set())
    ledger(trial)


async def test_stopping_stops(stack: Stack, bus: Bus, tmp_path: Path) -> None:
    """I5: with all producers in the middle of their calls, what is under way is taken along and nothing more."""
    await stack.until_ready()
    watched = await Watched.begin(stack.url, bus, stack.output, **run_spec("stop", 0, iterations=1000))
    await watched.until_accepted(60)
    await watched.stop()
    before, since = watched.accepted, watched.times[-1]
    evidence = await watched.verdict(20, stack.producer_logs())
    broken = [*invariants.check(evidence, key), *invariants.stops(before, evidence, watched.times[-1] - since, within=6)]
    assert not broken, "\n".join(map(str, broken))
