"""Wiring: the page is served from the first moment, with or without a bus."""

import asyncio
import contextlib
import socket
from collections.abc import Mapping
from typing import Annotated

import structlog
from msgspec import Meta

from services.gateway.app import make_app
from services.gateway.feeds import follow_log, follow_runs, hear_producers, hear_snapshots, watch_orchestrator
from services.gateway.server import Server, address, listen, make_server
from services.gateway.view import View
from shared.service import Settings, environment, load, run, service, start_logging

log = structlog.get_logger()


class GatewaySettings(Settings, frozen=True, kw_only=True):
    """Settings of the gateway."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8080


async def serve(settings: GatewaySettings, variables: Mapping[str, str], listener: socket.socket, view: View) -> None:
    """Serve until told to stop; the bus may come at any time."""
    server = make_server(make_app(view, variables, settings.host))
    serving = asyncio.ensure_future(server.serve(sockets=[listener]))
    log.info("gateway.listening", url=address(listener))
    try:
        async with service("gateway", settings, "REST, server-sent events and the dashboard") as running:
            with contextlib.ExitStack() as stopping:
                stopping.callback(_close, view, server)  # before the bus goes: clients get their last word
                view.bus = running.bus
                await hear_snapshots(running.bus, view)
                await hear_producers(running.bus, view)
                await running.run_until_stopped(
                    follow_runs(running.bus, view),
                    follow_log(running.bus, view),
                    watch_orchestrator(running.bus, view),
                    _until_ended(serving),
                )
    finally:
        _close(view, server)
        await serving


def _close(view: View, server: Server) -> None:
    view.close()
    server.should_exit = True


async def _until_ended(serving: "asyncio.Future[None]") -> None:
    await asyncio.shield(serving)


def main() -> None:
    """Run the gateway; settings come from the environment."""
    variables = environment()
    settings = load(GatewaySettings, variables)
    start_logging("gateway", settings.log_level)
    listener = listen(settings.host, settings.port)
    run(lambda: serve(settings, variables, listener, View()))


if __name__ == "__main__":
    main()
