"""The command line as a user types it: real processes, a real bus, real files."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from services.orchestrator.dedupe import key
from shared import subjects
from shared.bus import connect
from shared.messages import Presence
from shared.service import end
from tests.conftest import eventually
from tests.integration.secured_server import SecuredServer

FILES = {"output.txt", "output.json", "output.jsonl", "metadata.json"}


class CommandLine:
    """One `orchestrator …` in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.module = ("-m", "services.orchestrator")
        self.process: asyncio.subprocess.Process

    async def start(self, *flags: str, **variables: str) -> None:
        drop = ("NATS_URL", "NATS_NKEY", "OUTPUT", "UMASK")
        inherited = {k: v for k, v in os.environ.items() if not k.endswith("_API_KEY") and k not in drop}
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            *self.module,
            *flags,
            *(() if "--dedupe" in flags else ("--dedupe", "exact")),
            cwd=self.folder,
            env={**inherited, "PYTHONPATH": str(Path.cwd()), **variables},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def end(self, seconds: float = 60) -> tuple[int, str, str]:
        """Wait for the end; returns exit code, standard output and standard error."""
        output, errors = await asyncio.wait_for(self.process.communicate(), seconds)
        return self.process.returncode or 0, output.decode(), errors.decode()

    async def run(self, *flags: str, seconds: float = 60, **variables: str) -> tuple[int, str, str]:
        await self.start(*flags, **variables)
        return await self.end(seconds)

    def children(self) -> list[psutil.Process]:
        """The launcher and all it started."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def producers(self) -> list[psutil.Process]:
        return [p for p in self.children() if "services.producer" in _command_of(p)]


def _command_of(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:  # it ended while we looked
        return []


@pytest.fixture
async def cli(tmp_path: Path) -> AsyncIterator[CommandLine]:
    """A command line that leaves no process behind."""
    under_test = CommandLine(tmp_path)
    yield under_test
    if hasattr(under_test, "process") and under_test.process.returncode is None:
        left = under_test.children()
        under_test.process.kill()
        await under_test.process.wait()
        await asyncio.to_thread(psutil.wait_procs, left, 15)


def check_files(folder: Path) -> dict[str, Any]:
    """All files are there and agree; returns the metadata."""
    assert {p.name for p in folder.iterdir()} >= FILES
    lines = (folder / "output.txt").read_text().splitlines()
    listed = json.loads((folder / "output.json").read_text())
    copies = [json.loads(line) for line in (folder / "output.jsonl").read_text().splitlines()]
    metadata: dict[str, Any] = json.loads((folder / "metadata.json").read_text())
    assert lines == [a["text"] for a in listed] == [c["accepted"]["text"] for c in copies]
    assert [a["ordinal"] for a in listed] == list(range(1, len(lines) + 1))
    assert len({key(line) for line in lines}) == len(lines), "an attribute stands in the list twice"
    assert metadata["accepted"] == len(lines)
    assert metadata["candidates"] == metadata["accepted"] + metadata["duplicates"] + metadata["late"]
    assert metadata["ended"]
    return metadata


async def test_two_producers_make_five_calls_each(cli: CommandLine) -> None:
    code, output, errors = await cli.run(
        *("--topic", "Test Topic", "--provider", "random", "--producers", "2", "--iterations", "5", "--json")
    )
    assert code == 0, errors
    summary = json.loads(output.splitlines()[-1])
    (folder,) = (cli.folder / "output").iterdir()
    assert folder.name == f"test-topic-{summary['run']}"
    metadata = check_files(folder)
    assert metadata["accepted"] == summary["accepted"] > 0
    assert metadata["providers"]["random"]["calls"] == 10
    assert "iterations" in metadata["reason"]


async def test_five_producers_find_many(cli: CommandLine) -> None:
    code, output, errors = await cli.run(
        *("--topic", "Test Topic", "--provider", "random", "--producers", "5", "--iterations", "10", "--json"),
        *("--output", "list"),
    )
    assert code == 0, errors
    assert json.loads(output.splitlines()[-1])["accepted"] >= 200
    metadata = check_files(cli.folder / "list")
    assert metadata["duplicates"] > 0
    assert metadata["providers"]["random"]["calls"] == 50


async def test_a_killed_producer_is_replaced(cli: CommandLine) -> None:
    """SIGKILL in the middle of a call: its task is done by another, all calls are made, the others live on."""
    await cli.start(
        *("--topic", "Test Topic", "--provider", "random", "--producers", "3", "--iterations", "8", "--json"),
        *("--output", "list"),
        RANDOM_LATENCY_SECONDS="0.4",
    )
    await eventually(lambda: (cli.folder / "list/output.txt").exists() and len(cli.producers()) == 3, 30)
    victim, *others = cli.producers()
    victim.kill()
    await eventually(lambda: len(cli.producers()) == 3 and victim.pid not in {p.pid for p in cli.producers()}, 30)
    assert all(p.is_running() for p in others)
    code, _, errors = await cli.end(90)
    assert code == 0, errors
    metadata = check_files(cli.folder / "list")
    assert metadata["providers"]["random"]["calls"] == 24
    names = {a["producer"] for a in json.loads((cli.folder / "list/output.json").read_text())}
    assert len(names) >= 3


async def test_zero_iterations_leave_empty_files(cli: CommandLine) -> None:
    code, _, errors = await cli.run(
        "--topic", "Nothing", "--provider", "random", "--iterations", "0", "--output", "list", "--json"
    )
    assert code == 0, errors
    assert check_files(cli.folder / "list")["accepted"] == 0


async def left_within_two_seconds(cli: CommandLine, number: signal.Signals) -> str:
    """The command line has left at once, as shells see it, and nothing that it started stays; returns what it said."""
    children = cli.children()
    began = time.monotonic()
    cli.process.send_signal(number)
    code, output, errors = await cli.end()
    assert time.monotonic() - began < 2.5, errors  # half a second for a busy machine
    assert code == 128 + number, errors
    assert output == ""
    assert "Traceback" not in errors
    _, alive = await asyncio.to_thread(psutil.wait_procs, children, 20)
    assert alive == []
    return errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_while_the_stack_starts_leaves_at_once(cli: CommandLine, number: signal.Signals) -> None:
    await cli.start(
        "--topic", "Endless", "--provider", "random", "--producers", "2", "--output", "list", TMPDIR=str(cli.folder)
    )
    await eventually(lambda: len(cli.children()) > 1, 30)
    await left_within_two_seconds(cli, number)
    left = [p for folder in cli.folder.glob("chorus-*") for p in folder.iterdir()]
    assert [p.name for p in left if p.name != "log"] == []
    assert not (cli.folder / "list").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_while_it_waits_for_nats_leaves_at_once(cli: CommandLine, number: signal.Signals) -> None:
    """It could be ended by SIGKILL alone."""
    await cli.start("--topic", "Endless", "--provider", "random", NATS_URL="nats://127.0.0.1:1")
    assert cli.process.stderr is not None
    assert b"bus.waiting" in await asyncio.wait_for(cli.process.stderr.readline(), 30)
    await left_within_two_seconds(cli, number)


async def test_a_second_signal_leaves_a_run_at_once(cli: CommandLine) -> None:
    """The first one cannot end it: the orchestrator is held."""
    await cli.start("--topic", "Endless", "--provider", "random", "--producers", "2", "--output", "list")
    await eventually(lambda: (cli.folder / "list/output.txt").is_file() and (cli.folder / "list/output.txt").read_text(), 30)
    (orchestrator,) = [p for p in cli.children() if _command_of(p)[-1:] == ["services.orchestrator"]]
    orchestrator.suspend()
    cli.process.send_signal(signal.SIGINT)
    assert cli.process.stderr is not None
    await eventually_said(cli.process.stderr, b"once more to leave at once")
    left = cli.children()
    cli.process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    code, _, errors = await cli.end()
    took = time.monotonic() - began
    assert (code, took < 2.5) == (143, True), (took, errors)
    _, alive = await asyncio.to_thread(psutil.wait_procs, left, 30)
    assert alive == []


async def eventually_said(stream: asyncio.StreamReader, words: bytes) -> None:
    async with asyncio.timeout(30):
        while words not in await stream.readline():
            pass


SHORT_OF_PATIENCE = "from services.orchestrator.cli import session; session.FILES_SECONDS = {seconds}"
SHORT_OF_PATIENCE += "; from services.orchestrator.__main__ import main; main()"


async def start_patient_for(cli: CommandLine, seconds: float, *flags: str) -> None:
    """As a user starts it, but with another patience for the files."""
    cli.module = ("-c", SHORT_OF_PATIENCE.format(seconds=seconds))
    await cli.start("--topic", "Endless", "--provider", "random", *flags)


async def until_the_folder_is_gone(cli: CommandLine) -> None:
    """Wait for the first attributes, then take the folder away: a file lies in its place."""
    await eventually(lambda: (cli.folder / "list/output.txt").is_file() and (cli.folder / "list/output.txt").read_text(), 30)
    (cli.folder / "list").rename(cli.folder / "taken")
    (cli.folder / "list").write_text("in the way")
    while (cli.folder / "taken").exists():  # it is written to meanwhile
        shutil.rmtree(cli.folder / "taken", ignore_errors=True)


async def test_a_list_whose_files_cannot_be_written_goes_to_standard_output(cli: CommandLine) -> None:
    await start_patient_for(cli, 1, "--max-items", "1500", "--output", "list", "--json")
    await until_the_folder_is_gone(cli)
    code, output, errors = await cli.end()
    assert code == 1
    assert "The files were not complete after 1 seconds; the list is on standard output." in errors
    *texts, summary = output.splitlines()
    assert json.loads(summary)["output"] is None
    assert len(texts) == json.loads(summary)["accepted"] == len({key(text) for text in texts}) == 1500


async def test_a_signal_while_files_are_awaited_leaves_at_once(cli: CommandLine) -> None:
    await start_patient_for(cli, 60, "--max-items", "1500", "--output", "list")
    await until_the_folder_is_gone(cli)
    assert cli.process.stderr is not None
    await eventually_said(cli.process.stderr, b"waiting for its files in list")
    await left_within_two_seconds(cli, signal.SIGINT)


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("taken", "not a directory|file exists"),
        ("taken/below", "not a directory|file exists"),
        ("x" * 300, "file name too long"),
        ("/proc/list", ""),
    ],
)
async def test_a_folder_that_cannot_be_written_is_refused_before_the_first_call(
    cli: CommandLine, output: str, reason: str
) -> None:
    (cli.folder / "taken").write_text("a file in the way")
    code, said, errors = await cli.run("--topic", "x", "--provider", "random", "--max-items", "5", "--output", output)
    assert (code, said) == (2, "")
    assert re.search(f"--output: no files can be written to .*: .*{reason}", errors, re.IGNORECASE)
    assert len(errors.splitlines()) == 1
    assert [p.name for p in cli.folder.iterdir()] == ["taken"]


async def test_the_folder_of_the_environment_is_looked_at_too(cli: CommandLine) -> None:
    (cli.folder / "taken").write_text("a file in the way")
    code, _, errors = await cli.run("--topic", "x", "--provider", "random", OUTPUT="taken")
    assert code == 2
    assert "OUTPUT: no files can be written to" in errors


async def test_what_is_written_is_the_users_alone(cli: CommandLine) -> None:
    code, _, errors = await cli.run("--topic", "x", "--provider", "random", "--iterations", "1", "--output", "a/list")
    assert code == 0, errors
    assert {p.stat().st_mode & 0o777 for p in (cli.folder / "a").rglob("*") if p.is_file()} == {0o600}
    assert {p.stat().st_mode & 0o777 for p in (cli.folder / "a", cli.folder / "a/list")} == {0o700}


async def test_a_nats_that_asks_for_a_key_is_told_at_once(cli: CommandLine, tmp_path: Path) -> None:
    server = SecuredServer(tmp_path / "secured")
    server.start()
    try:
        await server.provision()
        flags = ("--topic", "x", "--provider", "random", "--iterations", "1")
        without = await cli.run(*flags, NATS_URL=server.url)
        wrong = await cli.run(*flags, NATS_URL=server.url, NATS_NKEY=str(server.keys / "producer-random.nk"))
    finally:
        server.stop()
    for code, _, errors in (without, wrong):
        assert code == 1
        assert "the key of the role gateway" in errors
        assert "Traceback" not in errors


@pytest.mark.parametrize(("url", "nkey"), [("nats://a:b:c", ""), ("nats://127.0.0.1:1", "none.nk")])
async def test_a_wrong_setting_of_the_bus_is_told_in_one_line(cli: CommandLine, url: str, nkey: str) -> None:
    code, _, errors = await cli.run("--topic", "x", "--provider", "random", NATS_URL=url, NATS_NKEY=nkey)
    assert code == 2
    assert len(errors.splitlines()) == 1, errors


async def test_providers_that_nobody_offers_are_refused_on_a_joined_nats(cli: CommandLine, nats_url: str) -> None:
    code, _, errors = await cli.run("--topic", "x", "--provider", "openai,gemini", "--iterations", "1", NATS_URL=nats_url)
    assert code == 2
    assert "no producer on this NATS offers openai, gemini, and none can be started here: openai needs a key" in errors
    assert len(errors.splitlines()) == 1


async def test_a_run_whose_provider_goes_away_is_not_waited_for_for_ever(cli: CommandLine) -> None:
    """Its one producer is held from its first call on; the stack takes it for there no more, and starts no other."""
    flags = ("--topic", "x", "--provider", "random", "--producers", "1", "--max-wait", "2", "--output", "list", "--json")
    await cli.start(*flags, RANDOM_LATENCY_SECONDS="1")
    await eventually(lambda: (cli.folder / "list/output.txt").is_file() and (cli.folder / "list/output.txt").read_text(), 30)
    (producer,) = cli.producers()
    producer.suspend()
    try:
        code, output, errors = await cli.end(100)
    finally:
        with contextlib.suppress(psutil.Error):  # it was ended with the stack
            producer.resume()
    assert code == 1, errors
    assert "waits for a provider" in errors
    assert "no producer came within 2 s" in json.loads(output.splitlines()[-1])["reason"]


async def test_a_provider_whose_key_is_elsewhere_is_found_on_a_joined_nats(cli: CommandLine, nats_url: str) -> None:
    """Its producer is there, the key is not here: the run is asked for, and stopped."""
    bus = await connect(nats_url, "test")
    there = Presence(provider="openai", producer="producer-openai-1", models=["gpt-4o-mini"], slots=1, state="idle")

    async def announce() -> None:
        while True:
            await bus.tell(subjects.presence("openai", "producer-openai-1"), there)
            await asyncio.sleep(0.2)

    announcing = asyncio.ensure_future(announce())
    try:
        flags = ("--topic", "x", "--provider", "openai", "--max-seconds", "1", "--output", "list")
        code, _, errors = await cli.run(*flags, NATS_URL=nats_url, ACCEPT_UNSYNCED="1")
    finally:
        await end([announcing])
        await bus.close()
    assert code == 0, errors
    assert check_files(cli.folder / "list")["settings"]["providers"] == ["openai"]


async def test_the_output_folder_of_the_environment_is_used(cli: CommandLine) -> None:
    code, output, errors = await cli.run(
        *("--topic", "Elsewhere", "--provider", "random", "--iterations", "1", "--json"), OUTPUT="elsewhere"
    )
    assert code == 0, errors
    assert "not complete" not in errors
    check_files(cli.folder / json.loads(output.splitlines()[-1])["output"])


async def test_meaning_counts_by_default(cli: CommandLine) -> None:
    """With every tier on, the list is made and the files agree."""
    code, _, errors = await cli.run(
        *("--topic", "Tiers", "--provider", "random", "--producers", "2", "--iterations", "3"),
        *("--dedupe", "semantic", "--output", "list"),
    )
    assert code == 0, errors
    assert check_files(cli.folder / "list")["settings"]["dedupe"] == "semantic"


async def test_ctrl_c_completes_the_files(cli: CommandLine) -> None:
    await cli.start("--topic", "Endless", "--provider", "random", "--producers", "2", "--output", "list", "--json")
    await eventually(lambda: (cli.folder / "list/output.txt").is_file() and (cli.folder / "list/output.txt").read_text(), 30)
    left = cli.children()
    cli.process.send_signal(signal.SIGINT)
    code, output, errors = await cli.end()
    assert code == 0, errors
    assert json.loads(output.splitlines()[-1])["reason"] == "stopped by the user"
    assert check_files(cli.folder / "list")["status"] == "stopped"
    assert [p for p in left if p.is_running() and p.status() != psutil.STATUS_ZOMBIE] == []


async def test_nothing_outlives_a_killed_command_line(cli: CommandLine) -> None:
    await cli.start("--topic", "Endless", "--provider", "random", "--producers", "2", "--output", "list")
    await eventually(lambda: len(cli.producers()) == 2, 30)
    left = cli.children()
    cli.process.kill()
    await cli.process.wait()
    _, alive = await asyncio.to_thread(psutil.wait_procs, left, 20)
    assert alive == []


async def test_an_earlier_list_is_left_alone(cli: CommandLine) -> None:
    """A second run into the same folder keeps the first one's files and says where its own are."""
    flags = ("--topic", "Same", "--provider", "random", "--producers", "1", "--iterations", "1", "--output", "list", "--json")
    await cli.run(*flags)
    before = {name: (cli.folder / "list" / name).read_bytes() for name in FILES}
    code, output, errors = await cli.run(*flags, "--seed", "7")
    assert code == 0, errors
    assert {name: (cli.folder / "list" / name).read_bytes() for name in FILES} == before
    second = json.loads(output.splitlines()[-1])["output"]
    assert check_files(cli.folder / second)["accepted"] > 0


