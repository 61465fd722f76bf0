"""The ceiling: the same bytes to as many clients by a bare coalescing StreamingResponse, without resuming, caps or guard.

`python -m tests.bench.gateway.bare FILE`: serves the frames in FILE, one after each blank line, on a free port that it prints.
"""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from services.gateway.audit import Audit
from services.gateway.log_tail import CHUNK_FRAMES
from services.gateway.places import Limits
from services.gateway.server import address, listen, make_server

ROOM = Limits(strangers=2000, strangers_per_address=2000)
"""Nobody signs in here."""


def make_app(frames: list[bytes]) -> Starlette:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"event: hello\ndata: {}\n\n"
        for first in range(0, len(frames), CHUNK_FRAMES):
            yield b"".join(frames[first : first + CHUNK_FRAMES])
        yield b"event: done\ndata: {}\n\n"

    async def events(request: Request) -> StreamingResponse:
        return StreamingResponse(chunks(), media_type="text/event-stream")

    return Starlette(routes=[Route("/events", events)])


async def main(frames: list[bytes]) -> None:
    listener = listen("127.0.0.1", 0)
    server: uvicorn.Server = make_server(make_app(frames), Audit(), ROOM)
    sys.stdout.write(f"{address(listener)}\n")
    sys.stdout.flush()
    await server.serve(sockets=[listener])


if __name__ == "__main__":
    import uvloop

    read = Path(sys.argv[1]).read_bytes()
    uvloop.run(main([frame + b"\n\n" for frame in read.split(b"\n\n") if frame]))
