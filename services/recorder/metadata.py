"""metadata.json: what a run was, how it ended, and whose files lie beside it."""

import contextlib
from datetime import datetime

import msgspec
from msgspec import Struct

from shared.messages import FacetCounts, Finished, ProviderCounts, RunSpec, Status

FORMAT = "1.0"
"""Version of the layout of the four files."""


class ProviderRecord(Struct):
    """What one provider, or one of its models, did in a run. What only the run's end tells is None before."""

    candidates: int = 0
    accepted: int = 0
    duplicates: int = 0
    calls: int | None = None
    failed: int | None = None
    errors: dict[str, int] | None = None
    """Failed calls by kind."""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    usd: float | None = None
    """Dollars; None also when a call had no price."""
    mean_seconds: float | None = None
    """Mean latency of a call."""
    unique_per_call: float | None = None
    unique_per_dollar: float | None = None
    """None also when the calls cost nothing."""
    left: str | None = None
    """Why it left the run; empty if it did not."""

    def close(self, counts: ProviderCounts) -> None:
        """Take in what the run's end tells."""
        self.calls, self.failed, self.errors = counts.calls, counts.failed, counts.errors
        self.input_tokens, self.output_tokens = counts.input_tokens, counts.output_tokens
        self.cached_tokens, self.reasoning_tokens = counts.cached_tokens, counts.reasoning_tokens
        self.usd, self.left = counts.usd, counts.left
        if counts.calls:
            self.mean_seconds = round(counts.seconds / counts.calls, 3)
            self.unique_per_call = round(self.accepted / counts.calls, 3)
        if counts.usd:
            self.unique_per_dollar = round(self.accepted / counts.usd, 1)

    def counts(self) -> ProviderCounts:
        """What `close` took in, as far as it was kept."""
        return ProviderCounts(
            calls=self.calls or 0,
            failed=self.failed or 0,
            candidates=self.candidates,
            accepted=self.accepted,
            duplicates=self.duplicates,
            input_tokens=self.input_tokens or 0,
            output_tokens=self.output_tokens or 0,
            cached_tokens=self.cached_tokens or 0,
            reasoning_tokens=self.reasoning_tokens or 0,
            usd=self.usd,
            seconds=(self.mean_seconds or 0.0) * (self.calls or 0),
            errors=self.errors or {},
            left=self.left or "",
        )


STEERING = (
    *("coverage", "coverage_low", "coverage_high", "new_share", "marginal_usd", "marginal_seconds"),
    *("on_topic", "on_topic_low", "on_topic_high", "judged", "facets"),
)
"""Fields that the run's end tells as they are."""


class Metadata(Struct, kw_only=True):
    """The content of metadata.json."""

    version: str = FORMAT
    run: str
    topic: str | None
    settings: RunSpec | None
    """None if the run's first entry in the log could not be read."""
    started: str
    ended: str | None = None
    """Set last of all: once it is there, the other files are complete."""
    status: Status = "running"
    reason: str = ""
    candidates: int = 0
    accepted: int = 0
    duplicates: int = 0
    late: int = 0
    malformed: int = 0
    """Entries of the run in the log that could not be read."""
    seconds: float = 0
    """Time spent running; pauses are left out once the run has ended."""
    attributes_per_minute: float = 0
    calls: int | None = None
    tokens: int | None = None
    usd: float | None = None
    """Dollars spent; None before the end, and when a part of it is unknown."""
    coverage: float | None = None
    """Share of what these models would say that the list has, weighted by how often they say it; so are its bounds."""
    coverage_low: float | None = None
    coverage_high: float | None = None
    new_share: float | None = None
    """Of what the last calls were asked for, the part that came and was new."""
    marginal_usd: float | None = None
    """Dollars that the next attribute would have cost."""
    marginal_seconds: float | None = None
    on_topic: float | None = None
    """Share of the attributes that belong to the topic, as a model judged a sample of them; so are its bounds."""
    on_topic_low: float | None = None
    on_topic_high: float | None = None
    judged: int = 0
    facets: dict[str, FacetCounts] = {}
    providers: dict[str, ProviderRecord]
    models: dict[str, ProviderRecord]
    """The same by `<provider>/<model>`."""
    digest: str = ""
    files: tuple[str, ...]
    epoch: str
    """The log that the run stands in: a log made anew may hold another run of the same id."""

    def close(self, finished: Finished) -> None:
        """Take in what the run's end tells of all of it."""
        for name in STEERING:
            setattr(self, name, getattr(finished, name))

    def finished(self) -> Finished:
        """The run's last entry in the log, as far as its files have kept that."""
        return Finished(
            run=self.run,
            status=self.status,
            reason=self.reason,
            accepted=self.accepted,
            duplicates=self.duplicates,
            late=self.late,
            seconds=self.seconds,
            providers={name: record.counts() for name, record in self.providers.items()},
            models={name: record.counts() for name, record in self.models.items()},
            calls=self.calls or 0,
            tokens=self.tokens or 0,
            usd=self.usd,
            digest=self.digest,
            at=self.ended or "",
            **{name: getattr(self, name) for name in STEERING},
        )

    def encoded(self) -> bytes:
        """The file's content."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


class Owner(Struct):
    """Whose files lie in a folder, and whether they are complete."""

    run: str
    epoch: str
    started: str = ""
    ended: str | None = None


def owner(content: bytes) -> Owner | None:
    """Whose metadata.json this is; None if nobody's that we know."""
    try:
        return msgspec.json.decode(content, type=Owner)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def seconds_between(earlier: str, later: str) -> float:
    """Seconds from one time to another as the wire writes them; 0 if one of them is missing or odd."""
    with contextlib.suppress(ValueError, TypeError):
        return max(0.0, (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds())
    return 0.0
