"""Every message on the wire: JSON by msgspec, one object a message.

Rules of growth: a new field has a default, a field never changes its type, unknown fields are ignored. So an old producer
works with a new orchestrator; `tests/wire/` holds golden samples that turn red when a field is renamed.
Times are RFC 3339 in UTC and are for people: no decision and no order depends on them.
"""

import hashlib
import secrets
from datetime import UTC, datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from shared import subjects
from shared.providers import PROVIDERS

MAX_TEXT = 200
"""Characters an attribute may have: they are short by definition, and a subject's worth of junk is not one."""

MAX_ERROR = 300
"""Characters kept of an error's words: a run's last entry repeats them for each provider and model, and must fit a message."""

MAX_TOPIC = 200
"""Characters a topic may have: it stands in every prompt."""

MAX_FACETS = 24
"""Parts of a topic that a run keeps apart: each needs several calls before it can be judged."""

MAX_FACET = 80
"""Characters of a facet: a phrase that stands in a prompt and on the dashboard."""

PARTS = ("avoid", "facets", "tail", "allocation", "probes", "stop", "judge")
"""The parts of steering, each of which `RunSpec.strategy` can leave out."""

Status = Literal["running", "waiting", "paused", "stopping", "finished", "stopped", "failed"]
"""Waiting: for a provider that nobody offers. Such a run goes on by itself, or ends after `RunSpec.max_wait`."""

ENDED: tuple[Status, ...] = ("finished", "stopped", "failed")

Action = Literal["started", "paused", "resumed", "stopping", "finished"]

Token = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Count = Annotated[int, Meta(ge=0)]
TokenCount = Annotated[int, Meta(ge=0, le=10**9)]
"""Of one call: hundreds of times what any model takes, and few enough that sums stay exact."""

Seconds = Annotated[float, Meta(ge=0, le=86_400)]
"""Of one call or wait, at most a day: a sum of larger ones could pass what JSON can hold."""

Word = Annotated[str, Meta(max_length=40)]
"""A kind, a status, a time: one of ours, or one of a newer version."""

Line = Annotated[str, Meta(max_length=1000)]
"""A sentence of a vendor or a service; kept as far as `MAX_ERROR`."""

ModelName = Annotated[str, Meta(max_length=200)]
AttributeText = Annotated[str, Meta(min_length=1, max_length=MAX_TEXT)]


def now() -> str:
    """The present time as the wire writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def new_run_id() -> str:
    """A run id that sorts by time and reads well in a subject: `20261124-103207-9f3ac1`."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


class Message(Struct, kw_only=True, frozen=True):
    """What all messages share: keyword-only, immutable, unknown fields ignored."""


