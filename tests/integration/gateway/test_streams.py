"""The event stream's finer points: duplicates, resuming anywhere, lives that end, logs that were lost, many stalled clients."""

import asyncio
import contextlib

import httpx
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.gateway import follower
from tests.conftest import eventually
from tests.integration.gateway.kit import RUN, Event, Orchestrator, gateway, ready, stalled, status_of, watch


async def decide(orchestrator: Orchestrator, batches: int) -> None:
    """Attributes with duplicates and a judgement between them, and a last entry."""
    await orchestrator.write()
    for batch in range(batches):
        await orchestrator.accept(*(f"item {batch}-{number}" for number in range(5)))
        await orchestrator.repeat(*(f"Item {batch}-{number}" for number in range(4)), of=batch + 1)
        await orchestrator.settle(batch + 2, of=1, same=False)
    await orchestrator.finish()


@pytest.mark.parametrize("tail_bytes", [0, 2000], ids=["from the tail", "from the stream"])
async def test_duplicates_come_in_order_to_those_who_ask(nats_url: str, orchestrator: Orchestrator, tail_bytes: int) -> None:
    await decide(orchestrator, 6)
    async with gateway(nats_url, tail_bytes=tail_bytes) as client:
        await ready(client)
        async with watch(client, duplicates=True) as stream:
            whole = await everything(stream)
        assert [event.name for event in whole] == (["accepted"] * 5 + ["duplicate"] * 4 + ["settled"]) * 6 + ["done"]
        repeat = whole[5].data
        assert (repeat["of"], repeat["text"], repeat["tier"], repeat["score"]) == (1, "Item 0-0", "typo", 0.97)
        assert repeat["why"] == "“louvre” with one letter less"
        for place in (0, 5, 7, 30):
            async with watch(client, whole[place].id, duplicates=True) as stream:
                assert await everything(stream) == whole[place + 1 :]
        async with watch(client) as stream:
            plain = await everything(stream)
        assert plain == [event for event in whole if event.name in ("accepted", "done")]
        async with watch(client, whole[6].id) as stream:  # a place of the one means the same in the other
            assert await everything(stream) == plain[5:]
        assert (await client.get(f"/api/runs/{RUN}/events?duplicates=yes")).status_code == 422


async def everything(stream: object) -> list[Event]:
    """All events of the log until the stream ends."""
    found: list[Event] = []
    with contextlib.suppress(StopAsyncIteration):
        while True:
            event = await stream.next("accepted", "duplicate", "settled", "done")  # type: ignore[attr-defined]  # a Watching
            found.append(event)
    return found


@pytest.mark.parametrize("tail_bytes", [0, 6000], ids=["from the tail", "from both"])
async def test_any_chain_of_disconnects_gives_the_stream_once(
    nats_url: str, orchestrator: Orchestrator, tail_bytes: int
) -> None:
    """The union of what comes between any disconnects is the stream, and ids strictly rise."""
    await decide(orchestrator, 12)
    async with gateway(nats_url, tail_bytes=tail_bytes) as client:
        await ready(client)
        address = str(client.base_url)
        complete = await asyncio.to_thread(resumed, address, [], duplicates=True)
        assert len(complete) == 12 * 10 + 1

        @settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(stops=st.lists(st.integers(min_value=0, max_value=60), max_size=6), duplicates=st.booleans())
        def holds(stops: list[int], *, duplicates: bool) -> None:
            got = resumed(address, stops, duplicates=duplicates)
            assert got == [one for one in complete if duplicates or one[1] in ("accepted", "done")]
            sequences = [int(place.split("-")[1]) for place, _ in got]
            assert sequences == sorted(set(sequences))

        await asyncio.to_thread(holds)


def resumed(address: str, stops: list[int], *, duplicates: bool) -> list[tuple[str, str]]:
    """Ids and names of a run's events, got by a client that disconnects after so many of them each time."""
    got: list[tuple[str, str]] = []
    with httpx.Client(base_url=address, timeout=10) as client:
        for stop in [*stops, None]:
            headers = {"Last-Event-ID": got[-1][0]} if got else {}
            query = f"duplicates={int(duplicates)}"
            with client.stream("GET", f"/api/runs/{RUN}/events?{query}", headers=headers) as response:
                if response.status_code == 204:
                    return got
                place, left = "", stop
                for line in response.iter_lines():
                    field, _, value = line.partition(": ")
                    place = value if field == "id" else place
                    if field != "event" or not place:
                        continue
                    if left == 0:
                        break
                    got.append((place, value))
                    place, left = "", None if left is None else left - 1
    return got


async def test_a_life_ends_with_a_word_and_goes_on_elsewhere(
    client: httpx.AsyncClient, orchestrator: Orchestrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "LIFE_SECONDS", 0.2)
    await orchestrator.write()
    await orchestrator.accept("Louvre")
    async with watch(client) as stream:
        place = (await stream.next("accepted")).id
        await orchestrator.tell()  # it looks at the clock when there is news, and at each heartbeat
        while (await stream.next()).name != "bye":
            await orchestrator.tell()
    await orchestrator.accept("Eiffel Tower")
    async with watch(client, place) as stream:
        assert (await stream.next("accepted")).data["text"] == "Eiffel Tower"


async def test_a_run_whose_log_was_lost_has_an_end(client: httpx.AsyncClient, orchestrator: Orchestrator) -> None:
    await orchestrator.write(status="failed", reason="the disk was lost", accepted=7)

    async def failed() -> bool:
        return await status_of(client) == "failed"

    await eventually(failed)
    async with watch(client) as stream:
        done = await stream.next("done")
    assert (done.id, done.data["status"], done.data["reason"], done.data["accepted"]) == ("", "failed", "the disk was lost", 7)


async def test_stalled_clients_are_dropped_and_cost_the_others_nothing(
    client: httpx.AsyncClient, orchestrator: Orchestrator
) -> None:
    """Thirty clients that ask and never read, with more on its way to each than any buffer holds."""
    await orchestrator.write()
    for first in range(0, 4000, 200):
        await orchestrator.accept(*(f"item {number} {'x' * 150}" for number in range(first, first + 200)))
    process = psutil.Process()
    before = process.num_fds()
    with contextlib.ExitStack() as clients:
        for _ in range(30):
            clients.enter_context(stalled(str(client.base_url).rstrip("/")))

        async def all_there() -> bool:
            return await open_clients(client) == 30

        await eventually(all_there)
        async with watch(client) as stream:
            for number in range(4000):
                assert (await stream.next("accepted")).data["ordinal"] == number + 1

            async def dropped() -> bool:
                return await open_clients(client) == 1

            await eventually(dropped, 15)
    await eventually(lambda: process.num_fds() <= before + 5, 15)


async def open_clients(client: httpx.AsyncClient) -> int:
    for line in (await client.get("/metrics")).text.splitlines():
        if line.startswith("chorus_gateway_clients "):
            return int(float(line.split()[1]))
    raise AssertionError("the gauge is not there")
