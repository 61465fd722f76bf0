"""One producer: who it is, whom it asks, and how much it may do at once."""

import random
from dataclasses import dataclass, field

from services.producer.adapters.contract import Adapter
from services.producer.key import Key
from services.producer.slots import Slots
from shared.bus import Bus


@dataclass(slots=True)
class Producer:
    """What the parts of a producer share."""

    id: str
    provider: str
    models: tuple[str, ...]
    """The first is called when a task names none."""
    bus: Bus
    adapter: Adapter
    key: Key
    slots: Slots
    rng: random.Random = field(default_factory=random.Random)
    """For waits."""
