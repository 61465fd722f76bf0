"""compose.yaml: contained, bounded, and in step with Kubernetes."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from services.gateway.settings import GatewaySettings
from services.orchestrator.ceilings import Ceilings
from shared.providers import KEYLESS, PROVIDERS
from shared.service import Settings

PROJECT = Path(__file__).parents[3]

COMPOSE: dict[str, Any] = yaml.safe_load((PROJECT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]

UNITS = {"m": "Mi", "g": "Gi"}


def secrets_of(service: str) -> set[str]:
    """The secrets that it is given, by the names that compose.yaml has for them."""
    return {secret if isinstance(secret, str) else secret["source"] for secret in SERVICES[service].get("secrets", [])}


def test_there_is_a_producer_for_every_provider() -> None:
    assert {name for name in SERVICES if name.startswith("producer-")} == {f"producer-{provider}" for provider in PROVIDERS}


@pytest.mark.parametrize("service", SERVICES)
def test_every_container_is_contained_and_bounded(service: str) -> None:
    it = SERVICES[service]

    assert it["read_only"]
    assert it["cap_drop"] == ["ALL"]
    assert it["security_opt"] == ["no-new-privileges:true"]
    assert it["mem_limit"]
    assert it["pids_limit"] > 0
    assert "cpus" in it or "cpu_shares" in it


@pytest.mark.parametrize("service", SERVICES)
def test_every_container_is_given_its_own_secrets_alone(service: str) -> None:
    own = {f"nkey_{service.replace('-', '_')}"} if service not in ("nats", "repair") else set()
    own |= {"nkey_recorder_repair"} if service == "repair" else set()
    own |= {"gateway_token"} if service == "gateway" else set()
    if service.startswith("producer-"):
        provider = service.removeprefix("producer-")
        own |= {"orchestrator_key"} | ({f"{provider}_api_key"} if provider not in KEYLESS else set())

    assert secrets_of(service) == own


@pytest.mark.parametrize("service", SERVICES)
def test_no_secret_stands_in_an_environment(service: str) -> None:
    given = SERVICES[service].get("environment", {})
    secret = [name for name in given if re.search(r"KEY|TOKEN|NKEY|SECRET|PASSWORD", name)]

    assert all(str(given[name]).startswith("/run/secrets/") for name in secret)


def test_memory_is_bounded_as_in_kubernetes() -> None:
    text = "\n---\n".join(file.read_text() for file in (PROJECT / "deploy" / "kubernetes").glob("*.yaml"))
    pods = [r["spec"]["template"]["spec"] for r in yaml.safe_load_all(text) if r and "template" in r.get("spec", {})]
    containers = [container for pod in pods for container in pod["containers"] if "resources" in container]
    there = {c["image"].removeprefix("chorus-"): c["resources"]["limits"]["memory"] for c in containers}

    assert there == {
        name: re.sub("[mg]$", lambda unit: UNITS[unit[0]], SERVICES[_service(name)]["mem_limit"]) for name in there
    }


def _service(image: str) -> str:
    return "provision" if image == "launcher" else image


def test_the_monitor_and_the_metrics_are_open_to_their_own_container_alone() -> None:
    assert 'http: "127.0.0.1:8222"' in (PROJECT / "deploy" / "nats" / "compose.conf").read_text()
    assert not [word for word in SERVICES["nats"]["command"] if "http" in word]
    assert SERVICES["provision"]["network_mode"] == "service:nats"
    for name, service in SERVICES.items():
        assert service.get("environment", {}).get("METRICS_HOST", "") in ("", "${METRICS_HOST:-127.0.0.1}"), name


def test_nothing_is_open_beyond_this_machine_unless_it_is_said() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}

    assert published == {
        "nats": ["${NATS_LISTEN:-127.0.0.1:4222}:4222"],
        "gateway": ["${GATEWAY_LISTEN:-127.0.0.1:8080}:8080"],
    }


@pytest.mark.parametrize(("service", "settings"), [("orchestrator", Ceilings), ("gateway", GatewaySettings)])
def test_what_an_operator_may_bound_or_name_reaches_its_container(service: str, settings: type[Settings]) -> None:
    common = {field.name for field in msgspec.structs.fields(Settings)}
    own = {field.name.upper() for field in msgspec.structs.fields(settings) if field.name not in common}
    given = {name.removesuffix("_FILE") for name in SERVICES[service]["environment"]}

    assert own <= given


def test_the_server_finds_every_file_of_its_configuration() -> None:
    there = dict(volume.split(":")[1::-1] for volume in SERVICES["nats"]["volumes"] if volume.startswith("./"))
    read, left = set[str](), {SERVICES["nats"]["command"][1]}
    while left:
        read |= left
        texts = [(PROJECT / there[file]).read_text() for file in left if not file.endswith("public.conf")]
        left = {f"/etc/nats/{name}" for text in texts for name in re.findall(r'^include "(.*?)"', text, re.MULTILINE)} - read

    assert read == {file for file in there if file.endswith(".conf")}