class RunSpec(Message, kw_only=True, frozen=True):
    """What a user asks for. Limits that are None do not apply."""

    topic: str
    """One line of text, at most `MAX_TOPIC` characters; control characters are refused."""
    providers: Annotated[tuple[Token, ...], Meta(min_length=1, max_length=8)]
    producers: Annotated[int, Meta(ge=1, le=99)] = 3
    """How many producers work on the run at once, over all providers."""
    iterations: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None
    """Model calls per producer: the run makes `producers * iterations` calls in all."""
    max_items: Annotated[int, Meta(ge=1, le=10_000_000)] | None = None
    max_seconds: Annotated[float, Meta(gt=0, le=31_536_000)] | None = None
    max_usd: Annotated[float, Meta(gt=0, le=1_000_000)] | None = None
    """Dollars that the run's calls may cost; models without a price are then refused."""
    max_tokens: Annotated[int, Meta(ge=1, le=10**12)] | None = None
    """Tokens, input and output, over all calls."""
    max_calls: Annotated[int, Meta(ge=1, le=10_000_000)] | None = None
    """Model calls in all."""
    max_wait: Annotated[float, Meta(gt=0, le=31_536_000)] = 300
    """Seconds that the run waits for a provider that nobody offers, before it ends as failed."""
    routing_strategy: str = ""
    """backoff, roundrobin, priority or weighted; empty: calls are shared out by what each model brings."""
    routing_config: Annotated[str, Meta(max_length=1000)] = ""
    """The routes of the strategy: `provider[:model]` or, weighted, `provider[:model]:weight`, comma-separated."""
    dedupe: Literal["exact", "fuzzy", "semantic"] = "semantic"
    """How far duplicates are looked for: equal keys; and rules and slips of the pen; and synonyms and meaning."""
    request_size: Annotated[int, Meta(ge=1, le=500)] = 60
    """Attributes asked for per model call."""
    seed: Annotated[int, Meta(ge=0, lt=2**53)] = 0
    objective: Literal["dollars", "seconds", "balanced"] = "balanced"
    """What new attributes are weighed against when calls are shared out: their price, their time, or both alike."""
    facets: Annotated[str, Meta(max_length=MAX_FACETS * (MAX_FACET + 2))] = "auto"
    """Parts of the topic to ask for one at a time: "auto" (a model is asked for them), "none", or "museums; parks; cafés"."""
    stop_below: Annotated[float, Meta(ge=0, le=1)] = 0
    """Stop when less than this share of what the calls are asked for comes and is new; 0: when nothing new comes at all."""
    strategy: Annotated[str, Meta(max_length=100)] = "all"
    """The parts of steering that are used, of `PARTS`, separated by commas; "all" or "none"."""

    def __post_init__(self) -> None:
        if not self.topic.strip():
            raise ValueError("the topic is empty; name what the list shall be about")
        if len(self.topic) > MAX_TOPIC:
            raise ValueError(f"the topic has {len(self.topic)} characters; the most is {MAX_TOPIC}")
        if any(not c.isprintable() for c in self.topic):
            raise ValueError("the topic holds control characters; use one line of plain text")
        unknown = [p for p in self.providers if p not in PROVIDERS]
        if unknown:
            raise ValueError(f"unknown provider {unknown[0]!r}; known are {', '.join(PROVIDERS)}")
        if len(set(self.providers)) != len(self.providers):
            raise ValueError("a provider is named twice")
        for part in self.parts - set(PARTS):
            raise ValueError(f"unknown part of the strategy {part!r}; known are all, none, {', '.join(PARTS)}")
        if len(self.given_facets) > MAX_FACETS:
            raise ValueError(f"{len(self.given_facets)} facets are named; the most is {MAX_FACETS}")
        if any(len(facet) > MAX_FACET or not facet.isprintable() for facet in self.given_facets):
            raise ValueError(f"a facet is one line of at most {MAX_FACET} characters")

    @property
    def parts(self) -> frozenset[str]:
        """The parts of steering that are used."""
        names = {part.strip() for part in self.strategy.split(",") if part.strip()}
        return frozenset(PARTS) if names == {"all"} else frozenset(names - {"none"})

    @property
    def given_facets(self) -> tuple[str, ...]:
        """The facets that the user names, each once; empty for "auto" and "none"."""
        if self.facets.strip() in ("auto", "none"):
            return ()
        return tuple(dict.fromkeys(facet.strip() for facet in self.facets.split(";") if facet.strip()))


class StartRun(Message, kw_only=True, frozen=True):
    """`control.ask.start`, request by gateway or CLI, answered by the orchestrator with a RunState or a Refusal."""

    spec: RunSpec
    run: Token | None = None
    """The id the run shall have; asking twice with the same id starts one run. None: the orchestrator makes one."""


class ChangeRun(Message, kw_only=True, frozen=True):
    """`control.ask.stop|pause|resume`, request by gateway or CLI, answered with a RunState or a Refusal."""

    run: Token


class Refusal(Message, kw_only=True, frozen=True):
    """Answer to a request that cannot be met, in words for the person who asked."""

    error: str
    code: Literal["invalid", "not_found", "conflict", "unavailable"] = "invalid"


