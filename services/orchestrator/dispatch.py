"""Decides the next model call of a run: of whom, how large, and whether the budget allows it."""

from dataclasses import dataclass, field

from services.orchestrator.asides import Asides, most_output
from services.orchestrator.budget import Cost
from services.orchestrator.prices import Tokens, dollars, missing_line
from services.orchestrator.producers import Producers
from services.orchestrator.routing import Route, Router, parse
from services.orchestrator.run import Run
from services.orchestrator.steering import Offer
from services.orchestrator.steering.avoid import MAX_BYTES, MAX_TOKENS, bytes_of
from shared.messages import MAX_FACET, Spent, Task

PROMPT_BYTES = 2048
"""What a prompt holds besides topic and avoid list, at most; the producers' tests keep the prompt files below it. A byte is
never more than one token, so bytes bound the tokens of the input whatever the model."""

BYTES_PER_TOKEN = 4
"""Of English, as tokenizers go."""

TOKENS_PER_ATTRIBUTE = 8
"""Two or three words and the markup around them."""

MAX_FAILURES_IN_ROW = 8
"""Failed calls in a row, with a growing pause after each, after which a provider leaves the run: about one minute."""

MAX_PAUSE_SECONDS = 30.0
"""Longest pause after a failed call; the first is half a second and each next one twice as long."""

RETURNED_SECONDS = 0.5
"""Pause after a task that was not made: whoever gave it back says a moment later that its key rests."""

FIRST_SEEN_SECONDS = 10.0
"""Of a run, within which a producer that is just being started will have been heard of."""

NOBODY = (
    "waiting for a producer of {names}: none is running. It goes on by itself, and spends, when one comes; "
    "it ends as failed if none does within {seconds:g} s (max_wait)"
)

SMALLEST = 5
"""Attributes worth a call: when the budget ends, calls shrink to this before the run does."""


@dataclass(slots=True)
class Load:
    """Tasks outstanding per provider over all runs, so that runs share the producers."""

    tasks: dict[str, int] = field(default_factory=dict)

    def change(self, provider: str, by: int) -> None:
        self.tasks[provider] = self.tasks.get(provider, 0) + by

    def of(self, provider: str) -> int:
        return self.tasks.get(provider, 0)


