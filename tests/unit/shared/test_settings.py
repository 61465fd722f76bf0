"""Settings and providers: what the environment says, and one clear line when it is wrong."""

from pathlib import Path

import pytest

from shared.providers import problem_of, resolve, with_keys
from shared.service import Settings, environment, load


class ExampleSettings(Settings, frozen=True, kw_only=True):
    slots: int = 2
    topic: str = ""


def test_settings_come_from_variables_and_flags_win() -> None:
    variables = {"NATS_URL": "nats://example:1", "SLOTS": "5", "TOPIC": "", "UNRELATED": "x"}

    settings = load(ExampleSettings, variables, slots=7, log_level=None)

    assert settings == ExampleSettings(nats_url="nats://example:1", slots=7)


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [({"SLOTS": "many"}, "slots"), ({"LOG_LEVEL": "loud"}, "LOG_LEVEL is 'loud'"), ({"UMASK": "0o77"}, "umask")],
)
def test_a_wrong_setting_ends_with_a_reason(variables: dict[str, str], complaint: str) -> None:
    with pytest.raises(SystemExit, match=complaint):
        load(ExampleSettings, variables)


def test_the_process_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("SLOTS=3\nTOPIC=from the file\n")
    (tmp_path / ".env").chmod(0o600)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLOTS", "4")

    settings = load(ExampleSettings, environment())

    assert (settings.slots, settings.topic) == (4, "from the file")


@pytest.mark.parametrize(
    ("choice", "variables", "expected"),
    [
        ("env", {}, ("local",)),
        ("env", {"OPENAI_API_KEY": ""}, ("local",)),
        ("env", {"OPENAI_API_KEY": "sk-1", "GOOGLE_API_KEY": "g1"}, ("openai", "gemini")),
        ("random", {"OPENAI_API_KEY": "odd"}, ("random",)),
        ("random, local,random", {}, ("random", "local")),
        ("anthropic", {"ANTHROPIC_API_KEY": "sk-ant-1"}, ("anthropic",)),
    ],
)
def test_a_choice_of_providers_is_resolved(choice: str, variables: dict[str, str], expected: tuple[str, ...]) -> None:
    assert resolve(choice, variables) == expected


@pytest.mark.parametrize(
    ("choice", "complaint"), [("acme", "unknown provider 'acme'"), ("", "no provider named"), ("openai", "set OPENAI_API_KEY")]
)
def test_a_choice_that_cannot_be_met_is_told(choice: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        resolve(choice, {})


def test_a_key_that_cannot_be_right_is_told_and_not_shown() -> None:
    with pytest.raises(ValueError, match="should start with 'sk-'") as refusal:
        resolve("openai", {"OPENAI_API_KEY": "pk-0123456789"})
    assert "0123456789" not in str(refusal.value)


@pytest.mark.parametrize("key", ["sk-012345\n6789", "sk-012345 6789", "sk-012345é6789"])
def test_a_key_that_no_header_can_hold_is_told_and_not_shown(key: str) -> None:
    """The HTTP client would say so too, and quote it."""
    with pytest.raises(ValueError, match="OPENAI_API_KEY holds spaces or other characters") as refusal:
        resolve("openai", {"OPENAI_API_KEY": key, "OPENAI_BASE_URL": "http://127.0.0.1:1"})
    assert "012345" not in str(refusal.value)


def test_a_key_counts_under_any_of_its_names() -> None:
    assert with_keys({"GEMINI_API_KEY": "k"}) == with_keys({"GOOGLE_API_KEY": "k"}) == ("gemini",)


@pytest.mark.parametrize(
    ("address", "refused"),
    [
        ("http://models.example:8000/v1", True),
        ("HTTP://10.0.0.7/v1", True),
        ("http://127.0.0.1.example/v1", True),
        ("http://localhost@models.example/v1", True),
        ("https://models.example/v1", False),
        ("http://127.0.0.1:8000/v1", False),
        ("http://localhost:11434/v1", False),
        ("http://[::1]:8000/v1", False),
    ],
)
def test_a_key_does_not_cross_the_network_readable(address: str, refused: bool) -> None:
    variables = {"GOOGLE_API_KEY": "k-0123456789", "GEMINI_BASE_URL": address}

    problem = problem_of("gemini", variables)

    assert ("GEMINI_BASE_URL is plain http to another machine, and GOOGLE_API_KEY would" in problem) is refused
    assert "0123456789" not in problem
    assert problem_of("gemini", {"GEMINI_BASE_URL": address}) == ""  # no key, nothing to read
    assert problem_of("gemini", variables | {"ALLOW_PLAIN_HTTP": "1"}) == ""
