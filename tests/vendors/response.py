"""How a response goes: an answer or a refusal in the vendor's protocol, and what a fault does to it on the way."""

import json
from collections.abc import Iterator
from dataclasses import replace

from tests.vendors.delivery import Script
from tests.vendors.faults import Fault, Misbehaviour, misbehaviour
from tests.vendors.wire import Answer, Call, Frame, Refused, Wire

PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body><h1>Welcome to the guest network</h1></body></html>\n"

MARK = "@filling@"
"""Stands for the filling in a huge message."""

FILLING = b"a" * 64 * 1024
"""Sent at once; a huge message is never held in memory here."""


def refuse(refused: Refused) -> Script:
    """A status and a body."""
    body = Frame(json.dumps(refused.body).encode())
    return Script(refused.status, {"content-type": "application/json", **refused.headers}, [body])


def page() -> Script:
    """A web page, from something that is no vendor at all."""
    return Script(200, {"content-type": "text/html; charset=utf-8"}, [Frame(PAGE)])


def respond(wire: Wire, call: Call, said: Answer, what: Misbehaviour | None, pieces: int) -> Script:
    """Status 200 and the answer, whole or as a stream. Raises Refused for an error midway in what is no stream."""
    frames = _frames(wire, call, said, pieces)
    kind = "text/event-stream; charset=utf-8" if call.streams else "application/json"
    script = Script(200, {"content-type": kind}, frames)
    if what is None:
        return script
    match what.fault:
        case Fault.HUGE:
            script.frames = _filled(_frames(wire, call, replace(said, text=MARK, pieces=1), 1), what.size)
        case Fault.ERROR_MIDWAY if not call.streams:
            raise wire.refused(misbehaviour(Fault.SERVER_ERROR), call, "")
        case Fault.ERROR_MIDWAY:
            script.parting = wire.error_event()
    _hinder(script, what, len(frames) // 2)
    return script


def _hinder(script: Script, what: Misbehaviour, midway: int) -> None:
    """What a fault does to the sending."""
    match what.fault:
        case Fault.HANG_BEFORE_FIRST_BYTE:
            script.silence = what.seconds
        case Fault.HANG_AFTER_HEADERS:
            script.at, script.hang = 0, what.seconds
        case Fault.HANG_BETWEEN_CHUNKS:
            script.at, script.hang = midway, what.seconds
        case Fault.DRIP:
            script.drip = what.seconds
        case Fault.RESET:
            script.at, script.act = midway, "reset"
        case Fault.ENDS_EARLY | Fault.ERROR_MIDWAY:
            script.at, script.act = midway, "end"


def _frames(wire: Wire, call: Call, said: Answer, pieces: int) -> list[Frame]:
    if call.streams:
        return list(wire.stream(call, said))
    body = json.dumps(wire.whole(call, said)).encode()
    size = max(1, -(-len(body) // pieces))
    parts = [Frame(body[start : start + size]) for start in range(0, len(body), size)]
    return [*parts[:-1], Frame(parts[-1].data, said.text)]  # nothing of a body can be read before its end


def _filled(frames: list[Frame], size: int) -> Iterator[Frame]:
    """The frames with `size` bytes of filling in place of the mark."""
    for frame in frames:
        head, mark, tail = frame.data.partition(MARK.encode())
        yield Frame(head)
        if mark:
            yield from (Frame(FILLING[: size - start]) for start in range(0, size, len(FILLING)))
        yield Frame(tail)