class Pair(Message, kw_only=True, frozen=True):
    """An accepted attribute and the earlier one that it may repeat."""

    ordinal: Annotated[int, Meta(ge=1)]
    text: str
    of: Annotated[int, Meta(ge=1)]
    of_text: str


class Judgement(Message, kw_only=True, frozen=True):
    """What a model says of a pair."""

    ordinal: Annotated[int, Meta(ge=1)]
    same: bool


Kind = Literal["list", "adjudicate", "facets", "judge"]
"""What a task asks a model for."""


class Task(Message, kw_only=True, frozen=True):
    """One model call to make. `control.task.<provider>.<run>`, orchestrator to any idle producer of that provider."""

    id: Token
    run: Token
    provider: Token
    topic: str
    ordinal: Count
    """0 for the run's first call."""
    kind: Kind = "list"
    """Ask for attributes; whether the attributes of each pair are one and the same; for facets of the topic; or whether the
    attributes of a sample belong to the topic."""
    pairs: list[Pair] = []
    """What to adjudicate; the judgements come back in the Usage."""
    count: Annotated[int, Meta(ge=1, le=500)] = 60
    """Attributes to ask for."""
    avoid: list[str] = []
    """What other producers found and is worth naming in the prompt, most important first."""
    facet: str = ""
    """The part of the topic to keep to; empty: all of it."""
    tail: bool = False
    """Ask for what is seldom named rather than for what comes to mind first."""
    probe: bool = False
    """Ask as if nothing had been found yet, without avoid list and facet: what comes back tells how complete the list is."""
    sample: dict[int, str] = {}
    """Accepted attributes to judge, by ordinal."""
    model: str = ""
    """The model to call; empty means the producer's own default."""
    temperature: Annotated[float, Meta(ge=0, le=2)] = 1.0
    seed: Annotated[int, Meta(ge=0, lt=2**53)] = 0
    deadline_seconds: Annotated[float, Meta(gt=0, le=3600)] = 120
    """The call is given up after this long."""
    max_output_tokens: Annotated[int, Meta(ge=1, le=1_000_000)] = 4096
    """The most the model may write, thoughts included: what the budget has set aside for."""
    reserved_usd: Annotated[float, Meta(ge=0)] = 0
    """Dollars set aside for this call, its worst case."""
    reserved_tokens: Count = 0
    """Tokens set aside for this call, its worst case."""


class RunControl(Message, kw_only=True, frozen=True):
    """`control.run.<run>`, orchestrator to producers and gateway: the run changed its status."""

    run: Token
    action: Action
    reason: str = ""
    at: str = ""


class Begun(Message, kw_only=True, frozen=True):
    """`begun.<run>.<provider>.<task>`, claimed by whoever is first: by a producer that is about to make a task's call, by the
    orchestrator to take the task back.

    Its id is the task's, and the stream takes an id once: so a call is made once at most, however often the queue hands its
    task out, and a task that was taken back is never made.
    """

    run: Token
    task: Token
    provider: Token
    producer: Token
    """Who claims it."""
    at: Word = ""


class Candidate(Message, kw_only=True, frozen=True):
    """`attributes.candidate.<run>.<provider>`, producer to orchestrator: one attribute as the model wrote it."""

    id: Token
    """Hash of task and text: a task done again after a crash publishes the same ids, which the stream refuses."""
    run: Token
    task: Token
    ordinal: Annotated[int, Meta(ge=0, le=100_000)]
    """Position in its call, from 0."""
    text: AttributeText
    provider: Token
    model: ModelName
    producer: Token
    facet: Annotated[str, Meta(max_length=200)] = ""
    probe: bool = False
    """The task was a probe."""
    prompt: Annotated[str, Meta(max_length=64)] = ""
    """Hash of the prompt's files: candidates with the same one were asked for in the same words."""
    at: Word = ""


