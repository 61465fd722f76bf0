"""The Kubernetes manifests: valid, contained, and in step with what they deploy."""

import functools
import ipaddress
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]  # it has no types
import pytest
import yaml

from shared.providers import KEYLESS, PROVIDERS
from shared.roles import ROLES

DEPLOY = Path(__file__).parents[3] / "deploy"
MANIFESTS = DEPLOY / "kubernetes"

VERSIONS = ("1.30", "1.37")
"""Of Kubernetes: the oldest that is likely to be met, and the newest whose schemas there are."""

Resource = dict[str, Any]


def plain() -> list[Resource]:
    """The resources as they are written, before anything is laid over them."""
    files = [file for file in sorted(MANIFESTS.glob("*.yaml")) if file.name not in ("kustomization.yaml", "service.yaml")]
    return [resource for file in files for resource in yaml.safe_load_all(file.read_text())]


@functools.cache
def rendered() -> list[Resource]:
    """The resources as a cluster gets them."""
    if not shutil.which("kubectl"):
        pytest.skip("kubectl is not installed")
    text = subprocess.run(["kubectl", "kustomize", str(MANIFESTS)], check=True, capture_output=True, timeout=60).stdout  # noqa: S607  # the one in the PATH
    return list(yaml.safe_load_all(text))


def pods(resources: list[Resource]) -> Iterator[tuple[str, Resource]]:
    """Name and pod of each workload."""
    for resource in resources:
        if "template" in resource.get("spec", {}):
            yield resource["metadata"]["name"], resource["spec"]["template"]["spec"]


def containers(resources: list[Resource]) -> Iterator[tuple[str, Resource]]:
    for name, pod in pods(resources):
        for container in pod["containers"]:
            yield f"{name}/{container['name']}", container


@pytest.mark.parametrize("version", VERSIONS)
def test_every_resource_is_valid(version: str) -> None:
    for resource in [*plain(), *rendered()]:
        kubernetes_validate.validate(resource, version, strict=True)


def test_a_misspelt_field_is_found() -> None:
    broken = next(resource for resource in plain() if resource["kind"] == "StatefulSet")
    broken["spec"]["replica"] = 3
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSIONS[-1], strict=True)


def test_every_container_is_contained_and_bounded() -> None:
    for name, pod in pods(rendered()):
        assert pod["securityContext"]["runAsNonRoot"], name
        assert pod["automountServiceAccountToken"] is False, name
    for name, container in containers(rendered()):
        assert container["securityContext"]["readOnlyRootFilesystem"], name
        assert container["securityContext"]["allowPrivilegeEscalation"] is False, name
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}, name
        assert container["resources"]["limits"].keys() == {"cpu", "memory"}, name
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}, name


def test_every_service_that_stays_is_asked_how_it_is() -> None:
    for name, container in containers(rendered()):
        if not name.startswith("provision/"):
            assert "livenessProbe" in container, name
            assert "readinessProbe" in container or name == "producer-local/model", name


def test_every_image_has_a_lock_and_every_role_a_key() -> None:
    locks = {file.stem for file in (DEPLOY / "requirements").glob("*.txt")} | {"producer-local"}  # which has openai's
    for name, container in containers(plain()):
        assert container["image"].removeprefix("chorus-") in {*locks, "nats"}, name
    keys = {item["key"] for secret in secrets_of("nats-keys") for item in secret["items"]}
    assert keys - {"orchestrator.pub"} <= {f"{role}.nk" for role in ROLES}


def test_no_seed_is_open_to_others() -> None:
    """A service refuses it otherwise; and it is read by the group, since a secret's files are root's."""
    for secret in secrets_of("nats-keys"):
        assert secret["defaultMode"] == 0o440


def test_there_is_a_deployment_for_every_provider_and_none_without_a_key_runs() -> None:
    counts = {r["metadata"]["name"]: r["spec"]["replicas"] for r in rendered() if r["metadata"]["name"].startswith("producer-")}
    assert set(counts) == {f"producer-{provider}" for provider in PROVIDERS}
    assert all(counts[f"producer-{provider}"] == 0 for provider in PROVIDERS if provider not in KEYLESS)


def test_every_volume_is_there_that_is_mounted() -> None:
    for resource in rendered():
        if "template" not in resource.get("spec", {}):
            continue
        pod = resource["spec"]["template"]["spec"]
        there = {volume["name"] for volume in pod["volumes"]}
        there |= {claim["metadata"]["name"] for claim in resource["spec"].get("volumeClaimTemplates", [])}
        wanted = {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]}
        assert wanted <= there, resource["metadata"]["name"]


