"""A budget that holds: the worst case is reserved before a call, the real cost committed after it, or the rest released."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Cost:
    """What a call costs or may cost at most."""

    usd: int = 0
    """Picodollars."""
    tokens: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.usd + other.usd, self.tokens + other.tokens)

    def __sub__(self, other: "Cost") -> "Cost":
        return Cost(self.usd - other.usd, self.tokens - other.tokens)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run may use; None is no limit."""

    usd: int | None = None
    """Picodollars."""
    tokens: int | None = None
    calls: int | None = None


@dataclass(slots=True)
class Budget:
    """Counts one run's spending. What is spent and reserved together never passes a limit, so no race can overshoot it."""

    limits: Limits
    spent: Cost = Cost()
    calls: int = 0
    """Calls begun, which is what `limits.calls` bounds."""
    _held: dict[str, Cost] = field(default_factory=dict)
    _reserved: Cost = Cost()

    @property
    def reserved(self) -> Cost:
        """What calls under way may cost at most."""
        return self._reserved

    @property
    def waiting(self) -> bool:
        """Whether a call under way may yet give something back."""
        return bool(self._held)

    def short_of(self, worst: Cost) -> str:
        """The limit that a call of this worst case would pass: "usd", "tokens", "calls", or "" if it may be made.

        A call that costs no dollars may be made when the dollars are spent.
        """
        limits, total = self.limits, self.spent + self._reserved + worst
        if limits.calls is not None and self.calls >= limits.calls:
            return "calls"
        if limits.tokens is not None and total.tokens > limits.tokens:
            return "tokens"
        if limits.usd is not None and worst.usd and total.usd > limits.usd:
            return "usd"
        return ""

    def reserve(self, task: str, worst: Cost) -> bool:
        """Set aside what a call may cost at most; False, and nothing is set aside, when a limit does not allow it."""
        if task in self._held or self.short_of(worst):
            return False
        self.hold(task, worst)
        return True

    def hold(self, task: str, worst: Cost) -> None:
        """Take over a reservation made before a restart, whose call is under way whatever the limits say.

        Does nothing for a task that has one.
        """
        if task in self._held:
            return
        self._held[task] = worst
        self._reserved += worst
        self.calls += 1

    def commit(self, task: str, real: Cost) -> None:
        """Count what a call really cost and free the rest of its reservation."""
        self._drop(task)
        self.spent += real

    def release(self, task: str) -> None:
        """Free the reservation of a call that was not made, which then does not count as a call either."""
        if self._drop(task):
            self.calls -= 1

    def _drop(self, task: str) -> bool:
        held = self._held.pop(task, None)
        if held is None:
            return False
        self._reserved -= held
        return True
