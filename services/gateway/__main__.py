"""Wiring: the page is served from the first moment, with or without a bus."""

import asyncio
import contextlib
import socket
from argparse import ArgumentParser
from collections.abc import Mapping

import structlog

from services.gateway.app import make_app
from services.gateway.audit import Audit
from services.gateway.clients import Clients
from services.gateway.feeds import follow_log, follow_runs, hear_producers, hear_snapshots, watch_orchestrator
from services.gateway.places import Limits, fitting, open_files
from services.gateway.rates import Rates
from services.gateway.server import Server, address, listen, make_server
from services.gateway.settings import GatewaySettings
from services.gateway.view import View
from shared import traces
from shared.service import environment, load, run, service, start_logging

log = structlog.get_logger()


async def serve(
    settings: GatewaySettings,
    variables: Mapping[str, str],
    listener: socket.socket,
    view: View,
    rates: Rates | None = None,
    limits: Limits | None = None,
) -> None:
    """Serve until told to stop; the bus may come at any time."""
    audit = Audit()
    server = make_server(make_app(view, variables, settings, rates or Rates(), audit), audit, limits)
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
                    view.clients.drop_stalled(),
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
    """Run the gateway; settings come from the environment, and some from flags."""
    flags = ArgumentParser(prog="gateway", description="REST, server-sent events and the dashboard.")
    flags.add_argument("--port", help="8080 unless PORT says otherwise")
    flags.add_argument("--log-level", help="trace, debug, info, warn or error")
    flags.add_argument("--trace-ep", help="collector of OpenTelemetry traces (OTLP over HTTP), such as http://localhost:4318")
    given = flags.parse_args()
    if given.trace_ep:
        traces.send_to(given.trace_ep)
    variables = environment()
    settings = load(GatewaySettings, variables, port=given.port, log_level=given.log_level)
    start_logging("gateway", settings.log_level)
    listener = listen(settings.host, settings.port, guarded=bool(settings.gateway_token))
    limits = fitting(open_files())
    run(lambda: serve(settings, variables, listener, View(Clients(settings.clients_per_address)), limits=limits))


if __name__ == "__main__":
    main()
