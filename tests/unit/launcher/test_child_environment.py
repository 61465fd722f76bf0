"""What a child of the stack can see of the secrets that the launcher was started with."""

import asyncio
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from services.launcher import nats_server
from services.launcher.child_environment import is_secret
from services.launcher.children import Child, Program
from services.launcher.folder import Folder
from services.launcher.stack import chosen
from tests.conftest import eventually

SECRETS = {
    "OPENAI_API_KEY": "openai",
    "OPENAI_ORG_TOKEN": "openai",
    "ANTHROPIC_API_KEY_FILE": "anthropic",
    "GEMINI_API_KEY": "gemini",
    "GOOGLE_API_KEY": "gemini",
    "GATEWAY_TOKEN": "gateway",
    "GATEWAY_TOKEN_FILE": "gateway",
    "AWS_SECRET_ACCESS_KEY": "nobody",
    "GITHUB_TOKEN": "nobody",
    "DB_PASSWORD": "nobody",
}
OF_ALL = {"NATS_NKEY": "all", "ORCHESTRATOR_KEY": "all", "OTEL_EXPORTER_OTLP_HEADERS": "all"}
PLAIN = {
    "OPENAI_BASE_URL": "http://127.0.0.1:1",
    "HTTPS_PROXY": "http://127.0.0.1:2",
    "MONKEY_BUSINESS": "x",
    "PORT_NUMBER": "1",
}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in (SECRETS | OF_ALL | PLAIN).items():
        monkeypatch.setenv(name, value)
        if name.endswith("_FILE"):
            (tmp_path / value).write_text("sk-ant-0123456789")


def programs(folder: Folder) -> dict[str, Program]:
    """Each child of a stack, by who it is."""
    stack = chosen("nats", provider="random")
    found = {name: stack.service(name, "nats://x") for name in ("orchestrator", "recorder", "gateway")}
    found |= {provider: stack.producer(provider, 1, "nats://x") for provider in ("openai", "anthropic", "gemini", "random")}
    return found | {
        "local-model": stack.local_model("nats://x"),
        "recorder-repair": stack.repair("nats://x"),
        "nats": nats_server.program(folder),
    }


def has_ended(log: Path) -> bool:
    return log.exists() and "end" in log.read_text().split()


async def test_each_child_sees_its_own_secrets_and_no_other(tmp_path: Path) -> None:
    """All of them had all keys: /proc/<pid>/environ of nats-server showed every vendor's."""
    folder = Folder(tmp_path / "stack")
    folder.make()
    code = "import os; print('\\n'.join(os.environ), 'end', sep='\\n', flush=True)"
    seen = {}
    for who, program in programs(folder).items():
        child = Child(replace(program, command=(sys.executable, "-c", code)), folder, lambda: None)
        child.start()
        log = folder.log(program.name)
        await eventually(partial(has_ended, log))
        seen[who] = set(log.read_text().split("\n"))
        await asyncio.wait_for(child.stop(), 20)

    for who, names in seen.items():
        assert names & SECRETS.keys() == {name for name, owner in SECRETS.items() if owner == who}, who
        assert names & OF_ALL.keys() == (set() if who == "nats" else OF_ALL.keys()), who
        assert names >= PLAIN.keys() | {"PATH"}, who


@pytest.mark.parametrize(
    ("name", "secret"), [("X_APIKEY", True), ("my_token", True), ("KEYBOARD", False), ("TOKENIZERS", False)]
)
def test_a_secret_is_known_by_its_name(name: str, secret: bool) -> None:
    assert is_secret(name) is secret
