"""A stream is at its bound: the run stands still, and goes on when a person makes room. Nothing is lost."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from shared import streams
from tests.faults.storage.test_disk import recovered, running, stopped

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

STREAMS = {stream.name: stream for stream in streams.STREAMS}


@pytest.mark.parametrize("name", ["RESULTS", "REPORTS_random", "TASKS"])
async def test_a_full_stream(tmp_path: Path, figure: Callable[[str, str], None], name: str) -> None:
    async with running(tmp_path) as stack:
        provisioner = await stack.provisioner()
        js = provisioner.client.jetstream()
        held = (await js.stream_info(name)).state.bytes
        await js.update_stream(STREAMS[name].evolve(max_bytes=max(1, held)))
        await asyncio.wait_for(stopped(stack), 60)
        await js.update_stream(STREAMS[name])
        ended = time.monotonic()
        await provisioner.close()
        took = await recovered(stack, ended)
    figure(f"stream {name} full, then room is made", f"went on after {took:.2f} s; 0 lost, 0 doubled")
    assert took <= 10
