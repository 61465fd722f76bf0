"""The producer as it is shipped, ended at one named point of a call. Nothing in the product knows of this.

    EXIT_AT=before_report EXIT_AFTER=2 python -m tests.faults.dying_producer --provider random

The vendor has answered at "before_report", and nobody tells what that cost; at "after_claim" nobody can know whether it was
asked.
"""

import os
from typing import Any

from shared.bus import Bus
from tests.faults.mains import Point

POINTS = ("after_claim", "before_report")


def exit_at(point: Point) -> None:
    """Put the point into this process's producer."""
    claim, publish = Bus.claim, Bus.publish

    async def claiming(self: Bus, *arguments: Any, **more: Any) -> bool:
        first = await claim(self, *arguments, **more)
        if point.name == "after_claim":
            point.passed()
        return first

    async def publishing(self: Bus, subject: str, *arguments: Any, **more: Any) -> int:
        if point.name == "before_report" and subject.startswith("usage."):
            point.passed()
        return await publish(self, subject, *arguments, **more)

    Bus.claim, Bus.publish = claiming, publishing  # type: ignore[method-assign]


if __name__ == "__main__":
    from services.producer.__main__ import main

    exit_at(Point(os.environ["EXIT_AT"], int(os.environ.get("EXIT_AFTER", "1")), 0))
    main()
