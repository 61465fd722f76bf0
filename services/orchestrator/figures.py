"""What a run's state says of its steering."""

from typing import Any

from services.orchestrator.steering import Steering
from services.orchestrator.steering.coverage import Estimate
from services.orchestrator.steering.facets import WHOLE
from shared.messages import FacetCounts
from shared.outside_text import as_line

DIGITS = 4
"""Of shares and rates: more than they are good for, and short to read."""


def figures(steering: Steering) -> dict[str, Any]:
    """The fields of RunState and Finished that steering answers for."""
    saturation = steering.saturation
    return {
        **_estimated("coverage", steering.coverage.estimate()),
        "new_share": _short(saturation.new_share),
        "marginal_usd": saturation.usd_per_new,
        "marginal_seconds": _short(saturation.seconds_per_new),
        **_estimated("on_topic", steering.on_topic.estimate()),
        "judged": steering.on_topic.trials,
        "facets": _facets(steering),
    }


def _estimated(name: str, estimate: Estimate | None) -> dict[str, float | None]:
    values = (estimate.share, estimate.low, estimate.high) if estimate else (None, None, None)
    return {name + end: _short(value) for end, value in zip(("", "_low", "_high"), values, strict=True)}


def _facets(steering: Steering) -> dict[str, FacetCounts]:
    """What was found by facet; the topic as a whole is none."""
    return {
        name: FacetCounts(
            calls=facet.calls,
            accepted=facet.accepted,
            duplicates=facet.duplicates,
            new_share=_short(steering.yields.of_facet(name)) if facet.calls else None,
            closed=as_line(steering.facets.closed(name, steering.yields)),
        )
        for name, facet in steering.facets.of.items()
        if name != WHOLE
    }


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)
