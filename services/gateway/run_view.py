"""A run as clients see it, in REST and SSE alike."""

import msgspec

from shared.messages import ProviderCounts, RunSpec, RunState, Status


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
    )
