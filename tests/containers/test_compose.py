"""The same with docker-compose 1.29, the only one that Debian 12 has, where all other tests use the newer one."""

from pathlib import Path

import docker
import pytest

from services.tester import invariants
from services.tester.trial import END_SECONDS, RUN
from tests.conftest import eventually
from tests.containers.conftest import leave_out
from tests.containers.stack import Stack
from tests.containers.test_scaling import all_known

pytestmark = [pytest.mark.containers, pytest.mark.timeout(1800)]  # the first test waits for the images


async def test_docker_compose_1_29_starts_scales_and_stops(
    client: docker.DockerClient, images: tuple[str, ...], tmp_path: Path
) -> None:
    variables = {"COMPOSE_PROFILES": "random", "RANDOM_LATENCY_SECONDS": "0.3", "DOCKER_CONFIG": str(tmp_path / "no-plugins")}
    own = Stack(client, tmp_path / "stack", variables)
    if "version 1." not in own.compose("version"):
        leave_out("docker-compose 1.29 is not installed, or hidden by a plugin of the system")
    with own.running("--scale", "producer-random=2") as stack:
        assert len(stack.containers("producer-random")) == 2
        stack.up("--scale", "producer-random=8")
        bus = await stack.connect()
        try:
            await eventually(lambda: all_known(stack, 8), 30)
            watched = await stack.begin(bus, **{**RUN, "topic": "As of old"})
            evidence = await watched.verdict(2 * END_SECONDS, [])
            await watched.close()
        finally:
            await bus.close()
    assert not [str(broken) for broken in invariants.check(evidence)]
    assert not own.containers()
