"""Starts the local model's server: `local-model --port 8084`."""

import os
import sys
from typing import Annotated, NoReturn

import structlog
from cyclopts import App, Parameter, validators

from services.local_model.server import LOOPBACK, start
from services.local_model.weights import weights
from shared.service import Settings, environment, load, run, service, start_logging

NAME = "local-model"

log = structlog.get_logger()

app = App(name=NAME, help="Serve a small language model on loopback, for producers of the provider `local`.")


@app.default
def local_model(
    *,
    host: str = LOOPBACK,
    port: Annotated[int, Parameter(validator=validators.Number(gte=0, lte=65535))] = 8084,
    log_level: str | None = None,
) -> None:
    """Serve until stopped.

    Parameters
    ----------
    host
        Who reaches it can use it: it knows no keys. Another than loopback is for a network of its own, as in a container.
    port
        0 takes any free one; the log names it.
    log_level
        trace, debug, info, warn or error.
    """
    settings = load(Settings, environment(), log_level=log_level)
    start_logging(NAME, settings.log_level)
    server = start(weights(), host, port)
    log.info("local_model.ready", address=server.listening_address)
    try:
        run(lambda: serve(settings))
    except SystemExit as end:
        leave(end)
    except BaseException:
        log.exception("local_model.broken")
        leave(SystemExit(1))


async def serve(settings: Settings) -> None:
    """Register on the bus, which may come later or never: the model answers without it."""
    async with service(NAME, settings, "A small language model on loopback") as running:
        await running.run_until_stopped()


def leave(end: SystemExit) -> NoReturn:
    """End the process at once. Taking the server down in order waits for every answer in progress, for ever if one hangs;
    it holds nothing that could be lost."""
    if isinstance(end.code, str):
        print(end.code, file=sys.stderr)  # noqa: T201 (what Python itself does with an exit's text)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(end.code if isinstance(end.code, int) else int(end.code is not None))


def main() -> None:
    app()


if __name__ == "__main__":
    main()
