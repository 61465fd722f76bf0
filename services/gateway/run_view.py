"""A run as clients see it, in REST and SSE alike."""

import msgspec

from shared.messages import FacetCounts, ProviderCounts, RunSpec, RunState, Status

ESTIMATES = (
    "coverage",
    "coverage_low",
    "coverage_high",
    "new_share",
    "marginal_usd",
    "marginal_seconds",
    "on_topic",
    "on_topic_low",
    "on_topic_high",
    "judged",
    "facets",
)
"""Fields that tell how complete and how good the list is: the same in a run's state and in its last entry of the log."""


class RunView(msgspec.Struct):
    """Where a run stands."""

    run: str
    topic: str
    status: Status
    reason: str
    """Why it ended, or what it waits for."""
    accepted: int
    duplicates: int
    candidates: int
    calls: int
    tokens: int
    usd: float | None
    """Dollars spent; null when a part of it is unknown, which is not 0."""
    reserved_usd: float
    """Dollars set aside for calls under way."""
    seconds: float
    created: str
    ended: str
    providers: dict[str, ProviderCounts]
    models: dict[str, ProviderCounts]
    """The same by `<provider>/<model>`."""
    spec: RunSpec
    coverage: float | None
    """Share of what these models would say that the list has, 0 to 1; null until it can be told. So are the others."""
    coverage_low: float | None
    coverage_high: float | None
    """With 95 % confidence, coverage is between these two."""
    new_share: float | None
    """Share of what recent calls brought that was new."""
    marginal_usd: float | None
    """Dollars that the next new attribute would cost."""
    marginal_seconds: float | None
    """Seconds of a model's time that it would take."""
    on_topic: float | None
    """Share of the attributes that belong to the topic, as a model judged a sample of them."""
    on_topic_low: float | None
    on_topic_high: float | None
    judged: int
    """Attributes in that sample."""
    facets: dict[str, FacetCounts]
    """What was found by the part of the topic that was asked for."""


def run_view(state: RunState) -> RunView:
    """A run's state as clients see it."""
    return RunView(
        run=state.run,
        topic=state.spec.topic,
        status=state.status,
        reason=state.reason,
        accepted=state.accepted,
        duplicates=state.duplicates,
        candidates=sum(counts.candidates for counts in state.providers.values()),
        calls=state.calls,
        tokens=state.tokens,
        usd=state.usd,
        reserved_usd=state.reserved_usd,
        seconds=state.seconds,
        created=state.created,
        ended=state.ended,
        providers=state.providers,
        models=state.models,
        spec=state.spec,
        **{name: getattr(state, name) for name in ESTIMATES},
    )
