"""Calls that ask for no attributes: they settle possible duplicates, name parts of the topic, or judge a sample of the list.

They need a model that knows the world, and may take a small share of what the run spends.
"""

from collections.abc import Callable, Sequence
from typing import Any

from services.orchestrator.budget import Cost
from services.orchestrator.grey_zone import CAPABLE, SHARE
from services.orchestrator.prices import dollars
from services.orchestrator.routing import Route
from services.orchestrator.run import ADJUDICATE, QUESTION, Run
from services.orchestrator.steering.avoid import bytes_of
from services.orchestrator.steering.facets import WANTED, WHOLE
from shared.messages import Task

THOUGHT_TOKENS = 1024
"""Tokens that a call may spend besides what was asked for: on thoughts, and on prose that is thrown away."""

OUTPUT_TOKENS = 32
"""Tokens that one attribute may take in the answer, markup around it included: twelve words in a costly script."""

Worst = Callable[[Route, int, int], Cost]
"""The worst case of a call to a route with so many bytes listed in the prompt, that may write so many tokens."""


class Asides:
    """The next such call of one run."""

    def __init__(self, run: Run, worst: Worst) -> None:
        self._run = run
        self._worst = worst

    def next_task(self, routes: Sequence[Route]) -> Task | None:
        """What to ask one of these routes, which are free and name their models; None when nothing is worth asking."""
        capable = [route for route in routes if route.provider in CAPABLE]
        if not capable:
            return None
        return self._adjudication(capable) or self._facets(capable) or self._judgement(capable)

    # ---- possible duplicates ---------------------------------------------------------------------------------------

    def _adjudication(self, routes: Sequence[Route]) -> Task | None:
        grey = self._run.grey
        pairs = grey.next_batch()
        if not pairs:
            return None
        listed = sum(bytes_of([p.text, p.of_text]) + 8 for p in pairs)
        for route in routes:
            worst = self._worst(route, listed, most_output(len(pairs)))
            if self._within_share(grey.spent + worst, grey.calls) and not self._run.budget.short_of(worst):
                name = f"{ADJUDICATE}{grey.number}"
                return self._task(route, worst, name, grey.number, len(pairs), kind="adjudicate", pairs=pairs)
        return None

    # ---- facets ----------------------------------------------------------------------------------------------------

    def _facets(self, routes: Sequence[Route]) -> Task | None:
        """Ask for the parts of the topic once the first call is under way, later for those of a part that runs dry."""
        run = self._run
        named = {f"{route.provider}/{route.model}": route for route in routes}
        question = run.steering.facets.question(run.steering.yields, list(named))
        if question is None or not run.issued or self._asking("facets"):
            return None
        of, route = question.of, named[question.route]
        worst = self._worst(route, bytes_of([of, *question.known]), most_output(WANTED))
        if of == WHOLE and not self._long_enough(worst, 1 if question.first else 2):
            return None
        if of != WHOLE and not self._within_share(run.aside.spent + worst, run.aside.calls):
            return None
        return self._question(route, worst, WANTED, kind="facets", facet=of, avoid=question.known)

    def _long_enough(self, worst: Cost, questions: int) -> bool:
        """Whether the run is long enough for so many such calls, of which this is the last, to be a small part of it."""
        spec, limits = self._run.spec, self._run.budget.limits
        by_items = None if spec.max_items is None else 2 * spec.max_items // spec.request_size
        calls = [n for n in (self._run.calls_allowed, limits.calls, by_items) if n is not None]
        return self._fits(self._run.aside.spent + worst) and min(calls, default=SHARE * questions) >= SHARE * questions

    # ---- on topic --------------------------------------------------------------------------------------------------

    def _judgement(self, routes: Sequence[Route]) -> Task | None:
        run = self._run
        sample = run.steering.sample()
        if not sample or self._asking("judge"):
            return None
        texts = {index + 1: run.steering.avoid.text(index) for index in sample}
        worst = self._worst(routes[0], bytes_of(texts.values()) + 8 * len(texts), most_output(len(texts)))
        if not self._within_share(run.aside.spent + worst, run.aside.calls):
            return None
        return self._question(routes[0], worst, len(texts), kind="judge", sample=texts)

    # ---- what they have in common ----------------------------------------------------------------------------------

    def _asking(self, kind: str) -> bool:
        return any(held.task.kind == kind for held in self._run.outstanding.values())

    def _within_share(self, total: Cost, calls: int) -> bool:
        """Whether one more call keeps within its share: of the budget where there is one, else of the calls made."""
        limit = self._run.budget.limits.calls
        return self._fits(total) and (calls + 1) * SHARE <= (self._run.issued if limit is None else limit)

    def _fits(self, total: Cost) -> bool:
        limits = self._run.budget.limits
        if limits.usd is not None and total.usd * SHARE > limits.usd:
            return False
        return limits.tokens is None or total.tokens * SHARE <= limits.tokens

    def _question(self, route: Route, worst: Cost, count: int, **fields: Any) -> Task | None:
        if self._run.budget.short_of(worst):
            return None
        number = self._run.aside.number
        return self._task(route, worst, f"{QUESTION}{number}", number, count, **fields)

    def _task(self, route: Route, worst: Cost, name: str, number: int, count: int, **fields: Any) -> Task:
        run = self._run
        return Task(
            id=f"{run.id}-{name}",
            run=run.id,
            provider=route.provider,
            model=route.model,
            topic=run.spec.topic,
            ordinal=number,
            count=count,
            temperature=0,
            seed=run.spec.seed,
            max_output_tokens=most_output(count),
            reserved_usd=dollars(worst.usd),
            reserved_tokens=worst.tokens,
            **fields,
        )


def most_output(count: int) -> int:
    """Tokens that the answer to a call for so many attributes, or verdicts, may have."""
    return count * OUTPUT_TOKENS + THOUGHT_TOKENS
