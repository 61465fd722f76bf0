"""A network of its own for one process (Linux, root): what it sends and gets can be dropped on the way, as by a dead switch."""

import asyncio
import secrets
from types import TracebackType

SUBNET = "10.213.77"
"""Of the one cable between the host (.1) and the namespace (.2)."""


class NoNamespace(Exception):
    """Raised when this machine gives us none; the text says why."""


class Namespace:
    """A network namespace with one cable to the host."""

    def __init__(self) -> None:
        self.name = f"faults-{secrets.token_hex(3)}"
        self.host = f"{SUBNET}.1"

    @property
    def prefix(self) -> tuple[str, ...]:
        """Before a command that shall run in it."""
        return ("ip", "netns", "exec", self.name)

    async def __aenter__(self) -> "Namespace":
        near, far = f"{self.name[7:]}a", f"{self.name[7:]}b"
        await _call("ip", "netns", "add", self.name)
        try:
            await _call("ip", "link", "add", near, "type", "veth", "peer", "name", far, "netns", self.name)
            await _call("ip", "addr", "add", f"{self.host}/30", "dev", near)
            await _call("ip", "link", "set", near, "up")
            await _call("ip", "-n", self.name, "addr", "add", f"{SUBNET}.2/30", "dev", far)
            await _call("ip", "-n", self.name, "link", "set", far, "up")
            await self.drop(False)
        except NoNamespace:
            await _call("ip", "netns", "delete", self.name)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await _call("ip", "netns", "delete", self.name)  # and the cable with it

    async def drop(self, everything: bool) -> None:
        """Drop every packet, both ways, without a word to anybody; or let them pass again."""
        for chain in ("INPUT", "OUTPUT"):
            await _call(*self.prefix, "iptables", "--policy", chain, "DROP" if everything else "ACCEPT")


async def _call(*command: str) -> None:
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
    except FileNotFoundError as error:
        raise NoNamespace(f"{command[0]} is not installed") from error
    output, _ = await process.communicate()
    if process.returncode:
        raise NoNamespace(f"{' '.join(command)}: {output.decode().strip()}")
