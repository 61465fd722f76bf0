"""What the traces tell of one run: that it began and ended, and each of its tasks. The names are those of `shared.traces`."""

from shared import traces
from shared.messages import RunSpec, RunState, Spent, Task
from shared.traces import Span


class RunSpans:
    """The span of a run and those of its tasks that are out. Tasks of an earlier orchestrator have none here."""

    def __init__(self, run: str, spec: RunSpec, asked_by: str, *, recovered: bool = False) -> None:
        """`asked_by` is the traceparent of the request, or of the run's first entry when it is `recovered` from the log."""
        began: dict[str, traces.Value] = {
            "chorus.run": run,
            "chorus.topic": spec.topic,
            "chorus.providers": tuple(spec.providers),
            "chorus.producers": spec.producers,
            "chorus.iterations": spec.iterations,
            "chorus.max_items": spec.max_items,
            "chorus.recovered": recovered,
        }
        self._run = run
        self._span = traces.begin(traces.RUN, began, parent=asked_by)
        self._span.event(traces.RUN_STARTED, began)
        self._tasks: dict[str, Span] = {}
        traces.mark(traces.RUN_STARTED, began, parent=self.context)

    @property
    def context(self) -> str:
        """The traceparent of the run."""
        return self._span.context

    def task(self, task: Task) -> str:
        """Begin the span of a task that is to be published; returns its traceparent. A second attempt has the first's."""
        if task.id not in self._tasks:
            about = {
                "chorus.run": task.run,
                "chorus.task": task.id,
                "chorus.task.kind": task.kind,
                "chorus.provider": task.provider,
            }
            self._tasks[task.id] = traces.begin(traces.TASK, about, parent=self.context, kind="producer")
        return self._tasks[task.id].context

    def done(self, spent: Spent, candidates: int) -> None:
        """End the span of a task that is done with, of which so many candidates were taken."""
        if span := self._tasks.pop(spent.task, None):
            failure = (spent.error_kind or "failed") if spent.outcome in ("failed", "lost") else ""
            span.end({"chorus.outcome": spent.outcome, "chorus.candidates": candidates}, error=failure)

    def finished(self, state: RunState) -> None:
        """End the run's span, and those of tasks that were never published."""
        for task in list(self._tasks):
            self._tasks.pop(task).end({"chorus.outcome": "returned"})
        ended: dict[str, traces.Value] = {
            "chorus.run": self._run,
            "chorus.status": state.status,
            "chorus.reason": state.reason,
            "chorus.accepted": state.accepted,
            "chorus.duplicates": state.duplicates,
            "chorus.calls": state.calls,
        }
        traces.mark(traces.RUN_FINISHED, ended, parent=self.context)
        self._span.event(traces.RUN_FINISHED, ended)
        self._span.end(ended, error="failed" if state.status == "failed" else "")
