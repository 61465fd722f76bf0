"""The Docker engine under test, and a server of wheels for it, since its containers may reach no package index."""

import contextlib
import functools
import ipaddress
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import docker
from docker.errors import DockerException

PROJECT = Path(__file__).parents[2]
WHEELS = PROJECT / "var" / "wheels"

WHEELS_PORT = 18765
"""The same each time if it is free: the address is an argument of the build, and another one would miss the build's cache."""

BASE = os.environ.get("PYTHON_IMAGE", "chorus-base")
"""Stands in for python:…-slim; `.ci/docker-engine` makes it."""


def engine() -> docker.DockerClient:
    """The engine that answers here. Raises DockerException if none does."""
    client = docker.from_env(timeout=120)
    client.ping()
    return client


def why_not() -> str:
    """Why the tests cannot run here; empty if they can."""
    try:
        client = engine()
    except DockerException as error:
        return f"no Docker engine answers: {error}"
    if not client.images.list(name=BASE):
        return f"there is no base image {BASE}: run .ci/docker-engine, or name one with PYTHON_IMAGE"
    return ""


def fetch_wheels() -> None:
    """Bring every wheel of the locks into `WHEELS`; those that are there are not fetched again."""
    WHEELS.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "--quiet", "--quiet", "--disable-pip-version-check", "download", "--no-deps"]
    command += ["--require-hashes", "--only-binary", ":all:", "--no-binary", "nkeys"]  # as in deploy/Dockerfile
    command += ["--find-links", str(WHEELS), "--dest", str(WHEELS)]
    subprocess.run([*command, "--requirement", str(PROJECT / "deploy/requirements/all.txt")], check=True, timeout=600)


def bridge_address(client: docker.DockerClient) -> str:
    """The engine's own end of its bridge, which every container reaches; not every engine names it."""
    subnet = client.networks.get("bridge").attrs["IPAM"]["Config"][0]["Subnet"]
    return str(ipaddress.ip_network(subnet)[1])


@contextlib.contextmanager
def wheels_for(client: docker.DockerClient) -> Iterator[dict[str, str]]:
    """Serve the wheels to containers; gives the variables with which pip finds them, and only them."""
    host = bridge_address(client)
    handler = functools.partial(_Quiet, directory=str(WHEELS))
    with _listening(host, handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://{host}:{server.server_port}/"
        yield {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": address, "PIP_TRUSTED_HOST": host, "PIP_INDEX_URL": ""}
        server.shutdown()


def _listening(host: str, handler: Callable[..., SimpleHTTPRequestHandler]) -> ThreadingHTTPServer:
    try:
        return ThreadingHTTPServer((host, WHEELS_PORT), handler)
    except OSError:
        return ThreadingHTTPServer((host, 0), handler)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """A line for each wheel would bury what fails."""
