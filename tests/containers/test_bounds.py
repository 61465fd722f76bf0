"""What a container may take of the machine, and whom it may reach."""

import pytest

from tests.containers.stack import Stack
from tests.containers.test_images import said, until

pytestmark = [pytest.mark.containers, pytest.mark.timeout(1800)]  # the first test waits for the images

CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=3)"


def reaches(stack: Stack, service: str, host: str, port: int) -> bool:
    return said(stack.container(service), "python3", "-c", CONNECT, host, str(port))[0] == 0


def test_no_container_takes_the_machine_from_the_others(stack: Stack) -> None:
    for container in stack.containers():
        bounds = container.attrs["HostConfig"]
        assert bounds["Memory"] > 0, container.name
        assert bounds["PidsLimit"] > 0, container.name
        assert bounds["NanoCpus"] or bounds["CpuShares"] or "orchestrator" in str(container.name), container.name


def test_the_monitor_and_the_metrics_are_reached_by_nobody_else(stack: Stack) -> None:
    assert reaches(stack, "gateway", "nats", 4222)
    assert not reaches(stack, "gateway", "nats", 8222)
    until(stack.container("orchestrator"), "python3", "-c", CONNECT, "127.0.0.1", "9100")
    for service in ("orchestrator", "recorder", "producer-random"):
        assert not reaches(stack, "gateway", service, 9100), service


def test_the_bus_may_be_made_anew_and_the_streams_with_it(stack: Stack) -> None:
    """`provision` shares the network of a container that is then another one."""
    before = stack.container("nats").id
    stack.up("--force-recreate", "nats")
    assert stack.container("nats").id != before
    stack.up()
