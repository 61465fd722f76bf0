"""The server: one port of loopback, three vendors, one ledger."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.responses import Response as HttpResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from tests.vendors.answers import answer, asked, draw, scripted
from tests.vendors.delivery import Script, deliver
from tests.vendors.faults import REFUSALS, Fault, Misbehaviour, misbehaviour
from tests.vendors.ledger import MAX_REQUESTS, Entry, Full, Ledger, Outcome
from tests.vendors.protocols import anthropic, gemini, openai
from tests.vendors.response import page, refuse, respond
from tests.vendors.vendor import Vendor
from tests.vendors.wire import Answer, Call, Json, Refused, Request, count

STOP_SECONDS = 2
"""For open requests to notice that their connections are gone; they take a moment."""

KEEP_ALIVE_SECONDS = 300
"""Longer than a test: a connection closed for idling just when a client uses it again would look like a fault."""


class VendorServer:
    """What a test holds: a vendor each, and the ledger of them all."""

    def __init__(self, root: str, seed: int) -> None:
        self.ledger = Ledger()
        self.openai = Vendor(openai.OpenAI(), f"{root}/openai/v1", seed)
        self.anthropic = Vendor(anthropic.Anthropic(), f"{root}/anthropic", seed)
        self.gemini = Vendor(gemini.Gemini(), f"{root}/gemini", seed)

    @property
    def all(self) -> tuple[Vendor, Vendor, Vendor]:
        """The three vendors."""
        return self.openai, self.anthropic, self.gemini


@asynccontextmanager
async def vendors(seed: int = 0) -> AsyncIterator[VendorServer]:
    """Run the server in this event loop until the block ends; requests still open then are cut off.

    async with vendors() as server:
        server.openai.next(Fault.RATE_LIMITED_SECONDS, seconds=1)
        ...  # a client of `server.openai.url`
        assert server.ledger.most_at_once("openai") <= 4
    """
    listener = _listen()
    server = VendorServer(f"http://127.0.0.1:{listener.getsockname()[1]}", seed)
    http = uvicorn.Server(_config(_app(server, lambda client: _connection(http, client))))
    # Not serve() and shutdown(): they take the process's signals, and sleep for a tenth of a second here and there.
    http.config.load()
    http.lifespan = http.config.lifespan_class(http.config)
    await http.startup(sockets=[listener])
    try:
        yield server
    finally:
        await _stop(http)


def _listen() -> socket.socket:
    # asyncio turns Nagle's algorithm off only where the socket names its protocol; with it a kept connection takes 40 ms more.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    return listener


async def _stop(http: uvicorn.Server) -> None:
    for listening in http.servers:
        listening.close()
    for protocol in list(http.server_state.connections):
        cast(H11Protocol, protocol).transport.abort()
    if tasks := http.server_state.tasks:
        await asyncio.wait(tasks, timeout=STOP_SECONDS)


def _config(app: Starlette) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=H11Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )


Connection = Callable[[Any], asyncio.Transport | None]
"""Finds the connection of a client's address; None when it is gone."""


def _connection(http: uvicorn.Server, client: Any) -> asyncio.Transport | None:
    """What ASGI has no word for: the connection itself, to reset it."""
    protocols = (cast(H11Protocol, protocol) for protocol in http.server_state.connections)
    return next((protocol.transport for protocol in protocols if protocol.client == client), None)


def _app(server: VendorServer, connection: Connection) -> Starlette:
    ask = {v.wire.provider: Asked(v, server.ledger, connection) for v in server.all}
    return Starlette(
        routes=[
            Route("/openai/v1/chat/completions", ask["openai"], methods=["POST"]),
            Route("/openai/v1/completions", ask["openai"], methods=["POST"]),
            Route("/openai/v1/models", _models, methods=["GET"]),
            Route("/anthropic/v1/messages", ask["anthropic"], methods=["POST"]),
            Route("/gemini/{version}/models/{model}:generateContent", ask["gemini"], methods=["POST"]),
            Route("/gemini/{version}/models/{model}:streamGenerateContent", ask["gemini"], methods=["POST"]),
        ]
    )


