"""When a run has found what there is to find, what it would cost to go on, and both in words."""

from collections import Counter, deque
from collections.abc import Collection
from dataclasses import dataclass, field

WINDOW = 10
"""Calls that the present share of new attributes is taken over."""

BARREN = 10
"""Calls in a row without anything new, after which the list counts as exhausted."""

BARREN_OF_ROUTE = 2
"""Of these, how many each route must have made: another model may still know more."""

BARREN_AT_MOST = 14
"""Calls in a row without anything new, after which the list counts as exhausted whatever routes made them."""


@dataclass(frozen=True, slots=True)
class Brought:
    """What one call brought."""

    route: str
    asked: int
    new: int
    usd: float | None
    seconds: float


@dataclass(slots=True)
class Saturation:
    """The last calls of a run."""

    recent: deque[Brought] = field(default_factory=lambda: deque(maxlen=WINDOW))
    barren: Counter[str] = field(default_factory=Counter)
    """Calls since the last one that brought something new, by route."""

    def called(self, brought: Brought) -> None:
        """Take in a finished call."""
        self.recent.append(brought)
        if brought.new:
            self.barren.clear()
        else:
            self.barren[brought.route] += 1

    @property
    def new_share(self) -> float | None:
        """Of what the last calls brought, the part that was new; None before any brought something."""
        asked = sum(b.asked for b in self.recent)
        return sum(b.new for b in self.recent) / asked if asked else None

    @property
    def usd_per_new(self) -> float | None:
        """Dollars that the last calls took for each new attribute: what the next one would cost. None when unknown."""
        new = sum(b.new for b in self.recent)
        if not new or any(b.usd is None for b in self.recent):
            return None
        return sum(b.usd or 0.0 for b in self.recent) / new

    @property
    def seconds_per_new(self) -> float | None:
        """The same in seconds of a model's time."""
        new = sum(b.new for b in self.recent)
        return sum(b.seconds for b in self.recent) / new if new else None

    def exhausted(self, routes: Collection[str]) -> str:
        """Why these routes have nothing more to give, in words; empty while they may."""
        total = sum(self.barren.values())
        if total < BARREN or (total < BARREN_AT_MOST and any(self.barren[route] < BARREN_OF_ROUTE for route in routes)):
            return ""
        return f"the last {total} calls brought nothing new: these models have nothing more to say"

    def below(self, least: float) -> str:
        """In words, that less than this share of what the last calls brought is new; empty while it is more."""
        share = self.new_share
        if len(self.recent) < WINDOW or share is None or share >= least:
            return ""
        new, asked = sum(b.new for b in self.recent), sum(b.asked for b in self.recent)
        return f"the last {len(self.recent)} calls asked for {asked} attributes and brought {new} new ones{self._price()}"

    def _price(self) -> str:
        if (usd := self.usd_per_new) is not None and usd > 0:
            return f"; the next one would cost about ${usd:.2g}"
        if (seconds := self.seconds_per_new) is not None and seconds >= 1:
            return f"; the next one would take about {seconds:.0f} seconds of a model"
        return ""
