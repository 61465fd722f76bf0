"""Pairs that may be duplicates: kept for now, and settled in batches by a model that can."""

from collections.abc import Iterable

from services.orchestrator.budget import Cost
from shared.messages import Accepted, Pair, Settled

PAIRS_A_CALL = 20
"""Pairs that one call settles at most: enough to be cheap, few enough for a model to keep apart."""

FEWEST = 5
"""Pairs worth a call."""

SHARE = 20
"""One part in so many of the spending may go into settling: 5 %."""

CAPABLE = ("openai", "anthropic", "gemini")
"""Providers whose models know enough of the world. The bundled model is too small, and the random provider knows nothing."""

PENDING = 10_000
"""Pairs that wait at most; beyond it the oldest stay possible duplicates for good, as they do when no model can settle them."""


class GreyZone:
    """The pairs of one run that nobody has settled yet, in order."""

    def __init__(self) -> None:
        self._pending: dict[int, Pair] = {}
        self._asked: dict[str, list[int]] = {}
        self.number = 0
        """Of the next such task; it only grows, since the queue drops an id it has seen."""
        self.calls = 0
        """Calls made to settle pairs."""
        self.spent = Cost()
        """What they cost."""

    def accepted(self, accepted: Accepted) -> None:
        """Note an accepted attribute; it waits if it may repeat another."""
        if not accepted.near:
            return
        pair = Pair(ordinal=accepted.ordinal, text=accepted.text, of=accepted.near, of_text=accepted.near_text)
        self._pending[accepted.ordinal] = pair
        if len(self._pending) > PENDING:
            del self._pending[next(iter(self._pending))]

    def settled(self, settled: Settled) -> None:
        """Note a pair that is settled."""
        self._pending.pop(settled.ordinal, None)

    def pair(self, ordinal: int) -> Pair | None:
        """The pair of an attribute that still waits."""
        return self._pending.get(ordinal)

    def next_batch(self) -> list[Pair]:
        """The pairs of the next call, or none while there are too few that nobody is asked about."""
        asked = {ordinal for ordinals in self._asked.values() for ordinal in ordinals}
        free = [pair for ordinal, pair in self._pending.items() if ordinal not in asked]
        return free[:PAIRS_A_CALL] if len(free) >= FEWEST else []

    def ask(self, task: str, ordinals: Iterable[int]) -> None:
        """Note that a task asks about these pairs."""
        self._asked[task] = list(ordinals)
        self.number += 1
        self.calls += 1

    def number_on(self, number: int) -> None:
        """Go on after a restart: so many such tasks there were."""
        self.number = self.calls = number

    def answered(self, task: str, cost: Cost) -> None:
        """Note the end of such a task; pairs without an answer stay possible duplicates and are not asked about again."""
        for ordinal in self._asked.pop(task, []):
            self._pending.pop(ordinal, None)
        self.spent += cost

    def called_back(self, task: str) -> None:
        """Note that a task will not be done."""
        if self._asked.pop(task, None) is not None:
            self.calls -= 1
