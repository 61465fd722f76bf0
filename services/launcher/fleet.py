"""All children of one stack: added, reported, and stopped in an order that loses nothing."""

import asyncio
from collections.abc import Iterable

from services.launcher.children import Child, Program
from services.launcher.folder import ChildReport, Folder

STOP_ORDER = ("producer-", "gateway", "orchestrator", "recorder", "local-model", "nats")
"""By name prefix: who writes stops before who reads, and the bus last, so that everything said is heard and kept."""


class Fleet:
    """The children by name. `changed` is set whenever one of them changed."""

    def __init__(self, folder: Folder) -> None:
        self.children: dict[str, Child] = {}
        self.changed = asyncio.Event()
        self._folder = folder

    def add(self, program: Program) -> Child:
        """Take a program in, without starting it."""
        child = Child(program, self._folder, self.changed.set)
        self.children[program.name] = child
        self.changed.set()
        return child

    def reports(self) -> tuple[ChildReport, ...]:
        return tuple(child.report() for child in self.children.values())

    async def remove(self, names: Iterable[str]) -> None:
        """Stop these children at once and together, and forget them."""
        names = list(names)
        await asyncio.gather(*(self.children[name].stop() for name in names))
        for name in names:
            del self.children[name]
        self.changed.set()

    async def remove_all(self) -> None:
        """Stop everything, in `STOP_ORDER`."""
        for prefix in STOP_ORDER:
            await self.remove([name for name in self.children if name.startswith(prefix)])
        await self.remove(list(self.children))
