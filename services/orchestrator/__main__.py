"""`orchestrator`: with --topic the command line that makes one list and exits, without it the service."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import uvloop
from cyclopts import App, Parameter, Token

from services.orchestrator.ceilings import Ceilings
from shared import traces
from shared.providers import PROVIDERS
from shared.service import VERSION, Settings, environment, load, service


def share(kind: type, tokens: Sequence[Token]) -> float:
    """A share of one as people write it: `10%` or `0.1`. Raises ValueError."""
    text = tokens[0].value.strip()
    return float(text[:-1]) / 100 if text.endswith("%") else float(text)


app = App(name="orchestrator", version=VERSION, help=__doc__, result_action="return_value")


@app.default
def orchestrator(
    *,
    topic: str | None = None,
    producers: int = 5,
    iterations: int | None = None,
    provider: str = "env",
    output: Path | None = None,
    log_level: Literal["trace", "debug", "info", "warn", "error"] | None = None,
    request_size: int = 60,
    max_items: int | None = None,
    max_seconds: float | None = None,
    max_usd: float | None = None,
    max_tokens: int | None = None,
    max_calls: int | None = None,
    max_wait: float = 300,
    dedupe: Literal["exact", "fuzzy", "semantic"] = "semantic",
    routing_strategy: Literal["backoff", "roundrobin", "priority", "weighted"] | None = None,
    routing_config: str | None = None,
    dry_run: Annotated[bool, Parameter(negative=())] = False,
    seed: int = 0,
    objective: Literal["dollars", "seconds", "balanced"] = "balanced",
    facets: str = "auto",
    stop_below: Annotated[float, Parameter(converter=share)] = 0,
    strategy: str = "all",
    json: Annotated[bool, Parameter(negative=())] = False,
    trace_ep: str | None = None,
) -> int:
    """Make one list without repeats about a topic, or run as the service that other programs ask for lists.

    Parameters
    ----------
    topic
        Topic of the list; starts what is needed, writes the files, and exits. Without it: the service.
    producers
        How many producers work at once.
    iterations
        Model calls per producer; without it, no limit.
    provider
        "env" (every provider with a key, else the local model), or any of openai, anthropic, gemini, local, random, separated
        by commas.
    output
        Folder for the files of this run; without it, output/<topic>-<run>.
    log_level
        How much is logged to standard error.
    request_size
        Attributes asked for per model call.
    max_items
        Stop at this many attributes.
    max_seconds
        Stop after this many seconds.
    max_usd
        Stop before this many dollars are spent.
    max_tokens
        Stop before this many tokens are used, input and output.
    max_calls
        Stop after this many model calls in all.
    max_wait
        Fail after waiting this many seconds for a provider that nobody offers.
    dedupe
        How far duplicates are looked for: exact (equal but for case, accents, articles, plurals), fuzzy (and rules and slips of
        the pen), semantic (and synonyms and meaning).
    routing_strategy
        Which provider a call goes to: backoff (one, waited for), roundrobin, priority (the first that works), or weighted.
        Without it, calls are shared out by what each model brings.
    routing_config
        The routes of the strategy: provider[:model], comma-separated; weighted: provider[:model]:weight, adding up to 1.
    dry_run
        Print what the run would take in calls, tokens and dollars, and make no call.
    seed
        Seed of what is random: task seeds, and with them the random provider.
    objective
        What new attributes are weighed against when calls are shared out over providers: dollars, seconds, or balanced.
    facets
        Parts of the topic that are asked for one at a time: "auto" (a model is asked for them), "none", or "museums; parks".
    stop_below
        Stop when less than this share of what calls are asked for is new, as in 10% or 0.1; 0: when nothing new comes at all.
    strategy
        The parts of steering that are used: all, none, or any of avoid, facets, tail, allocation, probes, stop, judge,
        separated by commas.
    json
        Print a summary as one line of JSON at the end.
    trace_ep
        Collector of OpenTelemetry traces (OTLP over HTTP), such as http://localhost:4318, for this and all that it starts.
    """
    if trace_ep:
        traces.send_to(trace_ep)
    if topic is None:
        return uvloop.run(serve(load(ServiceSettings, environment(), log_level=log_level)))
    from services.orchestrator.cli.command import Wish, make_list  # the service needs none of it

    variables = environment()
    wish = Wish(
        topic=topic,
        producers=producers,
        iterations=iterations,
        provider=provider,
        output=output,
        request_size=request_size,
        max_items=max_items,
        max_seconds=max_seconds,
        max_usd=max_usd,
        max_tokens=max_tokens,
        max_calls=max_calls,
        max_wait=max_wait,
        dedupe=dedupe,
        routing_strategy=routing_strategy or variables.get("ROUTING_STRATEGY", ""),
        routing_config=routing_config or variables.get("ROUTING_CONFIG", ""),
        dry_run=dry_run,
        seed=seed,
        objective=objective,
        facets=facets,
        stop_below=stop_below,
        strategy=strategy,
        json=json,
    )
    settings = load(Settings, variables, log_level=log_level)
    return uvloop.run(make_list(wish, settings))


class ServiceSettings(Ceilings, frozen=True, kw_only=True):
    """Settings of the service."""

    prices: str = ""
    """A price table of one's own, over the project's."""
    offered: str = ""
    """Providers, comma-separated, whose producers are started as runs ask for them: the launcher says so."""


async def serve(settings: ServiceSettings) -> int:
    """Run the service until it is told to stop."""
    from services.orchestrator.decision_log import LogConflict
    from services.orchestrator.orchestrator import Orchestrator
    from services.orchestrator.prices import PriceError, Prices
    from shared.bus import Fenced

    try:
        prices = Prices.load(Path(settings.prices) if settings.prices else None)
    except PriceError as error:
        raise SystemExit(f"orchestrator: {error}") from error
    async with service("orchestrator", settings, "Removes duplicates and steers the producers", ready=False) as running:
        if not await running.provisioned():
            return 0
        offered = tuple(name.strip() for name in settings.offered.split(",") if name.strip()) or None
        conducting = await Orchestrator.start(running, prices, settings, offered)
        await running.register()
        await conducting.serve(running)
        try:
            await running.run_until_stopped(
                *(conducting.read_reports(provider) for provider in PROVIDERS),
                conducting.wake_for_producers(),
                conducting.send_snapshots(),
                conducting.watch_for_successor(),
                conducting.keep_room(),
                conducting.stop_on_failure(),
            )
        except (Fenced, LogConflict) as error:
            print(f"orchestrator: {error}; stopping, a new process rebuilds from the log", file=sys.stderr)  # noqa: T201  # the last words
            return 1
    return 0


def main() -> None:
    """Entry point of the `orchestrator` script."""
    sys.exit(app())


if __name__ == "__main__":
    main()
