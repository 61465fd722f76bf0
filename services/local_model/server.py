"""llama.cpp's own HTTP server, within this process."""

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xllamacpp import Server  # type: ignore[import-untyped]  # it ships no types

LOOPBACK = "127.0.0.1"

MODEL = "SmolLM2-135M-Instruct"
SLOTS = 2
"""Calls at once: it shares the processor's cores, and more of them finish no sooner."""
CONTEXT = 2048
"""Tokens of prompt and answer together, a slot."""

PROMPT_CACHE_MIB = 256
"""Kept of earlier prompts: calls of one run begin alike. llama.cpp's own default is 8 GB."""

ERRORS_ONLY = 1


def start(weights: Path, host: str, port: int) -> "Server":
    """Load the model and listen; returns once requests are answered. Exits with one line when the port is taken."""
    _check_free(host, port)
    from xllamacpp import CommonParams, Server

    params = CommonParams()
    params.model.path = str(weights)
    params.model_alias = {MODEL}
    params.hostnames = [host]
    params.port = port
    params.n_parallel = SLOTS
    params.n_ctx = SLOTS * CONTEXT
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads()
    params.cache_ram_mib = PROMPT_CACHE_MIB
    params.verbosity = ERRORS_ONLY
    params.ui = False
    params.endpoint_slots = False  # it would show one user's prompts to another
    params.cors_origins = ""  # no web page of elsewhere has business here
    try:
        return Server(params)
    except RuntimeError as error:
        raise SystemExit(f"The local model did not start on {host}:{port}: {error}") from error


def threads() -> int:
    """Half of the cores, at most 4: its threads wait for each other at every step, so on a core shared with other work
    all wait. Two busy cores gave 5 tokens a second to two threads, and 35 to one."""
    return min(4, max(1, (os.cpu_count() or 2) // 2))


def _check_free(host: str, port: int) -> None:
    """Exit with a line of ours where llama.cpp would end with its own."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise SystemExit(f"Port {port} on {host} is not free ({error.strerror}): choose another with --port.") from error
