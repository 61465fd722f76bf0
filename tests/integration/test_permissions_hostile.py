"""What a hostile holder of one role's key tries, and how each attempt ends."""

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import nats.errors
import pytest
import structlog
from nats.aio.msg import Msg

from services.launcher import keys
from services.launcher.folder import PROJECT
from services.launcher.nats_server import ACCOUNT
from shared import metrics, roles, signatures, streams, subjects
from shared.bus import Access, Bus, Denied, Malformed, Unavailable, connect, encode
from shared.messages import Candidate, Epoch, Finished, Presence, RunControl, Task
from shared.signatures import Signer, Verifier
from tests.conftest import NatsServer, eventually
from tests.integration.secured_server import SecuredServer

PRODUCER = roles.producer("random")
RUN = "r1"
STOP = RunControl(run=RUN, action="stopping")


def a_task(id: str = "t1") -> Task:
    return Task(id=id, run=RUN, provider="random", topic="Paris", ordinal=1)


def a_candidate(provider: str = "random") -> Candidate:
    return Candidate(id="c1", run=RUN, task="t1", ordinal=1, text="Louvre", provider=provider, model="m", producer="p", at="")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[SecuredServer]:
    it = SecuredServer(tmp_path)
    it.start()
    try:
        await it.provision()
        yield it
    finally:
        it.stop()


@pytest.fixture
async def hostile(server: SecuredServer) -> AsyncIterator[Bus]:
    """A producer of the random provider with bad intentions."""
    async with server.connected(PRODUCER) as bus:
        yield bus


@pytest.fixture
async def orchestrator(server: SecuredServer) -> AsyncIterator[Bus]:
    async with server.connected(roles.ORCHESTRATOR) as bus:
        yield bus


async def refused(bus: Bus, subject: str, message: object) -> None:
    with structlog.testing.capture_logs() as logs, pytest.raises(Denied, match=r"do not allow"):
        await bus.publish(subject, message)  # type: ignore[arg-type]  # each is a message
    (said,) = [entry for entry in logs if entry["event"] == "bus.denied"]
    assert (said["log_level"], said["subject"], said["role"]) == ("error", subject.lower(), PRODUCER)
    assert said["reason"] == "permissions violation"


async def heard_by(bus: Bus, subject: str) -> list[Msg]:
    heard: list[Msg] = []

    async def on_message(message: Msg) -> None:
        heard.append(message)

    await bus.client.subscribe(subject, cb=on_message)
    await settled(bus)
    return heard


async def settled(bus: Bus) -> None:
    """Wait until the server has what was sent. Twice: the client may send its ping before what it has buffered."""
    for _ in range(2):
        await bus.client.flush()


