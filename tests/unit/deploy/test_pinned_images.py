"""`deploy/pin_images.py` against a registry, and who reads what it writes."""

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from shared.service import VERSION

PROJECT = Path(__file__).parents[3]
DEPLOY = PROJECT / "deploy"
IMAGES = DEPLOY / "images" / "images.env"

DIGESTS = {"nats": "sha256:" + "1a" * 32, "library/python": "sha256:" + "2b" * 32}

TOKEN = "for-anybody"  # noqa: S105  # it opens nothing


class Registry(ThreadingHTTPServer):
    """Answers HEAD of a manifest, and says what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.digests = dict(DIGESTS)
        self.wants_token = False
        self.realm = f"http://{self.address}/token"
        self.accepted: list[str] = []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class _Answers(BaseHTTPRequestHandler):
    server: Registry

    def do_HEAD(self) -> None:
        name, _, tag = self.path.removeprefix("/v2/").partition("/manifests/")
        if self.server.wants_token and self.headers["Authorization"] != f"Bearer {TOKEN}":
            self._answer(
                401, "WWW-Authenticate", f'Bearer realm="{self.server.realm}",service="s",scope="repository:{name}:pull"'
            )
        elif name not in self.server.digests or tag not in ("2.15-alpine", "3.12-slim"):
            self._answer(404, "X", "")
        else:
            self.server.accepted.append(self.headers["Accept"])
            self._answer(200, "Docker-Content-Digest", self.server.digests[name])

    def do_GET(self) -> None:
        asked = re.fullmatch(r"/token\?service=s&scope=repository%3A[a-z%F2]+%3Apull", self.path)
        body = f'{{"token": "{TOKEN}"}}'.encode() if asked else b"{}"
        self._answer(200, "Content-Length", str(len(body)))
        self.wfile.write(body)

    def _answer(self, status: int, name: str, value: str) -> None:
        self.send_response(status)
        self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a test that fails shows what it asked."""


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as it:
        thread = threading.Thread(target=it.serve_forever, daemon=True)
        thread.start()
        yield it
        it.shutdown()
        thread.join()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return Path(shutil.copy(IMAGES, tmp_path / "images.env"))


def pin(file: Path, nats: str, python: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "NATS_IMAGE": nats, "PYTHON_IMAGE": python}
    command = [sys.executable, str(DEPLOY / "pin_images.py"), str(file)]
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=60)


def images(file: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in file.read_text().splitlines() if not line.startswith("#"))


@pytest.mark.parametrize("wants_token", [False, True])
def test_tags_are_given_the_digests_that_the_registry_says(registry: Registry, file: Path, wants_token: bool) -> None:
    registry.wants_token = wants_token
    nats, python = f"{registry.address}/nats:2.15-alpine", f"{registry.address}/library/python:3.12-slim"
    done = pin(file, nats, python)

    assert done.returncode == 0, done.stderr
    pinned = {"NATS_IMAGE": f"{nats}@{DIGESTS['nats']}", "PYTHON_IMAGE": f"{python}@{DIGESTS['library/python']}"}
    assert images(file) == {**images(IMAGES), **pinned}
    assert done.stdout == "".join(f"{name}={image}\n" for name, image in pinned.items())
    assert [line for line in file.read_text().splitlines() if line.startswith("#")] == [
        line for line in IMAGES.read_text().splitlines() if line.startswith("#")
    ]
    assert all(accept.index("image.index") < accept.index("image.manifest") for accept in registry.accepted)

    registry.digests["nats"] = "sha256:" + "3c" * 32
    assert pin(file, "", "").returncode == 0
    assert images(file)["NATS_IMAGE"] == f"{nats}@{registry.digests['nats']}"
    assert images(file)["PYTHON_IMAGE"] == pinned["PYTHON_IMAGE"]


@pytest.mark.parametrize(
    ("nats", "sentence"),
    [
        ("{registry}/nats:2.14-alpine", r"does not give {registry}/nats:2\.14-alpine: it answers 404"),
        ("{registry}/unknown:2.15-alpine", r"does not give {registry}/unknown:2\.15-alpine: it answers 404"),
        ("{registry}/nats:latest", r"is no image with a tag of its own"),
        ("{registry}/nats", r"is no image with a tag of its own"),
        ("127.0.0.1:1/nats:2.15-alpine", r"127\.0\.0\.1:1 cannot be asked for 127\.0\.0\.1:1/nats:2\.15-alpine: .*refused"),
        ("nowhere.invalid/nats:2.15-alpine", r"nowhere\.invalid cannot be asked for"),
    ],
)
def test_what_cannot_be_pinned_is_told_and_nothing_is_written(registry: Registry, file: Path, nats: str, sentence: str) -> None:
    done = pin(file, nats.format(registry=registry.address), f"{registry.address}/library/python:3.12-slim")

    assert done.returncode == 1
    assert re.search(sentence.format(registry=re.escape(registry.address)), done.stderr), done.stderr
    assert done.stderr.endswith(f"{file} stays as it is.\n")
    assert file.read_text() == IMAGES.read_text()