async def test_the_same_seed_gives_the_same_list(cli: CommandLine) -> None:
    """One producer, one seed: the calls are drawn alike."""
    flags = ("--topic", "Seeds", "--provider", "random", "--producers", "1", "--iterations", "2", "--seed", "5")
    for name in ("one", "two"):
        code, _, errors = await cli.run(*flags, "--output", name)
        assert code == 0, errors
    assert (cli.folder / "one/output.txt").read_text() == (cli.folder / "two/output.txt").read_text()


async def test_a_topic_never_leads_out_of_the_output_folder(cli: CommandLine) -> None:
    code, _, errors = await cli.run("--topic", "../../../evil/x", "--provider", "random", "--iterations", "0")
    assert code == 0, errors
    assert [p.name for p in cli.folder.iterdir()] == ["output"]
    (folder,) = (cli.folder / "output").iterdir()
    check_files(folder)


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--topic", ""], "topic is empty"),
        (["--topic", "x" * 10_000], "10000 characters"),
        (["--topic", "a\nb"], "control characters"),
        (["--topic", "x", "--provider", "nobody"], "unknown provider 'nobody'"),
        (["--topic", "x", "--provider", "random", "--iterations", "-1"], "--iterations"),
        (["--topic", "x", "--provider", "random", "--producers", "0"], "--producers"),
        (["--topic", "x", "--provider", "openai"], "OPENAI_API_KEY"),
        (["--topic", "x", "--provider", "random", "--max-wait", "0"], "--max-wait"),
    ],
)
async def test_wrong_flags_are_told_in_one_line(cli: CommandLine, flags: list[str], complaint: str) -> None:
    code, output, errors = await cli.run(*flags)
    assert code == 2
    assert complaint in errors
    assert len(errors.splitlines()) == 1
    assert output == ""
    assert list(cli.folder.iterdir()) == []


