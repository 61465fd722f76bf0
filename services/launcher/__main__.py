"""The launcher's commands."""

import os
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from services.launcher.folder import PROJECT, Folder

app = App(name="launcher", help="Run the whole stack on this machine.", version_flags=[])

Where = Annotated[Path, Parameter(help="Where the stack keeps its state, logs and the data of NATS.")]
VAR = PROJECT / "var"


@app.command
def up(
    *,
    provider: str | None = None,
    producers: int | None = None,
    port: int | None = None,
    accept_unsynced: bool = False,
    folder: Where = VAR,
) -> int:
    """Start everything in the background; what is not given is read from PROVIDER, PRODUCERS, PORT and NATS_URL.

    Parameters
    ----------
    accept_unsynced
        Join a NATS that may not write through to disk, whose acknowledged messages a power cut may lose; or ACCEPT_UNSYNCED.
    """
    from services.launcher.up import up

    if accept_unsynced:
        os.environ["ACCEPT_UNSYNCED"] = "1"  # for the supervisor that outlives us
    return up(Folder(folder.absolute()), provider=provider, producers=producers, port=port)


@app.command
def down(*, folder: Where = VAR) -> int:
    """Stop everything."""
    from services.launcher.up import down

    return down(Folder(folder.absolute()))


@app.command
def status(*, folder: Where = VAR) -> int:
    """Show each service, its process and its health; exit code 0 only if all is well."""
    from services.launcher.status import status

    return status(Folder(folder.absolute()))


@app.command
def logs(*, follow: bool = True, folder: Where = VAR) -> None:
    """Show the logs of all services and what is added to them."""
    from services.launcher.log_files import show

    show(Folder(folder.absolute()), follow)


@app.command
def tap(subject: str = "attributes.>", /, *, folder: Where = VAR) -> int:
    """Print the messages that pass on a subject."""
    from services.launcher.tap import tap

    return tap(Folder(folder.absolute()), subject)


@app.command
def provision(*, replicas: int | None = None, accept_unsynced: bool | None = None) -> int:
    """Make the streams on the NATS at NATS_URL, or bring them up to date.

    Parameters
    ----------
    replicas
        On how many servers of a cluster each stream is kept; what is not given is read from STREAM_REPLICAS.
    accept_unsynced
        Use a NATS that may not write through to disk, whose acknowledged messages a power cut may lose; or ACCEPT_UNSYNCED.
    """
    from services.launcher.provision import provision

    return provision(replicas, accept_unsynced=accept_unsynced)


@app.command
def keys(*, rotate: str = "", folder: Where = VAR) -> int:
    """Make the keys of all roles that have none.

    Parameters
    ----------
    rotate
        A role whose key is made anew; start the server and the role's services again, and the old one is worth nothing.
    """
    from services.launcher.errors import StartError
    from services.launcher.keys import make

    where = Folder(folder.absolute()).keys
    try:
        made = make(where, rotate)
    except StartError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{where}: {', '.join(made) if made else 'every role has its key'}\n")
    return 0


@app.command
def run(
    *,
    services: str,
    folder: Where,
    provider: str | None = None,
    producers: int | None = None,
    port: int | None = None,
    nats_port: int = -1,
    metrics: Annotated[bool, Parameter(negative=())] = False,
    parent_stdin: bool = False,
    temporary: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Run some services (nats, orchestrator, recorder, gateway) and producers in the foreground.

    Prints one line of JSON when all is ready, or why it is not.

    Parameters
    ----------
    parent_stdin
        Stop when standard input closes.
    temporary
        Remove all of the folder but its logs in the end.
    nats_port
        The port NATS shall have if it is free.
    metrics
        Have the services serve their numbers to Prometheus, on ports that are always the same.
    """
    from services.launcher.run import run

    where = Folder(folder.absolute())
    return run(
        where,
        services,
        parent_stdin=parent_stdin,
        temporary=temporary,
        provider=provider,
        producers=producers,
        port=port,
        nats_port=nats_port,
        metrics=metrics,
    )


def main() -> None:
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # whoever read our output has seen enough, as with `launcher logs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


if __name__ == "__main__":
    main()
