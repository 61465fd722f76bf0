"""Reading from a replica that lags behind its leader: no single server does, so what it answers is played here."""

import time
from typing import cast

import pytest

from shared import waits
from shared.bus_errors import Unavailable
from shared.stream_reader import Stored, StreamReader, history


class Lagging:
    """What a reader sees of a replica that gets message 1 only after so many looks."""

    def __init__(self, looks: int) -> None:
        self.stream = "RESULTS"
        self.at = 0
        self.exhausted = True
        self.looks = looks

    async def skip(self, end: int) -> None:
        """The leader says that the next message is 1."""

    async def read(self) -> list[Stored]:
        self.looks -= 1
        if self.looks >= 0:
            return []
        self.at = 1
        return [Stored(1, "attributes.started.run", b"{}", "")]

    async def close(self) -> None:
        """Nothing to end."""


async def test_what_the_replica_lacks_is_waited_for() -> None:
    reader = Lagging(looks=2)
    before = time.monotonic()
    found = [stored.sequence async for batch in history(cast(StreamReader, reader), end=1) for stored in batch]
    assert found == [1]
    assert time.monotonic() - before >= 2 * waits.RECONNECT_SECONDS  # it is not asked in a tight loop


async def test_a_replica_that_never_catches_up_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits, "REQUEST_SECONDS", 0.5)
    reader = Lagging(looks=1_000_000)
    with pytest.raises(Unavailable, match="lags behind"):
        _ = [batch async for batch in history(cast(StreamReader, reader), end=1)]
    assert reader.looks > 999_990