@pytest.mark.parametrize("digest", ["", "sha256:short", "md5:" + "1a" * 32])
def test_a_registry_that_names_no_digest_is_not_believed(registry: Registry, file: Path, digest: str) -> None:
    registry.digests["nats"] = digest
    done = pin(file, f"{registry.address}/nats:2.15-alpine", f"{registry.address}/library/python:3.12-slim")

    assert (done.returncode, file.read_text()) == (1, IMAGES.read_text())
    assert "gives no digest of" in done.stderr


def test_a_token_is_fetched_by_tls_or_from_this_machine_alone(registry: Registry, file: Path) -> None:
    registry.wants_token, registry.realm = True, "http://tokens.invalid/token"
    done = pin(file, f"{registry.address}/nats:2.15-alpine", f"{registry.address}/library/python:3.12-slim")

    assert done.returncode == 1
    assert "wants a password" in done.stderr


def test_kubernetes_starts_the_image_that_is_pinned(registry: Registry, tmp_path: Path) -> None:
    if not shutil.which("kubectl"):
        pytest.skip("kubectl is not installed")
    shutil.copytree(DEPLOY, tmp_path / "deploy")
    pinned = f"{registry.address}/nats:2.15-alpine"
    assert pin(tmp_path / "deploy/images/images.env", pinned, f"{registry.address}/library/python:3.12-slim").returncode == 0
    command = ["kubectl", "kustomize", str(tmp_path / "deploy/kubernetes")]
    text = subprocess.run(command, check=True, capture_output=True, timeout=60).stdout
    resources = list(yaml.safe_load_all(text))
    (servers,) = [resource for resource in resources if resource["kind"] == "StatefulSet"]

    assert servers["spec"]["template"]["spec"]["containers"][0]["image"] == f"{pinned}@{DIGESTS['nats']}"
    assert "images" not in {resource["metadata"]["name"] for resource in resources}


def test_compose_starts_and_builds_with_the_images_that_are_pinned(registry: Registry, tmp_path: Path) -> None:
    if subprocess.run(
        ["/bin/sh", "-c", "docker compose version || docker-compose version"], capture_output=True, check=False
    ).returncode:
        pytest.skip("neither docker compose nor docker-compose is installed")
    shutil.copytree(DEPLOY, tmp_path / "deploy")
    shutil.copy(PROJECT / "compose.yaml", tmp_path)
    nats, python = f"{registry.address}/nats:2.15-alpine", f"{registry.address}/library/python:3.12-slim"
    assert pin(tmp_path / "deploy/images/images.env", nats, python).returncode == 0
    variables = {name: value for name, value in os.environ.items() if name not in ("NATS_IMAGE", "PYTHON_IMAGE")}
    command = [str(tmp_path / "deploy/compose"), "config"]
    text = subprocess.run(command, env=variables, check=True, capture_output=True, timeout=60).stdout
    services = yaml.safe_load(text)["services"]

    assert services["nats"]["image"] == f"{nats}@{DIGESTS['nats']}"
    assert services["gateway"]["build"]["args"]["PYTHON_IMAGE"] == f"{python}@{DIGESTS['library/python']}"
    assert services["gateway"]["image"] == f"chorus-gateway:{VERSION}"


def test_no_image_is_named_but_there_and_none_is_the_latest() -> None:
    assert images(IMAGES)["CHORUS_VERSION"] == VERSION
    tags = yaml.safe_load((DEPLOY / "kubernetes" / "kustomization.yaml").read_text())["images"]
    assert {image["newTag"] for image in tags} == {VERSION}
    assert set(re.findall(r"chorus-[a-z-]+:(\d[\w.]*)", (DEPLOY / "README.md").read_text())) <= {VERSION}
    for file in (PROJECT / "compose.yaml", DEPLOY / "Dockerfile", DEPLOY / "compose", *(DEPLOY / "kubernetes").glob("*.yaml")):
        assert not re.search(r"latest|\b(nats|python):\d+\.", file.read_text()), file
