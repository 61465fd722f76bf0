"""What the traces say of a run: pure functions over the spans that the tester collected."""

from collections import Counter
from collections.abc import Callable, Sequence

from services.tester.collector import Collector, Span
from services.tester.evidence import Evidence
from services.tester.invariants import Broken
from shared import traces


def budget_told(spans: Sequence[Span], iterations: int | None) -> list[Broken]:
    """The run was started with this many model calls a producer, and told so once."""
    starts = [s for s in spans if s.name == traces.RUN_STARTED and not s.attributes.get("chorus.recovered")]
    if len(starts) != 1:
        return [Broken("traces", f"the run was started {len(starts)} times")]
    if (told := starts[0].attributes.get("chorus.iterations")) != iterations:
        return [Broken("traces", f"the run was started with {told} iterations instead of {iterations}")]
    return []


def completed(spans: Sequence[Span], evidence: Evidence) -> list[Broken]:
    """The run's end was told, as the log has it."""
    ends = [s.attributes for s in spans if s.name == traces.RUN_FINISHED]
    if not ends or evidence.finished is None:
        return [Broken("traces", "no span tells that the run is finished")]
    told = (ends[-1].get("chorus.status"), ends[-1].get("chorus.accepted"))
    if told != (evidence.finished.status, evidence.finished.accepted):
        return [Broken("traces", f"the run was told to end as {told}, the log has it otherwise")]
    return []


def one_trace(spans: Sequence[Span]) -> list[Broken]:
    """From the request to the browser, everything of a run is one trace."""
    found = {s.trace for s in spans}
    return [Broken("traces", f"the run's spans are spread over {len(found)} traces")] if len(found) > 1 else []


def all_services(spans: Sequence[Span], producers: int) -> list[Broken]:
    """Orchestrator, recorder, gateway and so many producers sent spans of the run."""
    services = {s.service for s in spans}
    missing = [name for name in ("orchestrator", "recorder", "gateway") if name not in services]
    found = [Broken("traces", f"no span of the run came from {name}") for name in missing]
    working = {s.instance for s in spans if s.name.startswith(f"{traces.CHAT} ")}
    if len(working) < producers:
        found.append(Broken("traces", f"{len(working)} producers made calls for the run; {producers} should"))
    return found


def started_once(everything: Sequence[Span], spans: Sequence[Span], producers: int) -> list[Broken]:
    """Each producer was started once, and each task of the run was given to one producer once."""
    starts = Counter(s.instance for s in everything if s.name == traces.SERVICE_STARTED and s.service.startswith("producer"))
    found = []
    if len(starts) != producers or max(starts.values(), default=0) > 1:
        found.append(Broken("traces", f"{producers} producers should have started once each; the starts are {dict(starts)}"))
    calls = Counter(str(s.attributes.get("chorus.task")) for s in spans if s.name.startswith(f"{traces.CHAT} "))
    if again := [task for task, number in calls.items() if number > 1]:
        found.append(Broken("traces", f"{len(again)} tasks were given out more than once: {again[:3]}"))
    return found


def nothing_failed(spans: Sequence[Span]) -> list[Broken]:
    """No span of the run ended with an error."""
    failed = [f"{s.service}: {s.name} ({s.attributes.get('error.type')})" for s in spans if s.failed]
    return [Broken("traces", f"{len(failed)} spans failed: {failed[:3]}")] if failed else []


def ended(collector: Collector, run: str) -> Callable[[], bool]:
    """Whether the spans that a run ends with have arrived: they come a second later than what they tell of."""
    wanted = {("orchestrator", traces.RUN_FINISHED), ("orchestrator", traces.RUN), ("recorder", traces.RECORD)}

    def arrived() -> bool:
        return wanted <= {(s.service, s.name) for s in collector.spans(run=run)}

    return arrived