async def test_the_local_model_makes_a_list(cli: CommandLine) -> None:
    """A real model without key or network: several attributes, none of them chatter."""
    code, output, errors = await cli.run(
        *("--topic", "Paris attractions", "--provider", "env", "--producers", "2", "--max-seconds", "60"),
        *("--max-items", "12", "--output", "list", "--json"),
        seconds=110,
    )
    assert code == 0, errors
    assert "local model" in errors
    summary = json.loads(output.splitlines()[-1])
    assert summary["accepted"] == 12
    metadata = check_files(cli.folder / "list")
    assert set(metadata["providers"]) == {"local"}
    lines = (cli.folder / "list/output.txt").read_text().splitlines()
    assert all(len(line.split()) <= 12 for line in lines)
    assert not [line for line in lines if "here is" in line.lower() or line.endswith(":")]


async def test_a_small_world_ends_the_run_by_itself(cli: CommandLine) -> None:
    """No limit is set: the run ends within 15 calls after the last thing there was to find, and says why and how complete."""
    code, output, errors = await cli.run(
        *("--topic", "Small world", "--provider", "random", "--producers", "3", "--json"), RANDOM_MODEL="random-200"
    )
    assert code == 0, errors
    summary = json.loads(output.splitlines()[-1])
    (folder,) = (cli.folder / "output").iterdir()
    metadata = check_files(folder)
    assert metadata["accepted"] == 200
    assert "brought nothing new" in metadata["reason"] == summary["reason"]
    last = json.loads((folder / "output.jsonl").read_text().splitlines()[-1])["accepted"]["task"]
    assert summary["calls"] - 1 - int(last.rpartition("-")[2]) <= 15
    assert metadata["coverage"] > 0.9
    assert metadata["new_share"] == 0