class Dispatch:
    """The next call of one run."""

    def __init__(self, run: Run, producers: Producers, load: Load) -> None:
        self._run = run
        self._producers = producers
        self._load = load
        self._paused_until: dict[str, float] = {}
        self._failed_rounds: dict[str, int] = {}
        self._asides = Asides(run, self._worst_of)
        self._router: Router | None = None
        if run.spec.routing_strategy:
            self._router = Router(*parse(run.spec.routing_strategy, run.spec.routing_config))

    def next_task(self, moment: float) -> Task | None:
        """The task to publish now, or None when nobody is free, the run has enough calls, or the budget is short."""
        if len(self._run.outstanding) >= self._run.spec.producers:
            return None
        works = [r for r in self._routes() if self._works(r, moment)]
        if task := self._asides.next_task([self._named(r) for r in works if self._is_free(r.provider)]):
            return task
        if not self._calls_left() or self._run.steering.waits():
            return None
        working = [r for r in works if self._affordable(r)]
        route = self._choose(working)
        if route is None or not self._is_free(route.provider):
            return None
        if self._router is not None:
            self._router.given(route, working)
        return self._task(route, self._affordable(route))

    def spent(self, spent: Spent, since: float, moment: float) -> None:
        """Take in how a call that was handed out at `since` ended: failures pause their provider, some end its part."""
        run, provider = self._run, spent.provider
        tally = run.tally(provider)
        if spent.gives_up and spent.error_kind == "invalid_request":
            run.tally(provider, spent.model).left = spent.error or "its request was refused"  # only this model: the key is good
        elif spent.gives_up:
            tally.left = spent.error or "it cannot be asked any more"
        elif spent.outcome == "ok":
            self._failed_rounds[provider] = 0
        elif spent.outcome == "returned":
            self.pause(provider, moment + RETURNED_SECONDS)
        elif spent.outcome == "failed" and since >= self._paused_until.get(provider, 0.0):
            self._failed(provider, spent.error, moment)

    def _failed(self, provider: str, error: str, moment: float) -> None:
        """Count a round: calls that were under way together fail together, and count once."""
        rounds = self._failed_rounds[provider] = self._failed_rounds.get(provider, 0) + 1
        if rounds >= MAX_FAILURES_IN_ROW:
            self._run.tally(provider).left = f"its calls failed {rounds} times in a row, the last: {error}"
        self.pause(provider, moment + min(MAX_PAUSE_SECONDS, 0.5 * 2 ** (rounds - 1)))

    def pause(self, provider: str, until: float) -> None:
        """Give a provider no task before this moment."""
        self._paused_until[provider] = max(until, self._paused_until.get(provider, 0.0))

    def over(self) -> tuple[bool, str] | None:
        """Whether no call can ever follow: (in good order, why), or None while one may."""
        run = self._run
        if run.calls_allowed is not None and run.made >= run.calls_allowed:
            return True, f"made all {run.calls_allowed} model calls (iterations)"
        routes = [r for r in self._routes() if not self._left(r)]
        if not routes:
            return False, f"every provider left the run: {self.departures()}"
        if run.budget.waiting:
            return None
        short = next(filter(None, map(self._shortage, routes)), "")
        return (True, short) if short and not self._open() else None

    def saturated(self) -> str:
        """Why there is no use in going on, in words; empty while there is."""
        routes = [r for r in self._routes() if not self._left(r) and self._producers.live(r.provider) and self._affordable(r)]
        return self._run.steering.stop([self._key(r) for r in routes]) if routes else ""

    def departures(self) -> str:
        """Who left the run and why, in words."""
        tallies = {**self._run.tallies, **self._run.models}
        return "; ".join(f"{name}: {tally.left}" for name, tally in tallies.items() if tally.left)

    def nobody(self) -> str:
        """In words, that nobody can be asked; empty when somebody can, or when no call may follow anyway."""
        providers = list(dict.fromkeys(r.provider for r in self._open()))
        if not providers or any(self._producers.live(p) for p in providers):
            return ""
        return NOBODY.format(names=" or ".join(providers), seconds=self._run.spec.max_wait)

    def waits_for(self) -> str:
        """In words, what keeps the run from going on; empty when nothing does."""
        if nobody := self.nobody():
            return nobody
        providers = list(dict.fromkeys(r.provider for r in self._open()))
        missing = [p for p in providers if not self._producers.live(p)]
        paused = [p for p in providers if p not in missing and not self._producers.slots(p)]
        if paused and len(paused) + len(missing) == len(providers):
            return f"waiting for the rate limit of {' and '.join(paused)}"
        return ""

    def _open(self) -> list[Route]:
        """The routes that may yet be called, now or when a producer comes.

        Of a model that nobody has named there is no price: such a route counts only as long as the dollars allow others,
        or as the run begins, or a run whose money is spent would wait for ever for a producer that may never come.
        """
        staying = [r for r in self._routes() if not self._left(r)]
        may = [r for r in staying if not self._shortage(r)]
        if self._run.budget.limits.usd is None or len(may) == len(staying):
            return may
        return [r for r in may if self._run.prices.of(r.provider, self._model(r)) or self._may_still_come(r)]

    def _may_still_come(self, route: Route) -> bool:
        return not self._model(route) and self._run.seconds + self._run.waited < FIRST_SEEN_SECONDS

    # ---- routes ----------------------------------------------------------------------------------------------------

    def _routes(self) -> list[Route]:
        """The routes of the run; without a routing strategy, every model that a live producer announces."""
        if self._router is not None:
            return list(self._router.routes)
        return [Route(p, m) for p in self._run.spec.providers for m in self._models(p)]

    def _models(self, provider: str) -> list[str]:
        return self._producers.models(provider) or [""]

    def _model(self, route: Route) -> str:
        return route.model or self._models(route.provider)[0]

    def _named(self, route: Route) -> Route:
        return Route(route.provider, self._model(route), route.weight)

    def _key(self, route: Route) -> str:
        return f"{route.provider}/{self._model(route)}"

    def _left(self, route: Route) -> bool:
        run, model = self._run, self._model(route)
        by_model = run.models.get(f"{route.provider}/{model}")
        return bool(run.tally(route.provider).left or (by_model is not None and by_model.left))

    def _works(self, route: Route, moment: float) -> bool:
        if self._left(route) or self._paused_until.get(route.provider, 0.0) > moment:
            return False
        if self._run.budget.limits.usd is not None and self._unpriced(route):
            return False
        return self._producers.slots(route.provider) > 0

    def _unpriced(self, route: Route) -> bool:
        """Whether a dollar budget cannot cover the route; it then leaves the run with the line that is missing."""
        model = self._model(route)
        if not model or self._run.prices.of(route.provider, model) is not None:
            return False
        line = missing_line(route.provider, model)
        self._run.tally(route.provider, model).left = f"it has no price, which a dollar budget needs; add the line: {line}"
        return True

    def _choose(self, working: list[Route]) -> Route | None:
        if self._router is not None:
            return self._router.choose(working)
        routes = {self._key(r): r for r in working}
        offers = [Offer(key, self._expected_usd(r), self._is_free(r.provider)) for key, r in routes.items()]
        chosen = self._run.steering.choose(offers)
        return routes[chosen.route] if chosen else None

    def _expected_usd(self, route: Route) -> float | None:
        """Dollars that a call is about to cost, before any told; None when the model has no price."""
        price = self._run.prices.of(route.provider, self._model(route))
        size = self._run.spec.request_size
        tokens = Tokens(input=PROMPT_BYTES // 2 // BYTES_PER_TOKEN + MAX_TOKENS, output=size * TOKENS_PER_ATTRIBUTE)
        return None if price is None else dollars(price.cost(tokens))

    def _is_free(self, provider: str) -> bool:
        return self._producers.slots(provider) > self._load.of(provider)

    # ---- how much --------------------------------------------------------------------------------------------------

    def _calls_left(self) -> bool:
        allowed = self._run.calls_allowed
        return allowed is None or self._run.made < allowed

    def _affordable(self, route: Route) -> int:
        """Attributes that the budget allows to ask of a route: all that are wanted, or as many as still fit, or 0."""
        size = self._run.spec.request_size
        while self._run.budget.short_of(self._worst(route, size)):
            if size <= SMALLEST:
                return 0
            size = max(SMALLEST, size // 2)
        return size

    def _worst(self, route: Route, size: int) -> Cost:
        """What a call costs at most, whichever attributes it is told to avoid."""
        return self._worst_of(route, MAX_FACET * 4 + MAX_BYTES if self._run.accepted else 0, most_output(size))

    def _worst_of(self, route: Route, listed_bytes: int, output_tokens: int) -> Cost:
        input_tokens = PROMPT_BYTES + len(self._run.spec.topic.encode()) + listed_bytes
        price = self._run.prices.of(route.provider, self._model(route))
        usd = price.most(input_tokens, output_tokens) if price else 0
        return Cost(usd, input_tokens + output_tokens)

    def _shortage(self, route: Route) -> str:
        """Why the budget allows no call of a route, in words; empty if it does."""
        run = self._run
        worst = self._worst(route, min(SMALLEST, run.spec.request_size))
        short = run.budget.short_of(worst)
        if short == "calls":
            return f"made all {run.spec.max_calls} model calls (max_calls)"
        if short == "tokens":
            used = run.budget.spent.tokens
            return f"used {used} of {run.spec.max_tokens} tokens; another call may need {worst.tokens} (max_tokens)"
        if short == "usd":
            spent, next_call = dollars(run.budget.spent.usd), dollars(worst.usd)
            return f"spent ${spent:.6g} of ${run.spec.max_usd:g}; another call may cost ${next_call:.3g} (max_usd)"
        return ""

    def _task(self, route: Route, size: int) -> Task:
        run, ask = self._run, self._run.steering.ask(self._key(route))
        worst = self._worst_of(route, bytes_of([ask.facet, *ask.avoid]), most_output(size))
        return Task(
            id=f"{run.id}-{run.issued}",
            run=run.id,
            provider=route.provider,
            model=self._model(route),
            topic=run.spec.topic,
            ordinal=run.issued,
            count=size,
            avoid=ask.avoid,
            facet=ask.facet,
            tail=ask.tail,
            probe=ask.probe,
            seed=run.spec.seed,
            max_output_tokens=most_output(size),
            reserved_usd=dollars(worst.usd),
            reserved_tokens=worst.tokens,
        )
