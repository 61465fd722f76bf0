"""The parts of a topic that are asked for one at a time: given by the user, asked of a model, split when one runs dry."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from services.orchestrator.steering.yields import Yields

WHOLE = ""
"""The facet that is the whole topic: it is always among those that are asked for, since facets may leave something out."""

WANTED = 12
"""Facets that a model is asked for at the start."""

PARTS_OF_ONE = 4
"""Facets that take the place of one that is split."""

MOST_ASKED = 3
"""Attempts to have the first question for facets answered; then the run does without. A split is worth one."""

MOST_FACETS = 24
"""Facets of a run, those that were split included."""

DRY = 0.25
"""New attributes for each one asked for, below which a facet is split, if it holds more than a prompt can name."""

ENOUGH = 80
"""Attributes found in a facet that make it worth splitting: with fewer, the avoid list names nearly all of them."""

CLOSED = 0.05
"""New attributes for each one asked for, below which a facet counts as exhausted."""

FEWEST_CALLS = 2
"""Calls in a facet before anything is said of it."""


@dataclass(slots=True)
class Facet:
    """What was found when one facet was asked for."""

    calls: int = 0
    accepted: int = 0
    duplicates: int = 0
    parts: tuple[str, ...] = ()
    """The facets that it was split into."""


@dataclass(slots=True)
class Facets:
    """The facets of one run."""

    asks: bool
    """Whether a model is asked for them; otherwise they are those given."""
    of: dict[str, Facet] = field(default_factory=lambda: {WHOLE: Facet()})
    _attempts: dict[str, int] = field(default_factory=dict)
    _answered: set[str] = field(default_factory=set)

    def give(self, names: Iterable[str]) -> None:
        """Take facets as the user names them."""
        for name in names:
            self.of.setdefault(name, Facet())

    def open(self) -> list[str]:
        """What may be asked for, the whole topic included."""
        return [name for name, facet in self.of.items() if not facet.parts]

    def called(self, name: str, new: int, old: int) -> None:
        """Take in a finished call."""
        facet = self.of.setdefault(name, Facet())
        facet.calls += 1
        facet.accepted += new
        facet.duplicates += old

    # ---- asking a model --------------------------------------------------------------------------------------------

    def question(self, yields: Yields) -> str | None:
        """The facet whose parts a model should be asked for now: the whole topic at the start, then one that runs dry."""
        if not self.asks or len(self.of) > MOST_FACETS:
            return None
        if self._may_ask(WHOLE):
            return WHOLE
        return next((name for name in self.open() if name and self._may_ask(name) and self._runs_dry(name, yields)), None)

    def asked(self, of: str) -> None:
        """Note that a model is asked for the parts of a facet."""
        self._attempts[of] = self._attempts.get(of, 0) + 1

    def answered(self, of: str, names: Sequence[str]) -> None:
        """Take in the parts that a model named; none means that the question failed."""
        known = {name.casefold() for name in self.of}
        fresh = [name for name in dict.fromkeys(names) if name.casefold() not in known]
        fresh = fresh[: min(PARTS_OF_ONE if of else WANTED, MOST_FACETS + 1 - len(self.of))]
        if len(fresh) < 2:  # one part is no division
            return
        self._answered.add(of)
        if of:
            self.of[of].parts = tuple(fresh)
        self.give(fresh)

    def _may_ask(self, of: str) -> bool:
        most = MOST_ASKED if of == WHOLE else 1
        return of not in self._answered and self._attempts.get(of, 0) < most

    def _runs_dry(self, name: str, yields: Yields) -> bool:
        facet = self.of[name]
        return facet.calls >= FEWEST_CALLS and facet.accepted >= ENOUGH and yields.of_facet(name) < DRY

    # ---- what others see -------------------------------------------------------------------------------------------

    def closed(self, name: str, yields: Yields) -> str:
        """Why a facet is not asked for any more, in words; empty while it is."""
        facet = self.of[name]
        if facet.parts:
            return f"split into {', '.join(facet.parts)}"
        if facet.calls < FEWEST_CALLS or yields.of_facet(name) >= CLOSED:
            return ""
        return "its calls bring nothing" if facet.accepted + facet.duplicates == 0 else "nearly nothing new in its last calls"
