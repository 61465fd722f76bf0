"""Which producers are there, as they announce themselves once a second."""

import asyncio
from dataclasses import dataclass

from shared.messages import Presence
from shared.outside_text import flaw
from shared.providers import PROVIDERS

SILENT_SECONDS = 4.0
"""A producer not heard of for this long is gone: three announcements missed."""

MOST_OF_ONE = 200
"""Live producers of one provider: twice as many as a run can use. Names that are made up must not fill the memory."""


@dataclass(slots=True)
class _Seen:
    presence: Presence
    at: float


class Producers:
    """The live producers. `changed` is set whenever one comes, goes, or becomes free."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], _Seen] = {}
        """By provider and producer: a name is its provider's alone."""
        self._announced: dict[str, list[str]] = {}
        """By provider, the models of the last announcement."""
        self.changed = asyncio.Event()

    async def announced(self, presence: Presence) -> None:
        """Take in one announcement."""
        if presence.provider not in PROVIDERS or any(flaw(model, most=200) for model in presence.models):
            return
        self._announced[presence.provider] = presence.models
        who = (presence.provider, presence.producer)
        if presence.state == "leaving":
            self._seen.pop(who, None)
        else:
            known = who in self._seen
            if not known and len(self.live(presence.provider)) >= MOST_OF_ONE:
                return
            self._seen[who] = _Seen(presence, asyncio.get_running_loop().time())
            if known:
                return
        self.changed.set()

    def live(self, provider: str) -> list[Presence]:
        """The producers of a provider heard of lately."""
        oldest = asyncio.get_running_loop().time() - SILENT_SECONDS
        self._seen = {name: seen for name, seen in self._seen.items() if seen.at >= oldest}
        return [s.presence for s in self._seen.values() if s.presence.provider == provider]

    def slots(self, provider: str) -> int:
        """Model calls that the live producers of a provider can make at once."""
        return sum(p.slots for p in self.live(provider))

    def models(self, provider: str) -> list[str]:
        """The models that the live producers of a provider announce, each once; when none is live, what was announced last."""
        models = list({model: None for p in self.live(provider) for model in p.models})
        return models or self._announced.get(provider, [])
