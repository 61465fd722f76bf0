"""The launcher with a real nats-server: with stand-ins for the services, and once with the real ones."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import structlog

from services.launcher import keys, nats_server, producers
from services.launcher.children import Child, Program
from services.launcher.elastic import Demand
from services.launcher.errors import StartError
from services.launcher.folder import ChildReport, Folder
from services.launcher.locks import end_holders, hold, holder, name_holder
from services.launcher.nats_server import program, start
from services.launcher.probes import fetch
from services.launcher.stack import NATS, Stack
from services.launcher.supervisor import Supervisor
from shared import streams
from shared.bus import Bus, bucket_key, connect
from shared.messages import RunSpec, RunState, Status
from shared.roles import ORCHESTRATOR
from tests.conftest import NatsServer, eventually
from tests.integration.secured_server import SecuredServer

STAND_IN = """
import sys
from shared.service import Settings, environment, load, run, service

async def main():
    async with service(sys.argv[1], load(Settings, environment()), "A stand-in") as me:
        await me.run_until_stopped()

run(main)
"""


class StandIns(Stack):
    """A stack whose services only answer that they are there."""

    def service(self, name: str, nats_url: str) -> Program:
        return stand_in(super().service(name, nats_url))

    def producer(self, provider: str, number: int, nats_url: str) -> Program:
        return stand_in(super().producer(provider, number, nats_url))

    def local_model(self, nats_url: str) -> Program:
        return stand_in(super().local_model(nats_url))


class Broken(StandIns):
    """A stack whose recorder cannot start."""

    def service(self, name: str, nats_url: str) -> Program:
        failing = (sys.executable, "-c", "raise SystemExit('the disk is full')")
        it = super().service(name, nats_url)
        return replace(it, command=failing) if name == "recorder" else it


def stand_in(program: Program) -> Program:
    return replace(program, command=(sys.executable, "-c", STAND_IN, program.service), probe="")


def stack_of(kind: type[Stack], *services: str, producers: int = 1, join: str = "") -> Stack:
    return kind(
        services=services,
        base=Demand(("random",), producers),
        port=0,
        join=join,
        nats_port=-1,
        local_model_url="http://127.0.0.1:1/v1",
        local_model_port=1,
        log_level="info",
        one_run=True,  # stand-ins write no log that could be compared with a copy
    )


class Running:
    """A supervisor at work in this process."""

    def __init__(self, stack: Stack, folder: Folder) -> None:
        self.folder = folder
        self.has_nats = stack.has_nats
        self.url = ""
        self._stopping = asyncio.Event()
        self._task = asyncio.create_task(Supervisor(stack, folder).run(self._stopping, self._announced))

    def _announced(self, url: str) -> None:
        self.url = url

    async def ready(self) -> "Running":
        """Wait until it is; raises what it failed of."""
        await eventually(lambda: self.url or self._task.done(), 30)
        if self._task.done():
            self._task.result()
        return self

    async def stop(self) -> None:
        self._stopping.set()
        await asyncio.gather(self._task, return_exceptions=True)

    def children(self) -> dict[str, ChildReport]:
        report = self.folder.read_report()
        return {child.name: child for child in report.children} if report else {}

    def states(self) -> dict[str, str]:
        return {name: child.state for name, child in self.children().items()}

    async def connect(self) -> Bus:
        """As the orchestrator, unless the NATS is somebody else's."""
        return await connect(self.url, "test", keys.access(self.folder.keys if self.has_nats else None, ORCHESTRATOR))

    async def tell(self, run: str, status: Status, providers: tuple[str, ...], producers: int) -> None:
        """Say where a run stands, as the orchestrator does."""
        bus = await self.connect()
        spec = RunSpec(topic="Test", providers=providers, producers=producers)
        await bus.publish(bucket_key("RUNS", run), RunState(run=run, spec=spec, status=status))
        await bus.close()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path / "stack")
    folder.make()
    return folder


Launch = Callable[[Stack], Running]


@pytest.fixture
async def launch(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Launch]:
    """Runs stacks in `folder`, and stops them after the test."""
    for variable in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(variable, raising=False)
    running: list[Running] = []

    def start_stack(stack: Stack) -> Running:
        running.append(Running(stack, folder))
        return running[-1]

    yield start_stack
    for each in running:
        await each.stop()


