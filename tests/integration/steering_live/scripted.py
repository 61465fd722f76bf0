"""A producer whose calls cost and last what the test says, so that what steering makes of them can be told in advance."""

import asyncio
from collections.abc import Callable

from shared import subjects
from shared.bus import Bus, Delivery, decode
from shared.messages import Begun, Candidate, Presence, Task, Usage, candidate_id, claim_id
from shared.service import end as end_tasks

Answer = Callable[[Task], list[str]]

MODELS = {"openai": "gpt-4o-mini", "anthropic": "claude-3-5-haiku-latest"}


class Scripted:
    """Answers the tasks of one provider, one at a time."""

    def __init__(self, bus: Bus, provider: str, answer: Answer, output_tokens: int = 100) -> None:
        self._bus = bus
        self._provider = provider
        self._answer = answer
        self._output_tokens = output_tokens
        self._running: list[asyncio.Task[None]] = []
        self.tasks: list[Task] = []
        self.announced = 0
        """How often it has told that it is there."""
        self.holds: dict[str, asyncio.Event] = {}
        """By task, what it waits for before it answers."""

    def join(self) -> "Scripted":
        self._running = [asyncio.create_task(self._announce()), asyncio.create_task(self._work())]
        return self

    async def leave(self) -> None:
        await end_tasks(self._running)

    async def _announce(self) -> None:
        presence = Presence(producer=self._provider, provider=self._provider, models=[MODELS[self._provider]])
        while True:
            await self._bus.tell(subjects.presence(self._provider, self._provider), presence)
            self.announced += 1
            await asyncio.sleep(0.1)  # as a producer does, though oftener

    async def _work(self) -> None:
        queue = self._bus.queue(self._provider)
        while True:
            delivery = await queue.take()
            if delivery is not None:
                await self._do(delivery)

    async def _do(self, delivery: Delivery) -> None:
        task = decode(Task, delivery.data)
        self.tasks.append(task)
        claim = Begun(run=task.run, task=task.id, provider=task.provider, producer=self._provider)
        await self._bus.claim(subjects.begun(task.run, task.provider, task.id), claim, claim_id(task.id))
        if task.id in self.holds:
            await self.holds[task.id].wait()
        texts = self._answer(task)
        if task.kind == "list":
            for ordinal, text in enumerate(texts):
                await self._publish(task, ordinal, text)
        usage = Usage(
            run=task.run,
            task=task.id,
            provider=task.provider,
            model=task.model,
            producer=self._provider,
            outcome="ok",
            kind=task.kind,
            facet=task.facet,
            probe=task.probe,
            tail=task.tail,
            asked=task.count,
            facets=texts if task.kind == "facets" else [],
            on_topic=list(task.sample),
            candidates=len(texts) if task.kind == "list" else 0,
            input_tokens=100,
            output_tokens=self._output_tokens,
        )
        await self._bus.publish(subjects.usage(task.run, task.provider), usage, id=task.id)
        await delivery.done()

    async def _publish(self, task: Task, ordinal: int, text: str) -> int:
        candidate = Candidate(
            id=candidate_id(task.id, text),
            run=task.run,
            task=task.id,
            ordinal=ordinal,
            text=text,
            provider=task.provider,
            model=task.model,
            producer=self._provider,
            facet=task.facet,
            probe=task.probe,
        )
        return await self._bus.publish(subjects.candidate(task.run, task.provider), candidate, id=candidate.id)
