"""The command line as a user types it: real processes, a real bus, real files."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from services.orchestrator.dedupe import key
from tests.conftest import eventually

FILES = {"output.txt", "output.json", "output.jsonl", "metadata.json"}


class CommandLine:
    """One `orchestrator …` in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: asyncio.subprocess.Process

    async def start(self, *flags: str, **variables: str) -> None:
        inherited = {k: v for k, v in os.environ.items() if not k.endswith("_API_KEY") and k != "NATS_URL"}
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "services.orchestrator",
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


async def test_an_early_ctrl_c_ends_the_run_too(cli: CommandLine) -> None:
    """Before there is a run to stop: the request waits for it."""
    await cli.start("--topic", "Endless", "--provider", "random", "--producers", "2", "--output", "list", "--json")
    await eventually(lambda: len(cli.children()) > 1, 30)
    cli.process.send_signal(signal.SIGINT)
    code, output, errors = await cli.end()
    assert code == 0, errors
    assert json.loads(output.splitlines()[-1])["reason"] == "stopped by the user"
    assert check_files(cli.folder / "list")["status"] == "stopped"


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