def nothing_is_left(folder: Folder) -> bool:
    return all(holder(lock) is None for lock in folder.child_locks())


async def test_a_stack_is_announced_when_all_answer_and_leaves_nothing_behind(launch: Launch, folder: Folder) -> None:
    it = await launch(stack_of(StandIns, NATS, "orchestrator", "recorder", producers=2)).ready()
    await eventually(lambda: set(it.states().values()) == {"ready"})
    assert sorted(it.states()) == ["nats", "orchestrator", "producer-random-1", "producer-random-2", "recorder"]
    bus = await it.connect()
    assert await bus.provisioned()
    await bus.close()

    await it.stop()

    assert nothing_is_left(folder)
    assert folder.read_report() is None


async def test_what_was_stored_is_there_at_the_next_start(launch: Launch) -> None:
    first = await launch(stack_of(StandIns, NATS, producers=0)).ready()
    await first.tell("run-1", "finished", ("random",), 1)
    await first.stop()

    second = await launch(stack_of(StandIns, NATS, producers=0)).ready()

    bus = await second.connect()
    assert await bus.last("KV_RUNS", bucket_key("RUNS", "run-1"))
    await bus.close()


async def test_a_killed_producer_is_replaced(launch: Launch) -> None:
    it = await launch(stack_of(StandIns, NATS)).ready()
    first = it.children()["producer-random-1"].pid

    os.kill(first, signal.SIGKILL)

    await eventually(lambda: it.children()["producer-random-1"].restarts == 1)
    await eventually(lambda: it.states()["producer-random-1"] == "ready")
    assert it.children()["producer-random-1"].pid != first


async def test_a_killed_server_comes_back_where_it_was(launch: Launch) -> None:
    it = await launch(stack_of(StandIns, NATS)).ready()
    await it.tell("run-1", "finished", ("random",), 1)
    producer = it.children()["producer-random-1"].pid

    os.kill(it.children()["nats"].pid, signal.SIGKILL)

    await eventually(lambda: it.children()["nats"].restarts == 1)
    await eventually(lambda: set(it.states().values()) == {"ready"})
    async with asyncio.timeout(10):
        bus = await it.connect()
    assert await bus.last("KV_RUNS", bucket_key("RUNS", "run-1"))
    await bus.close()
    assert it.children()["producer-random-1"].pid == producer


