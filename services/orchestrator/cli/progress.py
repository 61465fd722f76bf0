"""Shows a run while it goes on: a live panel on a terminal, plain lines elsewhere. Always on standard error."""

from collections import deque
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from shared.messages import Accepted, RunState, Snapshot
from shared.terminal import printable

LATEST = 8
"""Attributes shown as they come."""

PLAIN_SECONDS = 2.0
"""Between two plain lines."""


IN_WORDS = {"waiting": "waits for a provider", "paused": "paused", "stopping": "ending"}
"""Of a run's status, where it does not just go on."""


class Progress(Protocol):
    """What shows a run."""

    def accepted(self, attribute: Accepted) -> None:
        """A new attribute is on the list."""

    def snapshot(self, snapshot: Snapshot) -> None:
        """The run stands like this."""

    def close(self) -> None:
        """The run is over."""


def choose(topic: str) -> Progress:
    """The live panel if standard error is a terminal, else plain lines."""
    console = Console(stderr=True)
    return LivePanel(console, topic) if console.is_terminal else PlainLines(console)


class PlainLines:
    """One line now and then, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown_at = -PLAIN_SECONDS
        self._shown_standing = ""

    def accepted(self, attribute: Accepted) -> None:
        if attribute.ordinal == 1:
            self._print(f"first attribute: {attribute.text}")

    def snapshot(self, snapshot: Snapshot) -> None:
        state = snapshot.state
        if (now := standing(state)) != self._shown_standing:
            self._shown_standing = now
            if now:
                self._print(now)
        if state.seconds - self._shown_at >= PLAIN_SECONDS:
            self._shown_at = state.seconds
            self._print(f"{state.seconds:6.1f} s  {counts(state)}  {snapshot.per_minute:.0f} a minute")

    def close(self) -> None:
        pass

    def _print(self, line: str) -> None:
        self._console.print(printable(line), markup=False, highlight=False, soft_wrap=True)


class LivePanel:
    """Counters, a table of the providers, and the latest attributes."""

    def __init__(self, console: Console, topic: str) -> None:
        self._topic = topic
        self._latest: deque[str] = deque(maxlen=LATEST)
        self._snapshot: Snapshot | None = None
        self._live = Live(self._render(), console=console, refresh_per_second=8, transient=True)
        self._live.start()

    def accepted(self, attribute: Accepted) -> None:
        self._latest.append(f"{attribute.ordinal:>6}  {printable(attribute.text)}")
        self._live.update(self._render())

    def snapshot(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._live.update(self._render())

    def close(self) -> None:
        self._live.stop()

    def _render(self) -> RenderableType:
        # Text, never markup: topics and attributes come from people and models, and brackets are theirs to use.
        parts: list[RenderableType] = [Text(printable(self._topic), style="bold")]
        if self._snapshot is not None:
            state = self._snapshot.state
            parts.append(Text(f"{state.seconds:.0f} s   {counts(state)}   {self._snapshot.per_minute:.0f} a minute"))
            if now := standing(state):
                parts.append(Text(printable(now), style="yellow"))
            parts.append(_providers(state))
        parts += [Text(line, no_wrap=True, overflow="ellipsis") for line in self._latest]
        parts.append(Text("Ctrl-C ends the run; the files stay complete", style="dim"))
        return Group(*parts)


def standing(state: RunState) -> str:
    """What keeps a run from going on, and why; empty for one that goes on and has nothing to say."""
    return ": ".join(part for part in (IN_WORDS.get(state.status, ""), state.reason) if part)


def counts(state: RunState) -> str:
    """The numbers of a run in words."""
    money = "cost unknown" if state.usd is None else f"${state.usd:.4f}"
    coverage = "" if state.coverage is None else f"  about {state.coverage:.0%} covered"
    return f"{state.accepted} unique  {state.duplicates} duplicates  {state.calls} calls  {money}{coverage}"


def _providers(state: RunState) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in ("provider", "calls", "failed", "unique", "duplicates"):
        table.add_column(title, justify="left" if title == "provider" else "right")
    for name, c in state.providers.items():
        table.add_row(Text(printable(name)), str(c.calls), str(c.failed), str(c.accepted), str(c.duplicates))
    return table
