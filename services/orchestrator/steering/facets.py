"""The parts of a topic that are asked for one at a time: given by the user, asked of models, split when one runs dry.

A model that is asked for parts of the topic would say what all the others are asked. So its parts are for itself, until another
one names them too; before, others are asked for them in a small share of their calls.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from services.orchestrator.steering.yields import Yields
from shared.messages import MAX_FACET, MAX_FACETS
from shared.outside_text import flaw

WHOLE = ""
"""The facet that is the whole topic: it is always among those that are asked for, since facets may leave something out."""

WANTED = 12
"""Facets that a model is asked for at the start."""

PARTS_OF_ONE = 4
"""Facets that take the place of one that is split."""

MOST_ASKED = 3
"""Attempts to have the first question for facets answered, by one model and then by another; then the run does without."""

MOST_ASKED_OF_PART = 2
"""The same for the parts of a facet."""

FOLLOWED = 0.2
"""Share of a route's calls that may keep to facets which one other route alone has named."""

MOST_FACETS = MAX_FACETS
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
    by: set[str] = field(default_factory=set)
    """The routes that named it; none when the user did."""

    def is_for(self, route: str) -> bool:
        """Whether a route may be asked for it at any time: the user named it, or two routes did, or itself."""
        return len(self.by) != 1 or route in self.by


@dataclass(frozen=True, slots=True)
class Question:
    """A question for the parts of a facet."""

    of: str
    route: str
    """Whom to ask."""
    known: list[str]
    """What not to name again."""
    first: bool = True
    """Whether nobody has answered it yet; else it is another route's word that is wanted."""


@dataclass(slots=True)
class Facets:
    """The facets of one run."""

    asks: bool
    """Whether a model is asked for them; otherwise they are those given."""
    of: dict[str, Facet] = field(default_factory=lambda: {WHOLE: Facet()})
    _attempts: dict[str, int] = field(default_factory=dict)
    _answered: dict[str, set[str]] = field(default_factory=dict)
    """By facet, the routes that named parts of it."""

    def give(self, names: Iterable[str]) -> None:
        """Take facets as the user names them."""
        for name in names:
            self.of.setdefault(name, Facet())

    def open(self) -> list[str]:
        """What may be asked for of somebody, the whole topic included."""
        return [name for name, facet in self.of.items() if not facet.parts]

    def open_to(self, route: str) -> list[str]:
        """What this route may be asked for at any time. What was split for others alone is still whole for it."""
        return [name for name, facet in self.of.items() if facet.is_for(route) and not self._is_split_for(facet, route)]

    def strange_to(self, route: str) -> list[str]:
        """What one other route alone has named."""
        return [name for name, facet in self.of.items() if not facet.is_for(route) and not facet.parts]

    def _is_split_for(self, facet: Facet, route: str) -> bool:
        return sum(self.of[part].is_for(route) for part in facet.parts) > 1

    def called(self, name: str, new: int, old: int) -> None:
        """Take in a finished call; one in a facet that is none here tells nothing."""
        if facet := self.of.get(name):
            facet.calls += 1
            facet.accepted += new
            facet.duplicates += old

    # ---- asking models ---------------------------------------------------------------------------------------------

    def question(self, yields: Yields, routes: Sequence[str] = ("",)) -> Question | None:
        """What one of these routes should be asked for now, if anything.

        The parts of the whole topic at the start, then again of another route, then those of a facet that runs dry.
        """
        if not self.asks or not routes:
            return None
        room = len(self.of) <= MOST_FACETS
        if room and self._may_ask(WHOLE):
            return self._first(WHOLE, routes)
        for of, by in self._answered.items():
            other = next((route for route in routes if route and route not in by), None)
            if other and len(by) == 1 and "" not in by and self._may_ask_another(of) and self._is_doubtful(of):
                return Question(
                    of, other, [name for name, facet in self.of.items() if name and len(facet.by) != 1], first=False
                )
        dry = (name for name in self.open() if name and room and self._may_ask(name) and self._runs_dry(name, yields))
        return next((self._first(name, routes) for name in dry), None)

    def _first(self, of: str, routes: Sequence[str]) -> Question:
        return Question(of, routes[0], [name for name in self.of if name])

    def asked(self, of: str) -> None:
        """Note that a model is asked for the parts of a facet."""
        self._attempts[of] = self._attempts.get(of, 0) + 1

    def answered(self, of: str, names: Sequence[str], route: str = "") -> None:
        """Take in the parts that a route named; none means that the question failed. Without a route, they are believed.

        Left out is what may not stand in a prompt, and every answer about a facet that is none.
        """
        named: dict[frozenset[str], str] = {}
        for name in names[:MAX_FACETS]:
            if not flaw(name, MAX_FACET):
                named.setdefault(_words(name), name)
        if not named or of not in self.of:
            return
        known = {_words(name): facet for name, facet in self.of.items() if name}
        for words, facet in known.items():
            if route and facet.by and any(words <= others for others in named):
                facet.by.add(route)
        fresh = [(words, name) for words, name in named.items() if words not in known]
        fresh = fresh[: min(PARTS_OF_ONE if of else WANTED, MOST_FACETS + 1 - len(self.of))]
        if of not in self._answered and len(fresh) < 2:  # one part is no division
            return
        self._answered.setdefault(of, set()).add(route)
        for words, name in fresh:
            by = {other for others, facet in known.items() if words <= others for other in facet.by}
            self.of[name] = Facet(by={route} | by if route else set())
        if of:
            self.of[of].parts += tuple(name for _, name in fresh)

    def _may_ask(self, of: str) -> bool:
        return of not in self._answered and self._attempts.get(of, 0) < (MOST_ASKED if of == WHOLE else 1)

    def _may_ask_another(self, of: str) -> bool:
        return self._attempts.get(of, 0) < (MOST_ASKED if of == WHOLE else MOST_ASKED_OF_PART)

    def _is_doubtful(self, of: str) -> bool:
        return any(len(self.of[part].by) == 1 for part in (self.of[of].parts if of else self.of))

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


_FILLERS = frozenset(("a", "an", "and", "the", "of", "in", "for", "on", "other"))
"""Words that tell no facet from another."""


@lru_cache(maxsize=256)
def _words(name: str) -> frozenset[str]:
    """What makes out a facet, in whatever order and number: a facet is named by all who name one that has its words."""
    words = re.findall(r"\w+", unicodedata.normalize("NFKC", name).casefold())
    return frozenset(map(_singular, (w for w in words if w not in _FILLERS))) or frozenset((name,))


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y"
    return word.removesuffix("s") if len(word) > 3 else word