def test_what_may_not_be_lost_at_once_is_named() -> None:
    resources = rendered()
    budgets = [r["spec"]["selector"]["matchLabels"] for r in resources if r["kind"] == "PodDisruptionBudget"]
    labels = [r["spec"]["template"]["metadata"]["labels"] for r in resources if "template" in r.get("spec", {})]
    for budget in budgets:
        assert any(budget.items() <= pod.items() for pod in labels), budget


def secrets_of(name: str) -> Iterator[dict[str, Any]]:
    for _, pod in pods(plain()):
        for volume in pod.get("volumes", []):
            if volume.get("secret", {}).get("secretName") == name:
                yield volume["secret"]


# ---- what a pod is given ------------------------------------------------------------------------------------------


def test_every_pod_is_given_its_own_secrets_alone() -> None:
    """By workload: the keys of the bus, and what it needs beyond."""
    for name, pod in pods(rendered()):
        given = {key for volume in pod["volumes"] for key in keys_in(volume)}
        if name == "nats":
            assert given == {"server.pem", "server-key.pem", "route.pem", "route-key.pem", "routes-ca.pem"}
            continue
        own = {f"{name}.nk"}
        if name.startswith("producer-"):
            own.add("orchestrator.pub")
            provider = name.removeprefix("producer-")
            own |= {f"{provider}_api_key"} if provider not in KEYLESS else set()
        own |= {"gateway_token"} if name == "gateway" else set()
        own |= {"local-model.nk"} if name == "producer-local" else set()
        assert given == own, name


def keys_in(volume: Resource) -> list[str]:
    """The entries of secrets that a volume holds."""
    secrets = [volume["secret"]] if "secret" in volume else []
    secrets += [source["secret"] for source in volume.get("projected", {}).get("sources", []) if "secret" in source]
    return [item["key"] for secret in secrets for item in secret["items"]]


def test_every_service_knows_the_bus_by_its_certificate() -> None:
    for name, container in containers(rendered()):
        if name.startswith("nats/"):
            continue
        variables = {variable["name"]: variable.get("value") for variable in container["env"]}
        assert variables["NATS_CA"] == "/run/nats-ca/ca.pem", name
        assert {"name": "nats-ca", "mountPath": "/run/nats-ca", "readOnly": True} in container["volumeMounts"], name
        assert variables["NATS_URL"] == "nats://nats:4222", name


def test_the_servers_are_reached_by_names_that_their_certificates_hold() -> None:
    text = (DEPLOY / "certificates").read_text()
    held = {
        kind: set(re.findall(r"DNS:([^,\n]+)", line))
        for kind, line in re.findall(r"^(SERVERS|ROUTES)=(.*)$", text, re.MULTILINE)
    }
    (servers,) = [resource for resource in plain() if resource["kind"] == "StatefulSet"]
    (arguments,) = [container["args"] for _, container in containers([servers])]
    given = dict(argument.removeprefix("--").split("=", 1) for argument in arguments)
    names = [f"nats-{number}" for number in range(servers["spec"]["replicas"])]

    assert set(re.findall(r"nats://([^:,]+):6222", given["routes"])) == held["ROUTES"]
    assert {given["cluster_advertise"].replace("$(POD)", name) for name in names} == {f"{host}:6222" for host in held["ROUTES"]}
    assert "nats" in held["SERVERS"]


def test_the_servers_find_every_file_of_their_configuration() -> None:
    config = DEPLOY / "nats"
    (servers,) = [resource for resource in plain() if resource["kind"] == "StatefulSet"]
    (arguments,) = [container["args"] for _, container in containers([servers])]
    read, left = set[str](), {Path(arguments[0]).name}
    while left:
        read |= left
        left = {
            name
            for file in left - {"public.conf"}
            for name in re.findall(r'^include "(.*?)"', (config / file).read_text(), re.MULTILINE)
        } - read
    (generated,) = yaml.safe_load((config / "kustomization.yaml").read_text())["configMapGenerator"]

    assert read == {*generated["files"], "public.conf"}


# ---- the network --------------------------------------------------------------------------------------------------

Pod = tuple[str, dict[str, str]]
"""Namespace and labels."""

DNS: Pod = ("kube-system", {"k8s-app": "kube-dns"})
INGRESS: Pod = ("ingress", {"app": "ingress"})
NEIGHBOUR: Pod = ("chorus", {"app": "somebody"})
ELSEWHERE: Pod = ("elsewhere", {"app.kubernetes.io/name": "nats", "chorus/bus": "client"})

