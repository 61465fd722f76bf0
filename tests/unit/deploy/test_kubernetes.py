"""The Kubernetes manifests: valid, contained, and in step with what they deploy."""

import functools
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
        assert container["resources"]["limits"]["memory"], name
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}, name


def test_every_service_that_stays_is_asked_how_it_is() -> None:
    for name, container in containers(rendered()):
        if not name.startswith("provision/"):
            assert "livenessProbe" in container, name
            assert "readinessProbe" in container or name == "producer-local/model", name


def test_every_image_has_a_lock_and_every_role_a_key() -> None:
    locks = {file.stem for file in (DEPLOY / "requirements").glob("*.txt")} | {"producer-local"}  # which has openai's
    for name, container in containers(plain()):
        image = container["image"]
        assert image.startswith("nats:") or image.removeprefix("chorus-") in locks, name
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
