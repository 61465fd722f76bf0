"""A service stops although a cancellation was lost."""

import asyncio
import contextlib

import pytest

from shared import service


async def test_a_task_that_lost_its_cancellation_is_cancelled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "CANCEL_AGAIN_SECONDS", 0.01)

    async def loses_the_first() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    task = asyncio.create_task(loses_the_first())
    await asyncio.sleep(0)

    await asyncio.wait_for(service.end([task]), 5)

    assert task.cancelled()


async def test_a_failure_on_the_way_out_is_not_raised_here() -> None:
    async def fails() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("while ending")

    task = asyncio.create_task(fails())
    await asyncio.sleep(0)

    await service.end([task])

    assert isinstance(task.exception(), ValueError)