async def _models(request: HttpRequest) -> HttpResponse:
    models = [{"id": name, "object": "model", "created": openai.CREATED, "owned_by": "openai"} for name in openai.MODELS]
    return JSONResponse({"object": "list", "data": models})


class Asked:
    """The endpoint where a vendor's model is asked (an ASGI application)."""

    def __init__(self, vendor: Vendor, ledger: Ledger, connection: Connection) -> None:
        self._vendor = vendor
        self._ledger = ledger
        self._connection = connection
        self._open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        http = HttpRequest(scope, receive)
        try:
            request = Request(scope["path"], dict(http.headers), _json(await http.body()))
            entry = self._ledger.open(self._vendor.wire.provider, self._vendor.wire.key(request), request.body)
        except ClientDisconnect:  # before it had asked anything
            return
        except Full:
            await PlainTextResponse(f"more than {MAX_REQUESTS} requests", 500)(scope, receive, send)
            return
        self._open += 1
        script, said = self._script(entry, request)

        def finish(outcome: Outcome) -> None:
            if entry.ended is not None:
                return
            self._open -= 1
            entry.ended, entry.outcome = time.monotonic(), outcome
            if script.begun:
                entry.status = script.status
                if said is not None:
                    entry.settle(said, script.sent)

        await deliver(script, finish, receive, send, self._connection(scope["client"]))

    def _script(self, entry: Entry, request: Request) -> tuple[Script, Answer | None]:
        """How to respond, and what the model says if it is asked at all."""
        headers = self._vendor.wire.limits(self._vendor.limits) if self._vendor.limits else {}
        try:
            call = self._vendor.wire.read(request)
            entry.model, entry.prompt, entry.streams = call.model, call.prompt, call.streams
            what = self._fault(entry, call)
            call = replace(call, model=self._vendor.calls_itself or call.model)
            said = None if entry.fault is Fault.HTML else self._say(entry, call, what)
            script = respond(self._vendor.wire, call, said, what, self._vendor.pieces) if said else page()
        except Refused as refused:
            script, said = refuse(refused), None
        script.delay = self._vendor.delay
        script.gate = self._vendor.gate if said else None
        script.headers = {**headers, **script.headers}
        return script, said

    def _fault(self, entry: Entry, call: Call) -> Misbehaviour | None:
        """What this request is to suffer. Raises Refused where that is a status."""
        if not entry.key or (self._vendor.keys is not None and entry.key not in self._vendor.keys):
            raise self._vendor.wire.refused(misbehaviour(Fault.BAD_KEY), call, entry.key)
        for option in sorted(self._vendor.refuses & _options(entry.body)):
            raise self._vendor.wire.not_taken(option)
        what = self._vendor.take()
        if self._vendor.most_at_once is not None and self._open > self._vendor.most_at_once:
            what = misbehaviour(Fault.RATE_LIMITED)
        if what is None:
            return None
        entry.fault = what.fault
        if what.fault in REFUSALS:
            raise self._vendor.wire.refused(what, call, entry.key)
        return what

    def _say(self, entry: Entry, call: Call, what: Misbehaviour | None) -> Answer:
        vendor = self._vendor
        tokens = vendor.extra_tokens(count(call.prompt))
        if script := vendor.scripted():
            return scripted(call, *script, tokens)
        number = asked(call.prompt) if vendor.items is None else vendor.items
        items = draw(f"{vendor.seed} {entry.provider} {entry.number}", number, call.prompt, obedient=vendor.obedient)
        return answer(call, items, what, tokens, vendor.pieces)


def _json(data: bytes) -> Json:
    """A request's body; what is no JSON object is as good as an empty one, which every vendor refuses."""
    try:
        body = json.loads(data)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _options(body: Json) -> set[str]:
    """The names of a request's options; Gemini keeps them in a place of their own."""
    return {*body, *(body.get("generationConfig") or {})}
