"""Sending a response as it was ordered: in pieces, slowly, never, or broken off."""

import asyncio
import socket
import struct
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Literal

from starlette.types import Message, Receive, Send

from tests.vendors.ledger import Outcome
from tests.vendors.wire import Frame

Finish = Callable[[Outcome], None]
"""Told once how a response ended, before the client can know: a test may read the ledger as soon as it has its answer."""


@dataclass(slots=True)
class Script:
    """How a response goes."""

    status: int
    headers: Mapping[str, str]
    frames: Iterable[Frame]
    delay: float = 0.0
    """Seconds before every frame."""
    gate: asyncio.Semaphore | None = None
    """What the response has to pass before anything, and leaves at its end."""
    silence: float = 0.0
    """Seconds before anything."""
    drip: float = 0.0
    """Seconds before every byte; 0 sends frames whole."""
    at: int | None = None
    """The frame before which `act` happens."""
    act: Literal["hang", "reset", "end"] = "hang"
    hang: float = 0.0
    """Seconds of a hang; then the response goes on."""
    parting: bytes = b""
    """The last words of a response that ends midway."""
    begun: bool = field(default=False, init=False)
    """Whether the status went out."""
    sent: int = field(default=0, init=False)
    """Characters of the answer that went out."""


async def deliver(script: Script, finish: Finish, receive: Receive, send: Send, connection: asyncio.Transport | None) -> None:
    """Send the response, and stop as soon as the client leaves, so that no hang outlives it."""
    sending = asyncio.ensure_future(_send_in_turn(script, finish, send, connection))
    leaving = asyncio.ensure_future(_until_gone(receive))
    try:
        await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if sending.done():
            sending.result()
    finally:
        sending.cancel()
        leaving.cancel()
        await asyncio.gather(sending, leaving, return_exceptions=True)
        finish("left")


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send_in_turn(script: Script, finish: Finish, send: Send, connection: asyncio.Transport | None) -> None:
    async with script.gate or nullcontext():
        await _send(script, finish, send, connection)


async def _send(script: Script, finish: Finish, send: Send, connection: asyncio.Transport | None) -> None:
    await asyncio.sleep(script.silence)
    headers = [(name.encode(), value.encode()) for name, value in script.headers.items()]
    script.begun = True
    await send({"type": "http.response.start", "status": script.status, "headers": headers})
    for number, frame in enumerate(script.frames):
        if number == script.at:
            if script.act == "hang":
                await asyncio.sleep(script.hang)
            elif script.act == "reset":
                finish("broken")
                await _reset(connection)
            else:
                await send(_body(script.parting))
                break
        await asyncio.sleep(script.delay)
        await _send_frame(frame, script, send)
        script.sent += len(frame.text)
    finish(_outcome(script))
    await send(_body(b"", more=False))


def _outcome(script: Script) -> Outcome:
    if script.status != 200:
        return "refused"
    return "broken" if script.at is not None and script.act == "end" else "ok"


async def _send_frame(frame: Frame, script: Script, send: Send) -> None:
    if not script.drip:
        await send(_body(frame.data))
        return
    for byte in frame.data:
        await asyncio.sleep(script.drip)
        await send(_body(bytes([byte])))


def _body(data: bytes, *, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


async def _reset(connection: asyncio.Transport | None) -> None:
    """Close with an RST packet, as a crashed machine's connection ends, and wait for the server to notice."""
    if connection is not None:
        at_once = struct.pack("ii", 1, 0)  # l_onoff, l_linger
        connection.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        connection.abort()
    await asyncio.Event().wait()  # ended by `deliver`, once the connection is gone
