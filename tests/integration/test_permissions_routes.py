"""Who joins the servers of a cluster: one that shows the cluster's certificate, and nobody else."""

import asyncio
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from nats.aio.client import Client
from nats.aio.msg import Msg

from services.launcher import keys
from services.launcher.folder import PROJECT
from services.tester.stack import free_port
from shared import roles, subjects
from shared.bus import Bus, connect
from shared.messages import RunControl
from tests.conftest import eventually
from tests.integration.secured_server import SecuredServer

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")

DEPLOY = PROJECT / "deploy"
BINARY = Path(sys.executable).with_name("nats-server")

STOP = RunControl(run="r1", action="stopping")

SECONDS = 20.0
"""Until servers have met, or one was refused: 0.1 s on an idle machine."""


def certificates(folder: Path) -> None:
    subprocess.run([str(DEPLOY / "certificates"), str(folder)], check=True, capture_output=True)


class Server:
    """One nats-server on free ports of the loopback, with its own folder."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.port, self.monitor, self.routes = free_port(), free_port(), free_port()
        self.log = folder / "log"
        folder.mkdir(exist_ok=True)

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def start(self, *arguments: str) -> None:
        with self.log.open("ab") as output:
            self.process = subprocess.Popen([str(BINARY), *arguments], cwd=self.folder, stdout=output, stderr=output)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    async def listening(self) -> None:
        await eventually(lambda: asyncio.to_thread(self._answers), SECONDS)

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()[-2000:]
        try:
            self.asked("varz")
        except OSError:
            return False
        return True

    def asked(self, what: str) -> dict[str, Any]:
        """What its monitor says."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.monitor}/{what}", timeout=5) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def neighbours(self) -> set[str]:
        """The servers that it has routes to, by their names."""
        return {route["remote_name"] for route in self.asked("routez")["routes"]}


def as_in_kubernetes(server: Server, key_folder: Path, *others: Server) -> None:
    """Start it as the manifest does, but for its ports and folders."""
    (workload,) = [
        resource
        for resource in yaml.safe_load_all((DEPLOY / "kubernetes" / "nats.yaml").read_text())
        if resource["kind"] == "StatefulSet"
    ]
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    here = {
        "--config": str(keys.assemble(key_folder, server.folder).with_name(Path(container["args"][0]).name)),
        "--addr": "127.0.0.1",
        "--port": str(server.port),
        "--http_port": str(server.monitor),
        "--store_dir": str(server.folder / "store"),
        "--pid": str(server.folder / "pid"),
        "--server_name": server.name,
        "--cluster": f"nats://127.0.0.1:{server.routes}",
        "--cluster_advertise": f"127.0.0.1:{server.routes}",
        "--routes": ",".join(f"nats://127.0.0.1:{other.routes}" for other in (server, *others)),
    }
    given = dict(argument.split("=", 1) for argument in container["args"])
    assert here.keys() <= given.keys()
    server.start(*(f"{flag}={value}" for flag, value in {**given, **here}.items()))


def as_a_stranger(server: Server, target: int, tls: str = "") -> None:
    """Start it without keys and permissions, with a route to another's port and, if it has any, certificates of its own."""
    config = server.folder / "stranger.conf"
    config.write_text(
        f'server_name: {server.name}\nlisten: "127.0.0.1:{server.port}"\nhttp: "127.0.0.1:{server.monitor}"\n'
        f'cluster {{ name: chorus, listen: "127.0.0.1:{server.routes}", routes: ["nats://127.0.0.1:{target}"]\n{tls} }}\n'
    )
    server.start("--config", str(config), "--debug")


@pytest.fixture
async def member(tmp_path: Path) -> AsyncIterator[Server]:
    """A server of the cluster, alone."""
    keys.make(tmp_path / "keys")
    server = Server("nats-0", tmp_path / "member")
    certificates(server.folder)
    as_in_kubernetes(server, tmp_path / "keys")
    try:
        await server.listening()
        yield server
    finally:
        server.stop()


@pytest.fixture
async def orchestrator(member: Server, tmp_path: Path) -> AsyncIterator[Bus]:
    ca = str(member.folder / "certificates" / "ca.pem")
    bus = await asyncio.wait_for(connect(member.url, "test", keys.access(tmp_path / "keys", roles.ORCHESTRATOR, ca)), SECONDS)
    yield bus
    await bus.close()


async def heard_at(client: Client, subject: str) -> list[Msg]:
    heard: list[Msg] = []

    async def note(message: Msg) -> None:
        heard.append(message)

    await client.subscribe(subject, cb=note)
    await client.flush()
    await client.flush()
    return heard


OWN_CERTIFICATE = """tls {
    cert_file: "certificates/route.pem"
    key_file: "certificates/route-key.pem"
    ca_file: "certificates/routes-ca.pem"
    verify: true
}"""

SERVERS_CERTIFICATE = """tls {
    cert_file: "certificates/server.pem"
    key_file: "certificates/server-key.pem"
    ca_file: "certificates/routes-ca.pem"
    verify: true
}"""