NAMESPACES = {"ingress": {"chorus/ingress": "allowed"}}
"""Labels of the namespaces, beside their names."""

PUBLIC, PRIVATE, METADATA = "203.0.113.9", "10.1.2.3", "169.254.169.254"

PORTS = (53, 80, 443, 4222, 6222, 8080, 8084, 8222, 9100)


def everybody() -> dict[str, Pod]:
    """The workloads by name, and strangers."""
    ours = {
        r["metadata"]["name"]: ("chorus", r["spec"]["template"]["metadata"]["labels"])
        for r in rendered()
        if "template" in r.get("spec", {})
    }
    return {**ours, "dns": DNS, "ingress": INGRESS, "neighbour": NEIGHBOUR, "elsewhere": ELSEWHERE}


def selects(selector: Resource, labels: dict[str, str]) -> bool:
    wanted = selector.get("matchLabels", {})
    expressions = selector.get("matchExpressions", [])
    assert all(expression["operator"] == "In" for expression in expressions)
    return wanted.items() <= labels.items() and all(labels.get(e["key"]) in e["values"] for e in expressions)


def is_meant(peer: Resource, other: Pod | str) -> bool:
    """Whether a peer of a policy is this pod, or this address outside."""
    if "ipBlock" in peer:
        block = peer["ipBlock"]
        networks = [ipaddress.ip_network(network) for network in block.get("except", [])]
        return (
            isinstance(other, str)
            and _within(other, ipaddress.ip_network(block["cidr"]))
            and not any(_within(other, n) for n in networks)
        )
    if isinstance(other, str):
        return False
    namespace, labels = other
    if "namespaceSelector" in peer:
        known = {"kubernetes.io/metadata.name": namespace, **NAMESPACES.get(namespace, {})}
        return selects(peer["namespaceSelector"], known) and selects(peer.get("podSelector", {}), labels)
    return namespace == "chorus" and selects(peer["podSelector"], labels)


def _within(address: str, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    return ipaddress.ip_address(address) in network


def passes(direction: str, pod: Pod | str, other: Pod | str, port: int) -> bool:
    """Whether the policies of one end let this through; a pod that no policy selects is open."""
    if isinstance(pod, str) or pod[0] != "chorus":
        return True
    policies = [r["spec"] for r in rendered() if r["kind"] == "NetworkPolicy"]
    mine = [p for p in policies if direction in p["policyTypes"] and selects(p["podSelector"], pod[1])]
    key, peers = ("ingress", "from") if direction == "Ingress" else ("egress", "to")
    rules = [rule for policy in mine for rule in policy.get(key, [])]
    return not mine or any(
        port in [p["port"] for p in rule["ports"]] and any(is_meant(peer, other) for peer in rule[peers]) for rule in rules
    )


def reaches(source: Pod | str, target: Pod | str, port: int) -> bool:
    return passes("Egress", source, target, port) and passes("Ingress", target, source, port)


def test_nobody_reaches_more_than_it_needs() -> None:
    people = everybody()
    ours = people.keys() - {"dns", "ingress", "neighbour", "elsewhere", "nats"}
    allowed = {(name, "nats", 4222) for name in ours}
    allowed |= {("nats", "nats", 6222), ("provision", "nats", 8222), ("ingress", "gateway", 8080)}
    allowed |= {(name, "dns", 53) for name in {*ours, "nats", "neighbour"}}
    strangers = {"dns", "ingress", "elsewhere"}

    found = {
        (source, target, port)
        for source in people
        for target in people
        for port in PORTS
        if not {source, target} <= strangers and reaches(people[source], people[target], port)
    }
    assert found == allowed


def test_those_alone_reach_the_world_that_ask_vendors() -> None:
    asking = {f"producer-{provider}" for provider in PROVIDERS if provider not in KEYLESS}
    found = {
        (name, address, port)
        for name, pod in everybody().items()
        for address in (PUBLIC, PRIVATE, METADATA, "2001:db8::1", "fd00::1", "64:ff9b::a01:203")
        for port in PORTS
        if pod[0] == "chorus" and reaches(pod, address, port)
    }
    assert found == {(name, address, 443) for name in asking for address in (PUBLIC, "2001:db8::1")}
    assert not any(
        passes("Ingress", pod, PUBLIC, port) for name, pod in everybody().items() if pod[0] == "chorus" for port in PORTS
    )