class Started(Message, kw_only=True, frozen=True):
    """`attributes.started.<run>`, first entry of a run in the log (RESULTS), by the orchestrator."""

    run: Token
    spec: RunSpec
    candidates_after: Count = 0
    """Of earlier versions, which had one stream for all: where it stood."""
    reports_after: dict[Token, Count] | None = None
    """By provider: what concerns the run has sequences in its stream of reports above this one."""
    at: str = ""


class Accepted(Message, kw_only=True, frozen=True):
    """`attributes.accepted.<run>.<key>`, orchestrator to gateway and recorder: a new attribute of the list."""

    run: Token
    ordinal: Annotated[int, Meta(ge=1)]
    """1, 2, 3 … without gaps."""
    text: str
    key: str
    """The normalised text that the subject's last token is the hash of."""
    candidate: Token
    candidate_sequence: Count
    task: Token
    provider: Token
    model: str
    producer: Token
    facet: str = ""
    probe: bool = False
    near: Count = 0
    """Ordinal of the accepted attribute it may repeat, though it was kept; 0 when there is none."""
    near_text: str = ""
    near_score: float = 0
    """How near that one is, 0 to 1."""
    near_why: str = ""
    """In words, how the two differ."""
    trace: str = ""
    """Id of the trace in which it was found, 32 hex digits; see `shared.traces`."""
    at: str = ""
    digest: str = ""
    """SHA-256 over the previous digest and this text: two copies of a list agree if their last digests do."""


class Duplicate(Message, kw_only=True, frozen=True):
    """`attributes.duplicate.<run>.<candidate>`, orchestrator to gateway and recorder: a candidate repeats an attribute."""

    run: Token
    candidate: Token
    candidate_sequence: Count
    text: str
    of: Annotated[int, Meta(ge=1)]
    """Ordinal of the accepted attribute that it repeats."""
    of_text: str
    tier: str
    score: float
    why: str = ""
    """In words, what makes the two one."""
    task: Token
    provider: Token
    model: str
    producer: Token
    facet: str = ""
    probe: bool = False
    trace: str = ""
    """Id of the trace in which it was found, 32 hex digits; see `shared.traces`."""
    at: str = ""


class Settled(Message, kw_only=True, frozen=True):
    """`attributes.settled.<run>.<ordinal>`, orchestrator to gateway and recorder: a model settled a possible duplicate."""

    run: Token
    ordinal: Annotated[int, Meta(ge=1)]
    text: str
    of: Annotated[int, Meta(ge=1)]
    of_text: str
    same: bool
    """Whether both are one and the same; both stay on the list."""
    task: Token
    provider: Token
    model: str
    at: str = ""


class Issued(Message, kw_only=True, frozen=True):
    """`attributes.issued.<run>.<task>`, by the orchestrator before the task is in the queue: a call that may be made and paid.

    What is issued and not spent is outstanding, and its worst case is reserved: a restart forgets neither.
    """

    run: Token
    task: Task
    """Without its avoid list, which only the producer needs."""
    at: str = ""


class Spent(Message, kw_only=True, frozen=True):
    """`attributes.spent.<run>.<task>`, by the orchestrator: an issued task is done with, and what it cost.

    What the task asked for is as it was issued; the rest is as its producer reported it, once it was checked.
    """

    run: Token
    task: Token
    outcome: Literal["ok", "failed", "cancelled", "lost", "returned"]
    """Lost: begun and never reported, so its worst case is counted. Returned: not made, and counted as no call."""
    provider: Token
    model: str
    producer: str = ""
    kind: Kind = "list"
    facet: str = ""
    probe: bool = False
    asked: Count = 0
    report: Count = 0
    """Sequence in the provider's stream of reports; 0 when nobody reported it."""
    cost: int | None = 0
    """Picodollars; None when the model has no price."""
    tokens: Count = 0
    """Input and output, as far as the budget counts them."""
    input_tokens: Count = 0
    cached_tokens: Count = 0
    output_tokens: Count = 0
    reasoning_tokens: Count = 0
    seconds: float = 0
    error: str = ""
    error_kind: str = ""
    gives_up: bool = False
    facets: list[str] = []
    on_topic: list[int] = []
    off_topic: list[int] = []
    at: str = ""