async def test_a_run_gets_the_producers_it_asks_for_until_it_ends(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(producers, "SURPLUS_SECONDS", 0.1)
    it = await launch(stack_of(StandIns, NATS)).ready()

    await it.tell("run-1", "running", ("random",), 3)

    await eventually(lambda: set(it.states()) >= {"producer-random-2", "producer-random-3"})
    await eventually(lambda: set(it.states().values()) == {"ready"})

    await it.tell("run-1", "finished", ("random",), 3)

    await eventually(lambda: sorted(it.states()) == ["nats", "producer-random-1"])
    assert holder(it.folder.child_lock("producer-random-3")) is None


async def test_a_surplus_producer_waits_for_the_next_run(launch: Launch) -> None:
    it = await launch(stack_of(StandIns, NATS)).ready()
    await it.tell("run-1", "running", ("random",), 2)
    await eventually(lambda: it.states().get("producer-random-2") == "ready")
    second = it.children()["producer-random-2"].pid
    await it.tell("run-1", "finished", ("random",), 2)

    await it.tell("run-2", "running", ("random",), 3)

    await eventually(lambda: "producer-random-3" in it.states())
    assert it.children()["producer-random-2"].pid == second


async def test_the_local_model_starts_when_a_run_first_wants_it(launch: Launch) -> None:
    it = await launch(stack_of(StandIns, NATS)).ready()
    assert "local-model" not in it.states()

    await it.tell("run-1", "running", ("local",), 1)

    await eventually(lambda: it.states().get("local-model") == it.states().get("producer-local-1") == "ready")


async def test_a_provider_without_a_key_is_not_started_and_said_once(launch: Launch) -> None:
    with structlog.testing.capture_logs() as logs:
        it = await launch(stack_of(StandIns, NATS)).ready()
        await it.tell("run-1", "running", ("openai", "random"), 4)
        await eventually(lambda: "producer-random-2" in it.states())
        await it.tell("run-2", "running", ("openai", "random"), 6)
        await eventually(lambda: "producer-random-3" in it.states())

    refusals = [entry["error"] for entry in logs if entry["event"] == "producer.unusable"]
    assert len(refusals) == 1
    assert "set OPENAI_API_KEY" in refusals[0]
    assert not [name for name in it.states() if "openai" in name]


async def test_an_unreadable_run_state_is_passed_over(launch: Launch) -> None:
    it = await launch(stack_of(StandIns, NATS)).ready()
    bus = await it.connect()
    await bus.client.jetstream().publish(bucket_key("RUNS", "odd"), b"\xff not json")
    await bus.close()

    await it.tell("run-1", "running", ("random",), 2)

    await eventually(lambda: it.states().get("producer-random-2") == "ready")


async def test_a_service_that_cannot_start_is_named_with_its_last_words(launch: Launch, folder: Folder) -> None:
    with pytest.raises(StartError, match=r"recorder ended 3 times: the disk is full\. Its log: .*recorder\.log"):
        await launch(stack_of(Broken, NATS, "recorder")).ready()

    assert nothing_is_left(folder)


async def test_another_nats_is_joined_and_given_the_streams(launch: Launch, nats_server: NatsServer) -> None:
    it = await launch(stack_of(StandIns, "recorder", join=nats_server.url)).ready()

    assert it.url == nats_server.url
    assert sorted(it.states()) == ["producer-random-1", "recorder"]
    report = it.folder.read_report()
    assert report is not None
    assert report.nats_url == ""  # it might hold a password

    await it.stop()
    bus = await connect(nats_server.url, "test")
    assert await bus.provisioned()
    await bus.close()


async def test_stopping_while_it_starts_leaves_nothing_behind(launch: Launch, folder: Folder) -> None:
    it = launch(stack_of(StandIns, NATS, "recorder"))
    await eventually(lambda: holder(folder.child_lock("recorder")))

    await it.stop()

    assert nothing_is_left(folder)


async def test_the_server_keeps_what_it_acknowledged_within_the_projects_bounds(folder: Folder) -> None:
    server = Child(program(folder), folder, lambda: None)
    try:
        await start(server, folder)
        monitor = server.program.probe.removesuffix("/healthz")
        limits = json.loads((await fetch(f"{monitor}/varz"))[1])
        config = json.loads((await fetch(f"{monitor}/jsz?config=true"))[1])["config"]
    finally:
        await server.stop()

    assert config["sync_always"] is True
    assert config["max_storage"] == streams.MAX_FILE_STORE
    assert limits["max_payload"] == streams.MAX_PAYLOAD
    assert (limits["host"], limits["http_host"]) == ("127.0.0.1", "127.0.0.1")


async def test_a_server_that_would_lose_what_it_acknowledged_is_refused(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "careless").mkdir()
    (tmp_path / "careless" / "secured.conf").write_text("jetstream {}")
    monkeypatch.setattr("services.launcher.keys.CONFIG", tmp_path / "careless")
    server = Child(program(folder), folder, lambda: None)
    try:
        with pytest.raises(StartError, match="sync_interval"):
            await start(server, folder)
    finally:
        await server.stop()


async def test_a_server_that_cannot_start_says_why(folder: Folder) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = Child(program(folder, port=taken.getsockname()[1]), folder, lambda: None)
        try:
            with pytest.raises(StartError, match="address already in use"):
                await start(server, folder)
        finally:
            await server.stop()


async def test_a_server_that_never_listens_is_not_waited_for_for_ever(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nats_server, "START_SECONDS", 0.3)
    server = Child(replace(program(folder), command=("sleep", "60")), folder, lambda: None)
    try:
        with pytest.raises(StartError, match=r"does not listen after 0\.3 s.*nats\.log"):
            await start(server, folder)
    finally:
        await server.stop()


async def test_a_server_that_cannot_write_down_its_ports_is_told(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nats_server, "PORTS_SECONDS", 0.3)
    command = ("sh", "-c", f": > {folder.nats}/nats-server_$$.ports; exec sleep 60")  # as on a disk that is full
    server = Child(replace(program(folder), command=command), folder, lambda: None)
    try:
        with pytest.raises(StartError, match="is the disk full"):
            await start(server, folder)
    finally:
        await server.stop()


# ---- the commands, as processes ---------------------------------------------------------------------------------------


def launcher(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "services.launcher", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=90, env={**os.environ, **variables})


@contextlib.contextmanager
def run_in_foreground(folder: Folder, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`launcher run`, ended in any case."""
    command = [sys.executable, "-m", "services.launcher", "run", "--folder", str(folder.root), *arguments]
    command += ["--provider", "random", "--producers", "0"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


def first_line(process: subprocess.Popen[str]) -> dict[str, object]:
    assert process.stdout is not None
    answer: dict[str, object] = json.loads(process.stdout.readline())
    return answer


def test_run_says_in_one_line_that_it_is_ready_and_ends_with_its_input(folder: Folder) -> None:
    with run_in_foreground(folder, "--services", "nats,recorder", "--parent-stdin") as process:
        answer = first_line(process)
        assert answer["ready"] is True
        assert str(answer["nats_url"]).startswith("nats://127.0.0.1:")
        assert process.stdin is not None

        process.stdin.close()

        assert process.wait(20) == 0
        assert process.stdout is not None
        assert process.stdout.read() == ""
    assert nothing_is_left(folder)


@pytest.mark.parametrize(("umask", "open_to_others"), [("", 0), ("022", 0o044)])
def test_what_a_stack_writes_is_the_users_alone_unless_set_otherwise(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, umask: str, open_to_others: int
) -> None:
    monkeypatch.setenv("UMASK", umask)
    before = os.umask(0)
    try:
        with run_in_foreground(folder, "--services", "nats,recorder", "--parent-stdin") as process:
            assert first_line(process)["ready"] is True
    finally:
        os.umask(before)
    for file in (folder.log("recorder"), folder.log("nats"), folder.log("launcher")):
        assert file.stat().st_mode & 0o777 == 0o600 | open_to_others, file


def test_a_umask_that_is_none_is_told(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UMASK", "rw-------")
    with run_in_foreground(folder, "--services", "nats") as process:
        assert "umask" in str(first_line(process)["error"])


def test_a_joined_nats_that_asks_for_a_key_is_told_at_once(folder: Folder, tmp_path: Path) -> None:
    server = SecuredServer(tmp_path / "secured")
    server.start()
    try:
        tapped = launcher("tap", NATS_URL=server.url, NATS_NKEY="")
        started = launcher("run", "--services", "recorder", "--folder", str(folder.root), NATS_URL=server.url)
    finally:
        server.stop()
    assert (tapped.returncode, started.returncode) == (1, 1)
    assert "the key of the role tap" in tapped.stderr
    assert "the key of the role provision" in json.loads(started.stdout)["error"]


async def test_a_run_that_asks_for_too_many_producers_gets_fewer_and_it_is_said_once(launch: Launch) -> None:
    """One request with `producers: 99` started 98 processes."""
    with structlog.testing.capture_logs() as logs:
        it = await launch(replace(stack_of(StandIns, NATS), most_producers=3)).ready()
        await it.tell("run-1", "running", ("random",), 99)
        await eventually(lambda: it.states().get("producer-random-3") == "ready")
        await it.tell("run-2", "running", ("random",), 2)  # and it is looked at again
        await eventually(lambda: len([e for e in logs if e["event"] == "producers.cut"]) == 1)
    assert [name for name in it.states() if name.startswith("producer-")] == [f"producer-random-{n}" for n in (1, 2, 3)]


def test_run_refuses_a_folder_in_use_and_ends_on_a_signal(folder: Folder) -> None:
    with run_in_foreground(folder, "--services", "nats") as process:
        assert first_line(process)["ready"] is True

        with run_in_foreground(folder, "--services", "nats") as second:
            answer = first_line(second)
            assert second.wait(20) == 1
        assert answer["ready"] is False
        assert "a stack runs already in" in str(answer["error"])

        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert nothing_is_left(folder)


async def test_nothing_survives_a_killed_launcher(folder: Folder) -> None:
    with run_in_foreground(folder, "--services", "nats,recorder") as process:
        assert first_line(process)["ready"] is True
        process.kill()

    if sys.platform != "linux":  # where the kernel does not end the server with its parent, the next command does
        end_holders(folder.child_locks())
    await eventually(lambda: nothing_is_left(folder), 20)


async def test_a_server_left_behind_is_ended_at_the_next_start(folder: Folder) -> None:
    lock = hold(folder.child_lock("nats"))
    assert lock is not None
    left = await asyncio.create_subprocess_exec(sys.executable, "-c", "import signal; signal.pause()", pass_fds=(lock,))
    name_holder(lock, left.pid)
    os.close(lock)

    try:
        with run_in_foreground(folder, "--services", "nats", "--parent-stdin") as process:
            answer = await asyncio.to_thread(first_line, process)
        assert answer["ready"] is True
        assert await asyncio.wait_for(left.wait(), 10) == -signal.SIGTERM
    finally:
        with contextlib.suppress(ProcessLookupError):
            left.kill()


def test_the_whole_stack_goes_up_answers_and_comes_down(folder: Folder, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    where = ("--folder", str(folder.root))
    settings = {"PROVIDER": "random", "PRODUCERS": "2", "PORT": port, "NATS_URL": "", "OUTPUT": str(tmp_path / "output")}
    try:
        up = launcher("up", *where, **settings)
        assert (up.returncode, up.stderr) == (0, "")
        assert f"http://localhost:{port}" in up.stdout
        with urllib.request.urlopen(f"http://localhost:{port}/", timeout=5) as page:
            assert page.status == 200

        status = launcher("status", *where, NATS_URL="")
        assert status.returncode == 0
        names = {line.split()[0] for line in status.stdout.splitlines()[1:] if "ready" in line}
        assert names == {"nats", "orchestrator", "recorder", "gateway", "producer-random-1", "producer-random-2"}

        again = launcher("up", *where, **settings)
        assert again.returncode == 0
        assert f"already running: http://localhost:{port}" in again.stdout
    finally:
        down = launcher("down", *where)
    assert (down.returncode, down.stdout) == (0, "Stopped.\n")
    assert nothing_is_left(folder)
    assert holder(folder.lock) is None
    assert launcher("status", *where).returncode == 1
    assert launcher("down", *where).stdout == "Nothing was running.\n"


def test_status_tells_a_service_that_does_not_answer(folder: Folder) -> None:
    with run_in_foreground(folder, "--services", "nats,recorder", "--parent-stdin") as process:
        assert first_line(process)["ready"] is True
        report = folder.read_report()
        assert report is not None
        recorder = next(child.pid for child in report.children if child.name == "recorder")
        os.kill(recorder, signal.SIGSTOP)
        try:
            status = launcher("status", "--folder", str(folder.root))
        finally:
            os.kill(recorder, signal.SIGCONT)
        assert process.stdin is not None
        process.stdin.close()

    assert status.returncode == 1
    assert [line.split()[2] for line in status.stdout.splitlines() if line.startswith("recorder")] == ["silent"]


def test_a_taken_port_is_named_with_a_way_out(folder: Folder) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        up = launcher("up", "--folder", str(folder.root), "--provider", "random", "--port", str(port))

    assert up.returncode == 1
    assert up.stderr == f"Port {port} is taken by another program. Choose another: make up PORT={port + 1}\n"
    assert nothing_is_left(folder)


async def test_tap_prints_what_passes(nats_url: str) -> None:
    command = [sys.executable, "-m", "services.launcher", "tap", "control.>"]
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "NATS_URL": nats_url},
        preexec_fn=default_interrupt,
    )
    try:
        await sees_what_passes(process, nats_url)
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 130
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()


def default_interrupt() -> None:
    """A shell that runs the tests in the background ignores Ctrl-C, and what it starts inherits that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


async def sees_what_passes(process: asyncio.subprocess.Process, nats_url: str) -> None:
    assert process.stdout is not None
    lines: asyncio.StreamReader = process.stdout
    async with asyncio.timeout(20):
        assert b"Listening on control.>" in await lines.readline()
        bus = await connect(nats_url, "test")
        await bus.client.publish("control.run.run-1", b'{"run":"run-1\x1b"}')
        await bus.close()

        assert await lines.readline() == b"[#1] control.run.run-1\n"
        assert (await lines.readline()).decode() == '{"run":"run-1\N{REPLACEMENT CHARACTER}"}\n'
