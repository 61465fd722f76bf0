"""The places of clients: how many there are, and what one that takes nothing costs the others."""

import asyncio

from starlette.types import Message

from services.gateway.clients import Clients
from shared.service import end
from tests.conftest import eventually


async def test_a_client_that_takes_nothing_does_not_slow_the_others() -> None:
    clients = Clients()

    async def take(message: Message) -> None:
        pass

    async def never_take(message: Message) -> None:
        await asyncio.Event().wait()

    with clients.one_more("a", take) as live, clients.one_more("b", never_take) as stalled:
        both = clients.gap
        await live.send({"type": "x"})
        assert clients.gap == both
        sending = asyncio.ensure_future(stalled.send({"type": "x"}))
        await eventually(lambda: clients.gap < both)
        assert clients.open == 2
        await end([sending])
        assert clients.gap == both  # it takes again, or is gone