@pytest.mark.parametrize("shows", ["nothing", "its own", "the one for clients"])
async def test_a_server_without_the_clusters_certificate_joins_nothing_and_hears_nothing(
    member: Server, orchestrator: Bus, tmp_path: Path, shows: str
) -> None:
    stranger = Server("stranger", tmp_path / "stranger")
    tls = {"nothing": "", "its own": OWN_CERTIFICATE, "the one for clients": SERVERS_CERTIFICATE}[shows]
    if shows == "its own":
        certificates(stranger.folder)
    elif tls:
        shutil.copytree(member.folder / "certificates", stranger.folder / "certificates")
    as_a_stranger(stranger, member.routes, tls)
    client = Client()
    try:
        await stranger.listening()
        await client.connect(stranger.url)
        overheard = await heard_at(client, subjects.ALL_RUN_CONTROL)
        asked = await heard_at(orchestrator.client, subjects.STOP_RUN)
        await eventually(lambda: member.log.read_text().count("Router connection closed") >= 3, SECONDS)

        await orchestrator.tell(subjects.run_control("r1"), STOP)
        await client.publish(subjects.STOP_RUN, b"{}")
        await client.flush()
        await orchestrator.client.flush()

        assert member.neighbours() == stranger.neighbours() == set()
        assert overheard == asked == []
    finally:
        await client.close()
        stranger.stop()


async def test_a_server_with_the_clusters_certificate_joins(member: Server, orchestrator: Bus, tmp_path: Path) -> None:
    other = Server("nats-1", tmp_path / "other")
    shutil.copytree(member.folder / "certificates", other.folder / "certificates")
    as_in_kubernetes(other, tmp_path / "keys", member)
    try:
        await other.listening()
        await eventually(lambda: asyncio.to_thread(lambda: other.neighbours() == {member.name}), SECONDS)
        ca = str(member.folder / "certificates" / "ca.pem")
        gateway = await asyncio.wait_for(connect(other.url, "test", keys.access(tmp_path / "keys", roles.GATEWAY, ca)), SECONDS)
        heard = await heard_at(gateway.client, subjects.ALL_RUN_CONTROL)

        async def arrives() -> bool:  # what is subscribed to at one server is known to the other a moment later
            await orchestrator.tell(subjects.run_control("r1"), STOP)
            return bool(heard)

        await eventually(arrives, SECONDS)
        await gateway.close()
    finally:
        other.stop()


def row_of_free_ports() -> int:
    """The first of the ports that `deploy/cluster/cluster` takes."""
    for first in range(free_port(), 60000, 31):
        with contextlib.suppress(OSError), contextlib.ExitStack() as held:
            for port in (first + offset + number for offset in (0, 11, 21) for number in range(3)):
                held.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first
    raise RuntimeError("no row of free ports")


async def test_the_three_servers_of_one_machine_let_no_fourth_in_and_are_open_to_it_alone(tmp_path: Path) -> None:
    folder, port = tmp_path / "cluster", row_of_free_ports()
    variables = {**os.environ, "CLUSTER_PORT": str(port), "CLUSTER_FOLDER": str(folder), "PYTHON": sys.executable}
    variables["NATS_SERVER"] = str(BINARY)

    def script(verb: str) -> None:
        subprocess.run([str(DEPLOY / "cluster" / "cluster"), verb], check=True, env=variables, timeout=90, capture_output=True)

    stranger = Server("stranger", tmp_path / "stranger")
    try:
        await asyncio.to_thread(script, "up")
        as_a_stranger(stranger, port + 11)
        await stranger.listening()
        log = folder / "1.log"
        before = log.read_text().count("Router connection closed")
        await eventually(lambda: log.read_text().count("Router connection closed") >= before + 3, SECONDS)

        assert stranger.neighbours() == set()
        for number in (1, 2, 3):
            process = psutil.Process(int((folder / f"{number}.pid").read_text()))
            open_at = {c.laddr.ip for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN}
            assert open_at == {"127.0.0.1"}
    finally:
        with contextlib.suppress(AttributeError):  # it was not started
            stranger.stop()
        await asyncio.to_thread(script, "down")


def test_a_server_that_has_no_routes_opens_no_port_for_them(tmp_path: Path) -> None:
    server = SecuredServer(tmp_path)
    server.start()
    try:
        listening = [c for c in psutil.Process(server.pid).net_connections("inet") if c.status == psutil.CONN_LISTEN]
        assert [f"nats://{c.laddr.ip}:{c.laddr.port}" for c in listening] == [server.url]
    finally:
        server.stop()


def test_certificates_are_kept_until_they_expire_and_their_names_with_them(tmp_path: Path) -> None:
    made = tmp_path / "certificates"

    def make(*names: str) -> dict[str, bytes]:
        subprocess.run([str(DEPLOY / "certificates"), str(tmp_path), *names], check=True, capture_output=True)
        return {file.name: file.read_bytes() for file in made.iterdir()}

    first = make()
    assert make() == first
    named = make("bus.example", "192.0.2.7")
    assert {name for name in named if named[name] != first[name]} == {"server.pem", "server-key.pem"}
    expiring = ["openssl", "x509", "-in", "server.pem", "-days", "30", "-signkey", "server-key.pem", "-out", "server.pem"]
    subprocess.run(expiring, cwd=made, check=True, capture_output=True)
    make()
    text = subprocess.run(["openssl", "x509", "-in", made / "server.pem", "-noout", "-text"], check=True, capture_output=True)  # noqa: S607  # the one in the PATH
    assert b"DNS:bus.example, IP Address:192.0.2.7" in text.stdout
    assert {file.stat().st_mode & 0o077 for file in [*made.iterdir(), *(tmp_path / "authority").iterdir()]} == {0}


def test_no_server_and_no_service_is_given_what_signs_certificates(tmp_path: Path) -> None:
    certificates(tmp_path)
    signing = {file.name for file in (tmp_path / "authority").glob("*-key.pem")}
    given = {file.name for file in (tmp_path / "certificates").iterdir()}

    assert signing == {"ca-key.pem", "routes-ca-key.pem"}
    assert not signing & given