class Usage(Message, kw_only=True, frozen=True):
    """`usage.<run>.<provider>`, producer to orchestrator: one finished model call, written before its task is acked.

    What OpenTelemetry's conventions for generative AI have a name for is called so on the wire
    (https://opentelemetry.io/docs/specs/semconv/gen-ai/).
    """

    run: Token
    task: Token
    operation: str = field(default="chat", name="gen_ai.operation.name")
    provider: Token = field(name="gen_ai.provider.name")
    model: ModelName = field(name="gen_ai.request.model")
    response_model: ModelName = field(default="", name="gen_ai.response.model")
    producer: Token
    outcome: Literal["ok", "failed", "cancelled"]
    error: Line = ""
    """In words, when the call failed or was cut off."""
    error_kind: Word = field(default="", name="error.type")
    """rate_limit, quota, auth, invalid_request, server, timeout, connection, malformed, internal, or lost: another began the
    call and fell silent, so nobody knows what it cost."""
    gives_up: bool = False
    """The provider cannot be asked again in this run: a daily quota, a refused key, a model that is not there."""
    attempts: Annotated[int, Meta(ge=0, le=1000)] = 1
    """Requests made, retries included."""
    candidates: TokenCount = 0
    """Published of this call."""
    last_candidate: Count = 0
    """Of earlier versions; nobody reads it."""
    rejected: Annotated[dict[Word, TokenCount], Meta(max_length=32)] = {}
    """Lines of the answer that were no attributes, by kind: chatter, too_long, repeated, …"""
    judgements: Annotated[list[Judgement], Meta(max_length=500)] = []
    """The answer to an adjudicate task, as far as it came."""
    kind: Kind = "list"
    """What the task asked for; with the next four, what a replay must know of a task that is done."""
    facet: Annotated[str, Meta(max_length=200)] = ""
    probe: bool = False
    tail: bool = False
    asked: TokenCount = 0
    """Attributes asked for."""
    prompt: Annotated[str, Meta(max_length=64)] = ""
    """Hash of the prompt's files."""
    facets: Annotated[list[Annotated[str, Meta(max_length=200)]], Meta(max_length=500)] = []
    """The answer to a facets task."""
    on_topic: Annotated[list[Count], Meta(max_length=500)] = []
    """Of the sample of a judge task, the ordinals of what belongs to the topic."""
    off_topic: Annotated[list[Count], Meta(max_length=500)] = []
    input_tokens: TokenCount = field(default=0, name="gen_ai.usage.input_tokens")
    cached_tokens: TokenCount = field(default=0, name="gen_ai.usage.cache_read.input_tokens")
    """Of the input, read from the vendor's prompt cache."""
    cache_write_tokens: TokenCount = field(default=0, name="gen_ai.usage.cache_creation.input_tokens")
    """Of the input, written to the vendor's prompt cache."""
    output_tokens: TokenCount = field(default=0, name="gen_ai.usage.output_tokens")
    reasoning_tokens: TokenCount = field(default=0, name="gen_ai.usage.reasoning.output_tokens")
    """Of the output, thoughts."""
    estimated: bool = False
    """The vendor reported no tokens, as when a call breaks off; the counts are then an upper bound of our own."""
    seconds: Seconds = field(default=0, name="gen_ai.client.operation.duration")
    first_seconds: Seconds = field(default=0, name="gen_ai.client.operation.time_to_first_chunk")
    """Until the first piece of the answer."""
    at: Word = ""


