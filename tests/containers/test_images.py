"""Each image by itself: small, of one service only, contained, and quick to stop."""

import contextlib
import time
from collections.abc import Iterator

import docker
import pytest
from docker.models.containers import Container

from tests.containers.conftest import IMAGES
from tests.containers.engine import BASE

pytestmark = [pytest.mark.containers, pytest.mark.timeout(1800)]  # the first test waits for the images

MIB = 1024 * 1024

OWN_MIB = {"orchestrator": 400, "local-model": 300}
"""What an image may add to its base: weights, and what runs them. All others: `OTHERS_MIB`."""
OTHERS_MIB = 110

STOP_SECONDS = 5.0

FAKE_KEYS = {"OPENAI_API_KEY": "sk-none", "ANTHROPIC_API_KEY": "sk-ant-none", "GEMINI_API_KEY": "none"}


def service_of(image: str) -> str:
    """orchestrator, or producer-random, of chorus-…:<version>."""
    return image.removeprefix("chorus-").partition(":")[0]


def size_of(client: docker.DockerClient, image: str) -> int:
    return int(client.images.get(image).attrs["Size"])


@contextlib.contextmanager
def started(client: docker.DockerClient, image: str, *command: str) -> Iterator[Container]:
    """A container with no network, as contained as compose.yaml has it."""
    container = client.containers.run(
        image,
        list(command),
        detach=True,
        read_only=True,
        tmpfs={"/tmp": ""},  # noqa: S108  # a container's own
        cap_drop=["ALL"],
        security_opt=["no-new-privileges:true"],
        network_mode="none",
        environment=FAKE_KEYS,
    )
    try:
        yield container
    finally:
        container.remove(force=True)


def until(container: Container, *command: str, seconds: float = 60.0) -> None:
    """Wait until a command within the container succeeds."""
    deadline = time.monotonic() + seconds
    while (answer := said(container, *command))[0]:
        assert time.monotonic() < deadline, f"{answer[1]}\n{container.logs(tail=20).decode()}"
        time.sleep(0.1)


def said(container: Container, *command: str) -> tuple[int, str]:
    """Exit code and output of a command within the container."""
    code, output = container.exec_run(list(command))
    return code or 0, b"".join([output] if isinstance(output, bytes) else output).decode().strip()


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_is_small_and_nobody_is_root(client: docker.DockerClient, images: tuple[str, ...], image: str) -> None:
    own = (size_of(client, image) - size_of(client, BASE)) / MIB
    assert own < OWN_MIB.get(service_of(image), OTHERS_MIB)
    assert client.images.get(image).attrs["Config"]["User"] == "65532:65532"


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_holds_one_service_and_no_installer(client: docker.DockerClient, images: tuple[str, ...], image: str) -> None:
    name = service_of(image)
    service = "producer" if name.startswith("producer-") else name.replace("-", "_")
    command = ["-c", "cd /app/services && ls -d */; ! command -v pip"]
    listed = client.containers.run(image, command, entrypoint="sh", remove=True, network_mode="none")
    assert [folder.strip("/") for folder in listed.decode().split() if folder != "__pycache__/"] == [service]


@pytest.mark.parametrize("image", [image for image in IMAGES if service_of(image) != "launcher"])
def test_a_service_lives_without_a_bus_and_stops_when_it_is_told(
    client: docker.DockerClient, images: tuple[str, ...], image: str
) -> None:
    with started(client, image) as container:
        until(container, "python3", "-m", "shared.health", "alive")
        assert said(container, "python3", "-m", "shared.health") == (1, "waits for NATS or its streams")
        begun = time.monotonic()
        container.stop(timeout=int(3 * STOP_SECONDS))
        assert time.monotonic() - begun < STOP_SECONDS, container.logs(tail=20).decode()
        container.reload()
        assert container.attrs["State"]["ExitCode"] == 0, container.logs(tail=20).decode()
