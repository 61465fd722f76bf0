"""Makes one list: from the flags to the files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from services.orchestrator import forecast, routing
from services.orchestrator.cli import files
from services.orchestrator.cli.session import FILES_SECONDS, Left, Session
from services.orchestrator.cli.stack import StackError
from services.orchestrator.cli.summary import summarise
from services.orchestrator.cli.words import fail, print_list, say
from services.orchestrator.prices import Prices, missing_line
from services.orchestrator.routing import Route
from shared import providers
from shared.bus import BusError, Denied
from shared.messages import RunSpec
from shared.roles import GATEWAY
from shared.service import Settings, environment, own_files, start_logging
from shared.terminal import printable_json


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What the flags say."""

    topic: str
    producers: int
    iterations: int | None
    provider: str
    output: Path | None
    request_size: int
    max_items: int | None
    max_seconds: float | None
    max_usd: float | None
    max_tokens: int | None
    max_calls: int | None
    max_wait: float
    dedupe: str
    routing_strategy: str
    routing_config: str
    dry_run: bool
    seed: int
    objective: str
    facets: str
    stop_below: float
    strategy: str
    json: bool


async def make_list(wish: Wish, settings: Settings) -> int:
    """Make the list and return the exit code.

    0 done (by a limit or by a signal), 1 failed or without complete files, 2 the flags are wrong, 128 and more: left at once.
    """
    start_logging("orchestrator", "warn" if settings.log_level == "info" else settings.log_level)
    own_files(settings)
    variables = environment()
    try:
        spec = specify(wish, _providers(wish, variables))
        prices = Prices.load(Path(variables["PRICES"]) if variables.get("PRICES") else None)
        routes = _routes(spec, variables)
        if wish.dry_run:
            found = forecast.forecast(spec, routes, prices)
            as_json = printable_json(msgspec.json.encode(found).decode())
            print(as_json if wish.json else "\n".join(forecast.in_words(spec, found)))
            return 0
        _check_prices(spec, routes, prices)
        files.check(wish.output, variables)
    except ValueError as error:
        return fail(str(error), 2)
    if wish.provider == "env" and not providers.with_keys(variables):
        say("No API key is set, so the bundled local model is used; --provider random needs no model at all.")
    session = Session(spec, wish.output, settings, variables)
    try:
        finished, folder = await session.run()
    except Left as left:
        return left.code
    except StackError as error:
        return _give_up(session, str(error), error.code)
    except BusError as error:
        return _give_up(session, f"the bus failed: {error}", 1)
    except Denied as error:
        needs = f"the command line needs the key of the role {GATEWAY} in NATS_NKEY (var/keys/{GATEWAY}.nk of the stack)"
        return _give_up(session, f"{error}; {needs}", 1)
    if folder is None:
        say(f"The files were not complete after {FILES_SECONDS:g} seconds; the list is on standard output.")
    summarise(spec, finished, folder, session.texts, as_json=wish.json)
    return 1 if finished.status == "failed" or folder is None else 0


def _give_up(session: Session, reason: str, code: int) -> int:
    """Say why, and hand out what was found until then: nothing promises that the files have it."""
    if session.texts:
        reason += f"; the {len(session.texts)} attributes found until then are on standard output"
    print_list(session.texts)
    return fail(reason, code)


def _providers(wish: Wish, variables: Mapping[str, str]) -> tuple[str, ...]:
    """The providers of the run: those of the routes if there are any, else those of `--provider`. Raises ValueError.

    On a NATS that is joined, others may offer one whose key is not here: whether anybody does is seen there.
    """
    elsewhere = {providers.KEYS_ELSEWHERE: ",".join(providers.PROVIDERS)} if variables.get("NATS_URL") else {}
    if not wish.routing_strategy and not wish.routing_config:
        return providers.resolve(wish.provider, variables if wish.provider == "env" else {**variables, **elsewhere})
    if not wish.routing_strategy or not wish.routing_config:
        raise ValueError("--routing-strategy and --routing-config belong together: give both or none")
    _, routes = routing.parse(wish.routing_strategy, wish.routing_config)
    return providers.resolve(",".join(r.provider for r in routes), {**variables, **elsewhere})


def _routes(spec: RunSpec, variables: Mapping[str, str]) -> list[Route]:
    """The routes of the run, each with its model."""
    if not spec.routing_strategy:
        return [Route(p, model) for p in spec.providers for model in providers.models_of(p, variables)]
    _, routes = routing.parse(spec.routing_strategy, spec.routing_config)
    return [Route(r.provider, r.model or providers.models_of(r.provider, variables)[0], r.weight) for r in routes]


def _check_prices(spec: RunSpec, routes: list[Route], prices: Prices) -> None:
    """Raise ValueError when a dollar budget meets a model without a price, before anything is started."""
    unpriced = [r for r in routes if prices.of(r.provider, r.model) is None]
    if spec.max_usd is not None and unpriced:
        lines = "; ".join(missing_line(r.provider, r.model) for r in unpriced)
        raise ValueError(f"--max-usd needs the price of every model; add to a file and name it in PRICES: {lines}")


def specify(wish: Wish, names: tuple[str, ...]) -> RunSpec:
    """The run that the flags mean. Raises ValueError with the flag's name and what is wrong with it."""
    fields: dict[str, Any] = {f: getattr(wish, f) for f in RunSpec.__struct_fields__ if f != "providers"}
    try:
        return msgspec.convert({**fields, "providers": names}, RunSpec)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `$.")
        flag = f"--{place.rstrip('`').replace('_', '-')}: " if place else ""
        raise ValueError(flag + reason) from error