class ProviderCounts(Message, kw_only=True, frozen=True):
    """What one provider, or one model of a provider, did in a run."""

    calls: Count = 0
    failed: Count = 0
    candidates: Count = 0
    accepted: Count = 0
    duplicates: Count = 0
    input_tokens: Count = 0
    output_tokens: Count = 0
    cached_tokens: Count = 0
    reasoning_tokens: Count = 0
    usd: float | None = 0.0
    """Dollars spent; None when a model without a price was called, since unknown is not 0."""
    seconds: float = 0
    """Time of all its calls together; divided by `calls` it is the mean latency."""
    errors: dict[str, int] = {}
    """Failed calls by kind."""
    last_error: str = ""
    left: str = ""
    """Why it left the run, in words; empty while it takes part."""


class FacetCounts(Message, kw_only=True, frozen=True):
    """What was found when one facet was asked for."""

    calls: Count = 0
    accepted: Count = 0
    duplicates: Count = 0
    new_share: float | None = None
    """Of what its last calls were asked for, the part that came and was new."""
    closed: str = ""
    """Why it is not asked for any more, in words; empty while it is."""


class Finished(Message, kw_only=True, frozen=True):
    """`attributes.finished.<run>`, last entry of a run in the log (RESULTS), by the orchestrator."""

    run: Token
    status: Status
    reason: str
    accepted: Count
    duplicates: Count
    late: Count = 0
    """Candidates that arrived when the run had already reached its limit."""
    seconds: float = 0
    providers: dict[str, ProviderCounts] = {}
    models: dict[str, ProviderCounts] = {}
    """The same by `<provider>/<model>`."""
    calls: Count = 0
    tokens: Count = 0
    usd: float | None = 0.0
    """Dollars spent; None when a part of it is unknown."""
    coverage: float | None = None
    """Share of what these models would say that the list has, weighted by how often they say it; None until probes tell."""
    coverage_low: float | None = None
    """With 95 % confidence, coverage is between this and `coverage_high`."""
    coverage_high: float | None = None
    new_share: float | None = None
    """Of what the last calls were asked for, the part that came and was new."""
    marginal_usd: float | None = None
    """Dollars that the next new attribute would cost; None when unknown."""
    marginal_seconds: float | None = None
    """Seconds of a model's time that it would take."""
    on_topic: float | None = None
    """Share of the attributes that belong to the topic, as a model judged a sample of them; None until it did."""
    on_topic_low: float | None = None
    on_topic_high: float | None = None
    judged: Count = 0
    """Attributes in that sample."""
    facets: dict[str, FacetCounts] = {}
    digest: str = ""
    at: str = ""


class RunState(Message, kw_only=True, frozen=True):
    """Key-value bucket RUNS, key `<run>`, written by the orchestrator: where a run stands."""

    run: Token
    spec: RunSpec
    status: Status
    reason: str = ""
    """Why it ended, or what it waits for."""
    accepted: Count = 0
    duplicates: Count = 0
    calls: Count = 0
    """Model calls finished."""
    seconds: float = 0
    """Time spent running, pauses left out."""
    created: str = ""
    ended: str = ""
    providers: dict[str, ProviderCounts] = {}
    models: dict[str, ProviderCounts] = {}
    """The same by `<provider>/<model>`."""
    tokens: Count = 0
    usd: float | None = 0.0
    """Dollars spent; None when a part of it is unknown."""
    reserved_usd: float = 0.0
    """Dollars set aside for calls under way."""
    ends_as: Word = ""
    """The status that a run which is stopping will have: who takes it over in between ends it so."""
    waited: float = 0
    """Seconds that it has been waiting for a provider that nobody offers."""
    coverage: float | None = None
    """Share of what these models would say that the list has, weighted by how often they say it; None until probes tell."""
    coverage_low: float | None = None
    """With 95 % confidence, coverage is between this and `coverage_high`."""
    coverage_high: float | None = None
    new_share: float | None = None
    """Of what the last calls were asked for, the part that came and was new."""
    marginal_usd: float | None = None
    """Dollars that the next new attribute would cost; None when unknown."""
    marginal_seconds: float | None = None
    """Seconds of a model's time that it would take."""
    on_topic: float | None = None
    """Share of the attributes that belong to the topic, as a model judged a sample of them; None until it did."""
    on_topic_low: float | None = None
    on_topic_high: float | None = None
    judged: Count = 0
    """Attributes in that sample."""
    facets: dict[str, FacetCounts] = {}


