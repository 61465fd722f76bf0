"""What the traces tell of one call, by OpenTelemetry's conventions for generative AI
(https://opentelemetry.io/docs/specs/semconv/gen-ai/). Neither prompt nor answer is among it."""

import contextlib
from collections.abc import Iterator

from shared import traces
from shared.messages import Task, Usage
from shared.traces import Span


@contextlib.contextmanager
def call_span(task: Task, model: str, producer: str, parent: str) -> Iterator[Span]:
    """The span of one call, below that of its task."""
    about: dict[str, traces.Value] = {
        "chorus.run": task.run,
        "chorus.task": task.id,
        "chorus.producer": producer,
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": task.provider,
        "gen_ai.request.model": model,
    }
    with traces.span(f"{traces.CHAT} {model}", about, parent=parent, kind="client") as span:
        yield span


def end(span: Span, usage: Usage) -> None:
    """End it with what the call took and gave."""
    span.end(
        {
            "chorus.outcome": usage.outcome,
            "chorus.attempts": usage.attempts,
            "chorus.candidates": usage.candidates,
            "gen_ai.response.model": usage.response_model or None,
            "gen_ai.usage.input_tokens": usage.input_tokens,
            "gen_ai.usage.output_tokens": usage.output_tokens,
        },
        error=(usage.error_kind or "failed") if usage.outcome == "failed" else "",
    )
