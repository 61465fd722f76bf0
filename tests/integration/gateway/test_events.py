"""The event stream of a run: what comes, in what order, and how it resumes."""

import asyncio
import random

import httpx
import pytest

from shared import subjects
from shared.bus import Bus, Entry, bucket_key
from shared.messages import Accepted
from tests.conftest import NatsServer, eventually
from tests.integration.gateway.kit import RUN, Orchestrator, gateway, ready, status_of, watch


async def test_a_client_sees_a_run_from_start_to_end(client: httpx.AsyncClient, orchestrator: Orchestrator) -> None:
    await orchestrator.write()
    await eventually(lambda: status_of(client))
    async with watch(client) as stream:
        assert stream.response.headers["content-type"].startswith("text/event-stream")
        assert stream.response.headers["x-accel-buffering"] == "no"
        hello = await stream.next()
        assert (hello.name, hello.id, hello.data["run"], hello.data["status"]) == ("hello", "", RUN, "running")

        await orchestrator.accept("Louvre", "Eiffel Tower")
        first, second = await stream.next("accepted"), await stream.next("accepted")
        assert [first.data["text"], second.data["text"]] == ["Louvre", "Eiffel Tower"]
        assert (first.data["ordinal"], first.data["provider"], first.data["model"]) == (1, "random", "vocabulary")
        assert [int(one.id.split("-")[1]) for one in (first, second)] == [1, 2]

        await orchestrator.tell(accepted=2, duplicates=1)
        snapshot = await stream.next("snapshot")
        assert (snapshot.id, snapshot.data["state"]["duplicates"], snapshot.data["per_minute"]) == ("", 1, 12.5)
        await orchestrator.write(status="paused")
        assert (await stream.next("run")).data["status"] == "paused"
        await orchestrator.write(status="running")
        assert (await stream.next("run")).data["status"] == "running"

        await orchestrator.accept("Notre-Dame")
        await orchestrator.finish()
        assert (await stream.next("accepted")).data["ordinal"] == 3
        done = await stream.next("done")
        assert (done.data["status"], done.data["reason"]) == ("finished", "all calls are made")
        assert (done.data["accepted"], done.data["duplicates"], done.data["digest"]) == (3, 3, orchestrator.digest)
        assert await stream.rest() == []  # it ends by itself
    shown = (await client.get(f"/api/runs/{RUN}")).json()
    assert (shown["status"], shown["reason"], shown["accepted"]) == ("finished", "all calls are made", 3)
    assert (shown["candidates"], shown["calls"]) == (6, 2)
    again = await client.get(f"/api/runs/{RUN}/events", headers={"Last-Event-ID": done.id})
    assert again.status_code == 204


async def test_a_state_that_was_overtaken_does_not_bring_a_run_back(
    client: httpx.AsyncClient, orchestrator: Orchestrator
) -> None:
    await orchestrator.write()
    await orchestrator.accept("Louvre")
    await orchestrator.finish()

    async def finished() -> bool:
        return await status_of(client) == "finished"

    await eventually(finished)
    await orchestrator.tell(accepted=1)
    await orchestrator.write(status="running", accepted=1)
    await orchestrator.write(run="other")
    await eventually(lambda: status_of(client, "other"))  # so the states before it have been read
    assert await finished()


@pytest.mark.parametrize("tail_bytes", [0, 1000], ids=["from the tail", "from the stream"])
async def test_resuming_at_any_point_gives_exactly_what_came_after(
    nats_url: str, orchestrator: Orchestrator, tail_bytes: int
) -> None:
    await orchestrator.write()
    await orchestrator.accept("other run", run="other")
    orchestrator.texts.clear()
    await orchestrator.accept(*(f"item {number}" for number in range(12)))
    await orchestrator.finish()
    async with gateway(nats_url, tail_bytes=tail_bytes) as client:
        await ready(client)
        async with watch(client) as stream:
            whole = await stream.rest()
        assert [event.data["ordinal"] for event in whole] == list(range(1, 13))
        for number, event in enumerate(whole, start=1):
            async with watch(client, event.id) as stream:
                assert await stream.rest() == whole[number:]
        by_query = await client.get(f"/api/runs/{RUN}/events?last_id={whole[-1].id}")
        assert by_query.text.count("event: accepted") == 0
        assert by_query.text.count("event: done") == 1


async def test_what_the_stream_gave_is_not_given_again_by_the_tail(nats_url: str, orchestrator: Orchestrator) -> None:
    await orchestrator.write()
    await orchestrator.accept(*(f"item {number}" for number in range(6)))
    async with gateway(nats_url, tail_bytes=1000) as client:
        await ready(client)
        async with watch(client) as stream:
            old = [(await stream.next("accepted")).data["ordinal"] for _ in range(6)]
            await orchestrator.accept("item 6", "item 7")
            await orchestrator.finish()
            assert old + [event.data["ordinal"] for event in await stream.rest()] == list(range(1, 9))