class Snapshot(Message, kw_only=True, frozen=True):
    """`telemetry.run.<run>`, orchestrator to gateway, twice a second while the run is active."""

    state: RunState
    outstanding: Count = 0
    """Tasks handed out and not yet finished."""
    per_minute: float = 0
    """Attributes accepted in the last 60 seconds, or in the run's age scaled to a minute if it is younger."""
    producers: Count = 0
    """Live producers of the run's providers."""
    at: str = ""


class Presence(Message, kw_only=True, frozen=True):
    """`telemetry.producer.<provider>.<producer>`, producer to orchestrator, gateway, launcher: each second and on change."""

    producer: Token
    provider: Token
    models: Annotated[list[ModelName], Meta(max_length=64)] = []
    slots: Annotated[int, Meta(ge=0, le=1000)] = 1
    """Model calls it can make at once now; 0 while it is paused."""
    busy: Annotated[int, Meta(ge=0, le=1000)] = 0
    run: Annotated[str, Meta(max_length=64)] = ""
    """The run it works on, if any."""
    task: Annotated[str, Meta(max_length=64)] = ""
    """The task it works on, if any; of several the one that it has longest. The next three are of this one."""
    kind: Word = ""
    """What the task asks for: a `Kind`."""
    facet: Annotated[str, Meta(max_length=200)] = ""
    task_seconds: Seconds = 0
    """How long it has been at the task."""
    state: Literal["idle", "working", "paused", "leaving"] = "idle"
    error: Line = ""
    key: Annotated[str, Meta(max_length=64)] = ""
    """Fingerprint of its API key: producers with the same one share its rate limits."""
    paused_seconds: Seconds = 0
    """How long it still waits for a rate limit."""
    at: Word = ""


class Pause(Message, kw_only=True, frozen=True):
    """`control.pause.<provider>`, producer to all producers of that provider: a key's rate limit is reached."""

    provider: Token
    key: Annotated[str, Meta(max_length=64)]
    """Fingerprint of the API key; producers with another one go on."""
    seconds: Annotated[float, Meta(ge=0, le=3600)]
    reason: Line = ""
    producer: Token
    at: Word = ""


class ForecastRun(Message, kw_only=True, frozen=True):
    """`control.ask.forecast`, request by the gateway, answered by the orchestrator with a Forecast or a Refusal."""

    spec: RunSpec


class Forecast(Message, kw_only=True, frozen=True):
    """What a run would take, estimated before it starts."""

    calls: Count | None
    """None: no limit of the run bounds them."""
    input_tokens: Count
    """Of all calls, or of one call when `calls` is None; so are the next two."""
    output_tokens: Count
    usd: float | None
    """None when a model has no price."""
    most_usd: float | None
    """If every call cost its worst case."""
    unpriced: list[str] = []
    """Models without a price, as `<provider>/<model>`."""
    limited_by: str = ""
    """The limit that is reached first; empty when there is none."""


class Epoch(Message, kw_only=True, frozen=True):
    """`attributes.epoch.<n>`: the n-th orchestrator took over; batches of older ones are refused by the server."""

    epoch: Count
    orchestrator: Token
    at: str = ""


def candidate_id(task: str, text: str) -> str:
    """The id of a candidate: a hash of its task and its text, so that a repeated task repeats its ids."""
    return subjects.key_token(f"{task}\n{text}")


def next_digest(previous: str, text: str) -> str:
    """The running digest after one more accepted text; the digest of the empty list is the empty string."""
    return hashlib.sha256(f"{previous}\n{text}".encode("utf-8", "surrogatepass")).hexdigest()


def claim_id(task: str) -> str:
    """The id under which a task's call is claimed (see `Begun`)."""
    return f"{task}-begun"