async def test_a_producer_forges_neither_another_nor_the_log(
    hostile: Bus, orchestrator: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal comes without an answer: it is told apart from silence, and nothing arrives."""
    monkeypatch.setattr("shared.waits.REQUEST_SECONDS", 0.3)
    hostile._js._timeout = 0.3  # noqa: SLF001  # so that a refusal is not waited for in full

    await refused(hostile, subjects.candidate(RUN, "openai"), a_candidate("openai"))
    await refused(hostile, subjects.finished(RUN), Finished(run=RUN, status="finished", reason="", accepted=0, duplicates=0))
    await refused(hostile, subjects.epoch(9), Epoch(epoch=9, orchestrator="me"))
    await refused(hostile, subjects.task("random", RUN), a_task())
    await refused(hostile, subjects.run_control(RUN), STOP)
    await refused(hostile, "$KV.RUNS.r1", STOP)

    assert (await orchestrator.head("RESULTS")).last == 0
    assert (await orchestrator.head(streams.reports("random"))).last == 0
    assert await orchestrator.waiting("TASKS", subjects.ALL_TASKS) == []


async def test_a_producer_asks_for_nothing_that_is_the_gateways(hostile: Bus) -> None:
    with pytest.raises(Denied):
        await hostile.ask(subjects.STOP_RUN, STOP, timeout=0.3)


async def test_a_producer_takes_and_acknowledges_its_own_tasks_alone(
    server: SecuredServer, hostile: Bus, orchestrator: Bus
) -> None:
    await orchestrator.publish(subjects.task("openai", RUN), a_task())
    taking = hostile.queue("openai")

    with pytest.raises(Denied):
        await taking.take()

    async with server.connected(roles.producer("openai")) as honest:
        delivery = await honest.queue("openai").take()
        assert delivery
        await hostile.client.publish("$JS.ACK.TASKS.producer-openai.1.1.1.1.0", b"+ACK")
        await settled(hostile)
        assert len(await orchestrator.waiting("TASKS", subjects.ALL_TASKS)) == 1


async def test_nobody_but_provision_makes_a_consumer_that_delivers_where_its_maker_may_not_publish(
    server: SecuredServer, orchestrator: Bus
) -> None:
    """nats-server lets whoever may make a consumer aim it anywhere, so the right to make one is given to nobody else."""
    heard = await heard_by(orchestrator, subjects.START_RUN)
    config = {"stream_name": "RESULTS", "config": {"deliver_subject": subjects.START_RUN, "ack_policy": "none"}}
    named = {**config, "config": {**config["config"], "name": "x"}}  # type: ignore[dict-item]  # a request as it stands on the wire
    for role in roles.ROLES:
        if role in (roles.PROVISION, roles.MONITOR, roles.TAP):
            continue
        async with server.connected(role) as bus:
            for subject, body in (
                ("$JS.API.CONSUMER.CREATE.RESULTS", config),
                ("$JS.API.CONSUMER.CREATE.RESULTS.x", named),
                ("$JS.API.CONSUMER.DURABLE.CREATE.RESULTS.x", named),
            ):
                await bus.client.publish(subject, json.dumps(body).encode())
            await settled(bus)

    async with server.connected(roles.PROVISION) as bus:
        assert await bus.client.jetstream().consumers_info("RESULTS") == []
    assert heard == []


async def test_an_answer_that_is_aimed_at_control_is_obeyed_by_nobody(
    server: SecuredServer, hostile: Bus, orchestrator: Bus
) -> None:
    """The server answers a publish wherever the publisher says; permissions do not hold it back, signatures do."""
    obeyed: list[RunControl] = []

    async def obey(control: RunControl) -> None:
        obeyed.append(control)

    async with server.connected(roles.producer("openai")) as honest:
        await honest.listen(subjects.ALL_RUN_CONTROL, RunControl, obey)
        heard = await heard_by(honest, subjects.ALL_RUN_CONTROL)
        before = metrics.MALFORMED.total

        with structlog.testing.capture_logs() as logs:
            data = encode(a_candidate())
            await hostile.client.publish(subjects.candidate(RUN, "random"), data, reply=subjects.run_control(RUN))
            await eventually(lambda: heard)  # the hole is there
            await orchestrator.tell(subjects.run_control(RUN), STOP)
            await eventually(lambda: obeyed)

    assert obeyed == [STOP]
    assert [entry["error"] for entry in logs if entry["event"] == "bus.malformed"] == ["not signed"]
    assert metrics.MALFORMED.total == before + 1


AIMS = (
    subjects.finished(RUN),
    subjects.epoch(7),
    subjects.accepted(RUN, "louvre"),
    subjects.issued(RUN, "r1-0"),
    subjects.task("openai", RUN),
    subjects.STOP_RUN,
    "$KV.RUNS.r1",
)
"""Where an answer of the server would do harm."""


@pytest.mark.parametrize("aim", AIMS)
async def test_an_answer_that_a_producer_aims_reaches_nobody(
    server: SecuredServer, hostile: Bus, orchestrator: Bus, aim: str
) -> None:
    """To a publish, to a question, to a request for a task, and to its own messages: all stay in the producers' account."""
    await orchestrator.publish(subjects.task("random", RUN), a_task())
    async with server.connected(roles.TAP) as tap:
        heard = await heard_by(tap, aim) if aim.startswith(("attributes.", "control.")) else []
        ask, client = "$JS.API.CONSUMER.MSG.NEXT.TASKS.producer-random", hostile.client
        await client.publish(subjects.candidate(RUN, "random"), encode(a_candidate()), reply=aim)
        await client.publish(subjects.begun(RUN, "random", "t1"), b"{}", reply=aim)
        await client.publish("$JS.API.DIRECT.GET.REPORTS_random.begun.r1.random.t1", b"", reply=aim)
        await client.publish(ask, b'{"batch":1,"no_wait":true}', reply=aim)
        await heard_by(hostile, subjects.pause("random"))  # what it hears there names the aim for answers
        await client.publish(subjects.pause("random"), b"{}", reply=aim)
        await settled(hostile)
        await client.publish(aim, b"{}")
        await settled(hostile)
        await settled(tap)
        await orchestrator.head("RESULTS")
        assert heard == []
    for stream in ("RESULTS", "KV_RUNS"):
        assert (await orchestrator.head(stream)).last == 0
    assert [stored.subject for stored in await orchestrator.waiting("TASKS", subjects.ALL_TASKS)] == [
        subjects.task("random", RUN)
    ]


async def test_a_task_of_another_provider_cannot_be_had_by_its_answer(hostile: Bus, orchestrator: Bus) -> None:
    """A genuine task that is sent on to another subject is not signed for that one."""
    await orchestrator.publish(subjects.task("random", RUN), a_task())
    ask = "$JS.API.CONSUMER.MSG.NEXT.TASKS.producer-random"
    await hostile.client.publish(ask, b'{"batch":1}', reply=subjects.run_control(RUN))
    await settled(hostile)

    data = encode(a_task())
    signature = orchestrator.client.signer.sign(subjects.task("random", RUN), data)  # type: ignore[union-attr]  # it has one
    verifier = hostile.client.verifier
    verifier.check(subjects.task("random", RUN), data, {signatures.HEADER: signature})
    with pytest.raises(Malformed, match="somebody else"):
        verifier.check(subjects.task("openai", RUN), data, {signatures.HEADER: signature})


async def test_inboxes_of_others_are_closed(server: SecuredServer, hostile: Bus) -> None:
    async with server.connected(roles.RECORDER) as recorder:
        overheard = await heard_by(hostile, "_INBOX_recorder.>")
        assert (await recorder.head("RESULTS")).last == 0
        await settled(hostile)

    assert overheard == []


async def test_the_tap_hears_and_says_nothing(server: SecuredServer, orchestrator: Bus, hostile: Bus) -> None:
    async with server.connected(roles.TAP) as tap:
        heard = await heard_by(tap, "attributes.>")
        await hostile.publish(subjects.candidate(RUN, "random"), a_candidate())
        await eventually(lambda: heard)
        await tap.tell(subjects.run_control(RUN), STOP)
        await tap.tell(subjects.candidate(RUN, "random"), a_candidate())
        await settled(tap)

    assert (await orchestrator.head(streams.reports("random"))).last == 1


async def test_every_role_reads_and_writes_what_its_service_needs(server: SecuredServer, orchestrator: Bus) -> None:
    fence = (await orchestrator.claim_epoch(lambda n: Epoch(epoch=n, orchestrator="o")))[1]
    assert fence == 1
    await orchestrator.publish("$KV.RUNS.r1", STOP)
    await orchestrator.publish(subjects.task("random", RUN), a_task())
    for role in (roles.GATEWAY, roles.RECORDER, roles.ORCHESTRATOR, roles.REPAIR):
        async with server.connected(role) as bus:
            assert [[m.sequence for m in batch] async for batch in bus.history("RESULTS", [subjects.ALL_EPOCHS])] == [[1]]
            async with contextlib.aclosing(bus.follow("RESULTS", [subjects.ALL_EPOCHS])) as batches:
                assert await anext(batches)
    for role in (roles.GATEWAY, roles.PROVISION):
        async with server.connected(role) as bus, contextlib.aclosing(bus.follow("KV_RUNS", ["$KV.RUNS.*"])) as batches:
            assert await anext(batches)
    async with server.connected(PRODUCER) as bus:
        assert await bus.takes_reports("random")
        delivery = await bus.queue("random").take()
        assert delivery
        await delivery.working()
        await delivery.done()
        await bus.tell(subjects.presence("random", "p"), Presence(producer="p", provider="random"))
    assert await orchestrator.waiting("TASKS", subjects.ALL_TASKS) == []


async def test_the_monitor_sees_the_servers_state(server: SecuredServer) -> None:
    async with server.connected(roles.MONITOR) as bus:
        answer = await bus.client.request("$SYS.REQ.SERVER.PING.JSZ", b'{"config":true}', timeout=5)
        with pytest.raises(nats.errors.TimeoutError):
            await bus.client.request("$JS.API.STREAM.INFO.RESULTS", timeout=0.2)

    assert json.loads(answer.data)["data"]["config"]["sync_always"] is True


async def test_a_stranger_is_not_let_in(server: SecuredServer, tmp_path: Path) -> None:
    keys.make(tmp_path / "other")

    for access in (Access(), keys.access(tmp_path / "other", roles.GATEWAY)):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(connect(server.url, "gateway", access), 1)


async def test_the_streams_of_a_server_without_keys_are_there_with_keys(tmp_path: Path) -> None:
    plain = NatsServer(tmp_path)
    plain.start()
    bus = await connect(plain.url, "test")
    await bus.provision()
    await bus.publish(subjects.epoch(1), Epoch(epoch=1, orchestrator="o"))
    await bus.close()
    plain.kill()

    secured = SecuredServer(tmp_path)
    (tmp_path / "store" / "jetstream" / "$G").rename(tmp_path / "store" / "jetstream" / ACCOUNT)
    secured.start()
    try:
        await secured.provision()
        async with secured.connected(roles.ORCHESTRATOR) as orchestrator:
            assert await orchestrator.last("RESULTS", subjects.epoch(1))
    finally:
        secured.stop()


# ---- signatures --------------------------------------------------------------------------------------------------


@pytest.fixture
def signing(tmp_path: Path) -> tuple[Signer, Verifier]:
    keys.make(tmp_path / "keys")
    seed = keys.seed(tmp_path / "keys", roles.ORCHESTRATOR)
    return Signer(str(seed)), Verifier(str(keys.orchestrator_key(tmp_path / "keys")))


def test_a_signature_holds_for_one_subject_one_payload_and_a_while(
    signing: tuple[Signer, Verifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    signer, verifier = signing
    subject, data = subjects.run_control(RUN), encode(STOP)
    header = {signatures.HEADER: signer.sign(subject, data)}
    verifier.check(subject, data, header)

    at, _, signature = header[signatures.HEADER].partition(" ")
    for wrong in (
        {},
        {signatures.HEADER: ""},
        {signatures.HEADER: f"{at} "},
        {signatures.HEADER: f"{at} not base64"},
        {signatures.HEADER: f"{int(at) + 1} {signature}"},
        {signatures.HEADER: f"later {signature}"},
        {signatures.HEADER: f"{at} {signature[:40]}"},
    ):
        with pytest.raises(Malformed):
            verifier.check(subject, data, wrong)
    with pytest.raises(Malformed):
        verifier.check(subjects.run_control("r2"), data, header)
    with pytest.raises(Malformed):
        verifier.check(subject, data + b" ", header)
    now = time.time()
    for moved in (-61, 61):
        monkeypatch.setattr("shared.signatures.time.time", lambda moved=moved: now + moved)
        with pytest.raises(Malformed, match="by this machine's clock"):
            verifier.check(subject, data, header)


def test_a_task_may_wait_for_hours(signing: tuple[Signer, Verifier], monkeypatch: pytest.MonkeyPatch) -> None:
    signer, verifier = signing
    subject, data = subjects.task("random", RUN), encode(a_task())
    header = {signatures.HEADER: signer.sign(subject, data)}
    now = time.time()
    monkeypatch.setattr("shared.signatures.time.time", lambda: now + 3600)

    verifier.check(subject, data, header)


def test_a_signature_costs_little(signing: tuple[Signer, Verifier]) -> None:
    signer, verifier = signing
    subject, data = subjects.task("random", RUN), encode(a_task())
    begun = time.process_time()
    for _ in range(200):
        verifier.check(subject, data, {signatures.HEADER: signer.sign(subject, data)})

    assert (time.process_time() - begun) / 200 < 0.002


async def test_without_the_orchestrators_key_all_is_taken_and_said_once(bus: Bus) -> None:
    obeyed: list[RunControl] = []

    async def obey(control: RunControl) -> None:
        obeyed.append(control)

    with structlog.testing.capture_logs() as logs:
        await bus.listen(subjects.ALL_RUN_CONTROL, RunControl, obey)
        for _ in range(3):
            await bus.tell(subjects.run_control(RUN), STOP)
        await eventually(lambda: len(obeyed) == 3)

    assert [entry["event"] for entry in logs].count("bus.unsigned_accepted") == 1


# ---- key files ---------------------------------------------------------------------------------------------------


def test_keys_are_private_kept_and_made_anew_when_asked(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    assert keys.make(folder) == [*roles.ROLES]
    before = {file.name: file.read_bytes() for file in folder.iterdir()}

    assert folder.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in folder.glob("*.nk")} == {0o600}
    assert keys.make(folder) == []
    assert keys.make(folder, "gateway") == ["gateway"]
    changed = {file.name for file in folder.iterdir() if file.read_bytes() != before[file.name]}
    assert changed == {"gateway.nk", "public.conf"}
    assert not [name for name, content in before.items() if name.endswith(".nk") and content.strip() in before["public.conf"]]


def test_make_keys_says_what_it_made_and_quotes_none(tmp_path: Path) -> None:
    def launcher_keys(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "services.launcher", "keys", "--folder", str(tmp_path), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    first, rotated, wrong = launcher_keys(), launcher_keys("--rotate", "tap"), launcher_keys("--rotate", "nobody")

    assert first.stdout == f"{tmp_path}/keys: {', '.join(roles.ROLES)}\n"
    assert rotated.stdout == f"{tmp_path}/keys: tap\n"
    assert (wrong.returncode, wrong.stderr.split(";")[0]) == (1, "There is no role 'nobody'")
    assert not [file for file in (tmp_path / "keys").glob("*.nk") if file.read_text().strip() in first.stdout + first.stderr]


@pytest.mark.parametrize(
    ("content", "mode", "sentence"),
    [
        (None, 0o640, "is open to others: make it private with chmod 600"),
        (b"SUnonsense\n", 0o600, "holds no seed"),
        (b"", 0o600, "holds no seed"),
    ],
)
async def test_a_bad_seed_is_refused_with_a_sentence_that_does_not_quote_it(
    nats_url: str, tmp_path: Path, content: bytes | None, mode: int, sentence: str
) -> None:
    keys.make(tmp_path / "keys")
    seed = keys.seed(tmp_path / "keys", roles.GATEWAY)
    secret = (seed.read_bytes() if content is None else content).decode().strip()
    if content is not None:
        seed.write_bytes(content)
    seed.chmod(mode)

    with pytest.raises(SystemExit, match=sentence) as refusal:
        await connect(nats_url, "gateway", keys.access(tmp_path / "keys", roles.GATEWAY))

    assert not secret or secret not in str(refusal.value)


async def test_a_seed_that_is_not_there_is_named(nats_url: str, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"gateway\.nk.* cannot be read: No such file"):
        await connect(nats_url, "gateway", Access(nkey=str(tmp_path / "gateway.nk")))


async def test_no_seed_reaches_a_log(server: SecuredServer) -> None:
    with structlog.testing.capture_logs() as logs:
        async with server.connected(PRODUCER) as bus:
            with contextlib.suppress(Denied, Unavailable):
                await bus.ask(subjects.START_RUN, STOP, timeout=0.3)
    said = json.dumps(logs, default=str) + server.log.read_text()

    assert "bus.denied" in said
    for file in server.keys.glob("*.nk"):
        assert file.read_text().strip() not in said
    assert PROJECT not in server.keys.parents
