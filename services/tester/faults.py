"""Faults of processes, made on a stack under test: each is injected, ends, and must leave every invariant as it was."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from services.tester.stack import Stack

FREEZE_SECONDS = (1.0, 3.0)
"""How long a clock is stopped: the shortest and the longest."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault. `make` injects it and returns when it has ended."""

    name: str
    words: str
    make: Callable[[Stack, random.Random], Awaitable[None]]
    repeats: int = 0
    """Model calls that it may cause to be begun and lost, or made once more, at most."""


def kills(kind: str) -> Callable[[Stack, random.Random], Awaitable[None]]:
    """Kill one process of a kind."""

    async def make(stack: Stack, chance: random.Random) -> None:
        stack.kill(stack.pick(kind, chance))

    return make


def freezes(kind: str) -> Callable[[Stack, random.Random], Awaitable[None]]:
    """Stop the clock of one process of a kind for a while."""

    async def make(stack: Stack, chance: random.Random) -> None:
        async with stack.frozen(stack.pick(kind, chance)):
            await asyncio.sleep(chance.uniform(*FREEZE_SECONDS))

    return make


async def _kill_two(stack: Stack, chance: random.Random) -> None:
    """The server, and at once the orchestrator: what is read back is read from a server on its way up."""
    stack.kill(stack.pick("nats", chance))
    await asyncio.sleep(chance.uniform(0, 0.2))
    stack.kill(stack.pick("orchestrator", chance))


async def _kill_all_producers(stack: Stack, chance: random.Random) -> None:
    for child in stack.children():
        if child.name.startswith("producer-"):
            stack.kill(child)


async def _swizzle(stack: Stack, chance: random.Random) -> None:
    """Stop everything one after another and let it go on in another order."""
    children = stack.children()
    async with asyncio.TaskGroup() as tasks:
        for child in children:
            tasks.create_task(_frozen_for(stack, child.name, chance.uniform(0, 1), chance.uniform(0.2, 1.5)))


async def _frozen_for(stack: Stack, name: str, wait: float, seconds: float) -> None:
    await asyncio.sleep(wait)
    child = next(child for child in stack.children() if child.name == name)
    async with stack.frozen(child):
        await asyncio.sleep(seconds)


PROCESS_FAULTS = (
    Fault("kill-orchestrator", "F1: SIGKILL the orchestrator at a random moment", kills("orchestrator")),
    Fault("kill-producer", "F3: SIGKILL a producer in the middle of a call", kills("producer"), repeats=1),
    Fault("kill-gateway", "F4: SIGKILL the gateway with clients connected", kills("gateway")),
    Fault("kill-recorder", "SIGKILL the recorder", kills("recorder")),
    Fault("kill-nats", "F5: SIGKILL the NATS server", kills("nats"), repeats=3),
    Fault("freeze-orchestrator", "F2: SIGSTOP the orchestrator for a while", freezes("orchestrator")),
    Fault("freeze-nats", "F6: SIGSTOP the NATS server for a while", freezes("nats"), repeats=3),
    Fault("freeze-gateway", "F18: SIGSTOP a subscriber, the gateway", freezes("gateway")),
    Fault("freeze-recorder", "F18: SIGSTOP a subscriber, the recorder", freezes("recorder")),
    Fault("freeze-producer", "SIGSTOP a producer for a while", freezes("producer"), repeats=1),
    Fault("kill-producers", "SIGKILL all producers at once", _kill_all_producers, repeats=3),
    Fault("kill-nats-and-orchestrator", "SIGKILL the server and the orchestrator together", _kill_two, repeats=3),
    Fault("swizzle", "F14: stop every process for a while, one after another, in random order", _swizzle, repeats=3),
)