async def test_a_place_that_means_nothing_gives_a_reset_and_everything(
    client: httpx.AsyncClient, orchestrator: Orchestrator
) -> None:
    await orchestrator.write()
    await orchestrator.accept("Louvre", "Eiffel Tower")
    await orchestrator.finish()
    async with watch(client) as stream:
        (epoch, _) = (await stream.next("accepted")).id.split("-")
    nonsense = [
        "x",
        "-1",
        f"{epoch}-",
        f"{epoch}--1",
        f"{epoch}-99",
        f"{epoch}-{2**64}",
        "0123456789ab-1",
        f"{epoch}-1-1",
        "%00",
    ]
    for last_id in nonsense:
        async with watch(client, last_id) as stream:
            assert stream.response.status_code == 200, last_id
            assert (await stream.next("reset", "accepted")).name == "reset", last_id
            assert [event.data["text"] for event in await stream.rest()] == ["Louvre", "Eiffel Tower"], last_id


async def test_every_client_gets_every_attribute_once_however_it_comes_and_goes(
    nats_url: str, orchestrator: Orchestrator
) -> None:
    """Twelve clients drop and resume at random while 2,000 attributes of this run and 1,000 of another are accepted."""
    total, chance = 2000, random.Random(11)  # noqa: S311  # places to break off, nothing secret
    await orchestrator.write()

    async def decide() -> None:
        for first in range(0, total, 50):
            await orchestrator.accept(*(f"item {number}" for number in range(first, first + 50)))
            other = [Entry(subjects.accepted("other", f"{first + n}"), _other(first + n)) for n in range(25)]
            await orchestrator.bus.commit(other)
        await orchestrator.finish()

    async def follow(client: httpx.AsyncClient) -> list[tuple[int, str]]:
        got: list[tuple[int, str]] = []
        last_id = ""
        while True:
            patience = chance.randrange(1, total // 2)
            async with watch(client, last_id) as stream:
                for _ in range(patience):
                    event = await stream.next("accepted", "done", "reset")
                    assert event.name != "reset"
                    if event.name == "done":
                        return got
                    last_id = event.id
                    got.append((int(event.id.split("-")[1]), event.data["text"]))

    async with gateway(nats_url, tail_bytes=40_000) as client:
        await ready(client)
        deciding = asyncio.ensure_future(decide())
        async with asyncio.timeout(60):
            lists = await asyncio.gather(*(follow(client) for _ in range(12)))
        await deciding
    for got in lists:
        assert [text for _, text in got] == orchestrator.texts
        assert [sequence for sequence, _ in got] == sorted({sequence for sequence, _ in got})


def _other(number: int) -> Accepted:
    return Accepted(
        run="other",
        ordinal=number + 1,
        text=f"other {number}",
        key=f"{number}",
        candidate="c",
        candidate_sequence=1,
        task="t",
        provider="random",
        model="",
        producer="p",
    )


async def test_an_id_of_one_gateway_resumes_at_the_next(nats_url: str, orchestrator: Orchestrator) -> None:
    await orchestrator.write()
    await orchestrator.accept("Louvre", "Eiffel Tower")
    async with gateway(nats_url) as client:
        await ready(client)
        async with watch(client) as stream:
            place = (await stream.next("accepted")).id
    await orchestrator.accept("Notre-Dame")
    await orchestrator.finish()
    async with gateway(nats_url) as client:
        await ready(client)
        async with watch(client, place) as stream:
            assert [event.data["text"] for event in await stream.rest()] == ["Eiffel Tower", "Notre-Dame"]


async def test_a_client_stays_through_a_restart_of_the_server(
    nats_server: NatsServer, client: httpx.AsyncClient, orchestrator: Orchestrator, bus: Bus
) -> None:
    await orchestrator.write()
    await orchestrator.accept("Louvre")
    async with watch(client) as stream:
        assert (await stream.next("accepted")).data["text"] == "Louvre"
        nats_server.restart()
        await eventually(lambda: bus.client.is_connected and bus.client.stats["reconnects"], 20)
        await orchestrator.accept("Eiffel Tower")
        await orchestrator.finish()
        assert [event.data["text"] for event in await stream.rest()] == ["Eiffel Tower"]


async def test_a_log_made_anew_resets_the_clients(client: httpx.AsyncClient, orchestrator: Orchestrator, bus: Bus) -> None:
    """As after the loss of the server's disk: sequences start again, so places in the old log mean nothing."""
    await orchestrator.write()
    await orchestrator.accept("Louvre", "Eiffel Tower", "Notre-Dame")
    async with watch(client) as stream:
        old = (await stream.next("accepted")).id
        await bus.client.jetstream().delete_stream("RESULTS")
        await bus.provision()
        orchestrator.texts.clear()
        await orchestrator.accept("Sacré-Cœur")
        await stream.next("reset")
        new = await stream.next("accepted")
        assert new.data["text"] == "Sacré-Cœur"
        assert new.id.split("-")[0] != old.split("-")[0]


async def test_a_malformed_entry_is_passed_over(client: httpx.AsyncClient, orchestrator: Orchestrator, bus: Bus) -> None:
    await orchestrator.write()
    await bus.client.jetstream().publish(subjects.accepted(RUN, "bad"), b'{"text": 5')
    await bus.client.jetstream().publish(bucket_key("RUNS", "bad"), b"\xff")
    await orchestrator.accept("Louvre")
    await orchestrator.finish()
    async with watch(client) as stream:
        assert [event.data["text"] for event in await stream.rest()] == ["Louvre"]
    assert (await client.get(f"/api/runs/{RUN}/attributes?format=txt")).text == "Louvre\n"
