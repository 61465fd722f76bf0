"""What flags and environment ask for."""

import socket

import pytest

from services.launcher.errors import StartError
from services.launcher.stack import Stack, chosen, is_free
from services.launcher.tap import SUBJECT
from shared.providers import resolve, with_keys

VARIABLES = ("PROVIDER", "PRODUCERS", "PORT", "NATS_URL", "LOCAL_MODEL_URL", "OPENAI_API_KEY", "ANTHROPIC_API_KEY")
MORE_VARIABLES = ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "GEMINI_API_KEY", "GOOGLE_API_KEY", "GEMINI_BASE_URL", "LOG_LEVEL")


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    for variable in VARIABLES + MORE_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path_factory.mktemp("no-dotenv"))


def test_without_a_key_the_local_model_is_started_and_told_to_its_producers() -> None:
    stack = chosen("nats,gateway")

    assert stack.base.providers == ("local",)
    port = str(stack.local_model_port)
    assert stack.local_model("nats://x").command[-2:] == ("--port", port)
    assert stack.producer("local", 1, "nats://x").variables["LOCAL_MODEL_URL"] == f"http://127.0.0.1:{port}/v1"


def test_keys_choose_their_providers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")

    stack = chosen("nats")

    assert stack.base.providers == ("openai",)
    assert "sk-secret" not in repr(stack)


def test_the_gateway_knows_who_has_a_key_and_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "not one of theirs")

    told = chosen("gateway", provider="random").service("gateway", "nats://x").variables

    assert with_keys(told) == resolve("env", told) == ("openai",)
    assert "sk-secret" not in str(told)


def test_each_service_is_told_its_own_key_of_the_bus_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NATS_KEYS", "/keys")
    stack = chosen("orchestrator")

    programs = [stack.service(name, "nats://x") for name in ("orchestrator", "recorder", "gateway")]
    programs += [stack.producer("openai", 1, "nats://x"), stack.local_model("nats://x")]

    told = [program.variables["NATS_NKEY"] for program in programs]
    names = ("orchestrator", "recorder", "gateway", "producer-openai", "local-model")
    assert told == [f"/keys/{name}.nk" for name in names]
    assert {program.variables["ORCHESTRATOR_KEY"] for program in programs} == {"/keys/orchestrator.pub"}
    assert all(sum(".nk" in value for value in program.variables.values()) == 1 for program in programs)


def test_flags_win_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVIDER", "local")
    monkeypatch.setenv("PRODUCERS", "5")
    monkeypatch.setenv("PORT", "9000")

    assert chosen("nats", provider="random", producers=2).base.providers == ("random",)
    assert chosen("nats", provider="random", producers=2).base.producers == 2
    assert chosen("nats").port == 9000


def metrics_ports(stack: Stack) -> list[str]:
    programs = [stack.service(name, "nats://x") for name in ("orchestrator", "recorder", "gateway")]
    programs += [stack.producer(provider, number, "nats://x") for provider in ("openai", "random") for number in (1, 2)]
    return [program.variables["METRICS_PORT"] for program in (*programs, stack.local_model("nats://x"))]


def test_each_service_has_a_port_of_its_own_for_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    """One port in the environment would be asked for by all of them."""
    monkeypatch.setenv("METRICS_PORT", "9000")

    assert metrics_ports(chosen("nats", metrics=True)) == ["9101", "9102", "0", "9110", "9111", "9510", "9511", "9103"]
    assert set(metrics_ports(chosen("nats"))) == {"0"}


def test_a_local_model_of_the_users_own_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_MODEL_URL", "http://127.0.0.1:1234/v1")

    stack = chosen("nats")

    assert stack.local_model_port == 0
    assert stack.local_model_url == "http://127.0.0.1:1234/v1"


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"provider": "nobody"}, "unknown provider 'nobody'"),
        ({"provider": "openai"}, "openai needs a key: set OPENAI_API_KEY"),
        ({"producers": -1}, "producers"),
        ({"producers": 100}, "producers"),
        ({"port": 70000}, "port"),
    ],
)
def test_a_wrong_choice_is_said_in_a_sentence(choices: dict[str, object], words: str) -> None:
    with pytest.raises(StartError, match=words):
        chosen("nats", **choices)  # type: ignore[arg-type]  # wrong on purpose


def test_an_unknown_service_is_refused() -> None:
    with pytest.raises(StartError, match="unknown service 'natz'; choose from nats"):
        chosen("natz")


def test_the_gateway_listens_on_this_machine_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOST", "0.0.0.0")  # noqa: S104  # what must not happen

    gateway = chosen("gateway", port=9000).service("gateway", "nats://x")

    assert (gateway.variables["HOST"], gateway.variables["PORT"]) == ("127.0.0.1", "9000")


def test_the_usual_port_of_nats_is_left_to_whoever_has_it() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        assert not is_free(port)
        assert chosen("nats", nats_port=port).nats_port == -1
    stack: Stack = chosen("nats", nats_port=port)
    assert stack.nats_port == port


@pytest.mark.parametrize("subject", ["attributes.>", "control.run.*", "$SRV.PING"])
def test_subjects_that_can_be_listened_to(subject: str) -> None:
    assert SUBJECT.fullmatch(subject)


@pytest.mark.parametrize("subject", ["", "a b", "a..b", "a\r\nPUB x 1", ".a"])
def test_subjects_that_would_break_the_connection(subject: str) -> None:
    assert not SUBJECT.fullmatch(subject)
