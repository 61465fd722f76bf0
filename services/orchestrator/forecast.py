"""What a run would take, estimated before it starts. A forecast promises nothing; the budget does."""

import math
from collections.abc import Sequence

from services.orchestrator.asides import most_output
from services.orchestrator.dispatch import BYTES_PER_TOKEN, PROMPT_BYTES, TOKENS_PER_ATTRIBUTE
from services.orchestrator.prices import Prices, Tokens, dollars
from services.orchestrator.routing import Route
from services.orchestrator.steering.avoid import MAX_BYTES, MAX_TOKENS
from shared.messages import Forecast, RunSpec

NEW_SHARE = 0.5
"""Of what the calls of a run bring, the part that is new: the first calls do better, late ones far worse."""


def forecast(spec: RunSpec, routes: Sequence[Route], prices: Prices) -> Forecast:
    """Calls, tokens and dollars of a run over these routes, each with its model; weights count, else all alike."""
    tokens = Tokens(
        input=(PROMPT_BYTES // 2 + len(spec.topic.encode())) // BYTES_PER_TOKEN + MAX_TOKENS,
        output=spec.request_size * TOKENS_PER_ATTRIBUTE,
    )
    unpriced = [f"{r.provider}/{r.model}" for r in routes if prices.of(r.provider, r.model) is None]
    usd = None if unpriced else _mean(routes, prices, tokens)
    calls, limited_by = _calls(spec, usd, tokens)
    times = 1 if calls is None else calls
    most = None if unpriced else _dearest(spec, routes, prices) * times
    return Forecast(
        calls=calls,
        input_tokens=tokens.input * times,
        output_tokens=tokens.output * times,
        usd=None if usd is None else dollars(round(usd * times)),
        most_usd=None if most is None else min(dollars(most), spec.max_usd or math.inf),
        unpriced=unpriced,
        limited_by=limited_by,
    )


def in_words(spec: RunSpec, found: Forecast) -> list[str]:
    """The forecast as lines for a person."""
    what = "each call" if found.calls is None else f"{found.calls} calls (until {found.limited_by})"
    if found.usd is None:
        money = "cost unknown: no price for " + ", ".join(found.unpriced)
    else:
        money = f"about ${found.usd:.4g}, at most ${found.most_usd:.4g}"
    lines = [f"{what}: about {found.input_tokens} tokens in and {found.output_tokens} out, {money}"]
    if found.calls is None:
        end = f"ends after {spec.max_seconds:g} seconds" if spec.max_seconds else "goes on until it is stopped"
        lines.append(f"no limit bounds the number of calls: the run {end}")
    return lines


def _calls(spec: RunSpec, usd: float | None, tokens: Tokens) -> tuple[int | None, str]:
    """The calls that the tightest limit allows, and its name."""
    limits: dict[str, int] = {}
    if spec.iterations is not None:
        limits["iterations"] = spec.iterations * spec.producers
    if spec.max_calls is not None:
        limits["max_calls"] = spec.max_calls
    if spec.max_items is not None:
        limits["max_items"] = math.ceil(spec.max_items / (spec.request_size * NEW_SHARE))
    if spec.max_tokens is not None:
        limits["max_tokens"] = spec.max_tokens // (tokens.input + tokens.output)
    if spec.max_usd is not None and usd:
        limits["max_usd"] = int(spec.max_usd / dollars(round(usd)))
    if not limits:
        return None, ""
    name = min(limits, key=lambda n: limits[n])
    return limits[name], name


def _mean(routes: Sequence[Route], prices: Prices, tokens: Tokens) -> float:
    """Picodollars of a call, over the routes by their weights."""
    weights = [r.weight or 1.0 for r in routes]
    costs = [price.cost(tokens) for r in routes if (price := prices.of(r.provider, r.model))]
    return sum(w * c for w, c in zip(weights, costs, strict=True)) / sum(weights)


def _dearest(spec: RunSpec, routes: Sequence[Route], prices: Prices) -> int:
    """Picodollars of the worst case of a call of the dearest route."""
    most_input = PROMPT_BYTES + len(spec.topic.encode()) + MAX_BYTES
    found = [price for r in routes if (price := prices.of(r.provider, r.model))]
    return max(price.most(most_input, most_output(spec.request_size)) for price in found)
