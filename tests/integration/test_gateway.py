"""The gateway on a real bus: uvicorn on a free port, real HTTP clients, and a stand-in for the orchestrator."""

import asyncio
import contextlib
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator

import httpx
import msgspec
import pytest

from shared import subjects
from shared.bus import Bus, Entry, bucket_key, connect
from shared.messages import Accepted, Presence, ProviderCounts, RunSpec, StartRun
from tests.conftest import NatsServer, eventually
from tests.integration.gateway_kit import HEADERS, RUN, Orchestrator, gateway, ready, stalled, status_of, watch


@pytest.fixture
async def orchestrator(bus: Bus) -> Orchestrator:
    stand_in = Orchestrator(bus)
    await stand_in.answer()
    return stand_in


@pytest.fixture
async def client(nats_url: str, orchestrator: Orchestrator) -> AsyncIterator[httpx.AsyncClient]:
    async with gateway(nats_url) as ready_client:
        await ready(ready_client)
        yield ready_client


# ---- starting and changing runs ------------------------------------------------------------------------------------


async def test_starts_shows_and_changes_runs(client: httpx.AsyncClient, orchestrator: Orchestrator) -> None:
    fields = {
        "topic": "Pariser Straßen",
        "providers": ["random", "local"],
        "producers": 5,
        "iterations": 10,
        "max_items": 300,
        "max_seconds": 60,
        "request_size": 40,
        "seed": 7,
    }
    started = await client.post("/api/runs", json=fields)
    assert started.status_code == 202
    run = started.json()["run"]
    assert started.headers["location"] == f"/api/runs/{run}"
    expected = RunSpec(
        topic="Pariser Straßen",
        providers=("random", "local"),
        producers=5,
        iterations=10,
        max_items=300,
        max_seconds=60,
        request_size=40,
        seed=7,
    )
    assert orchestrator.asked == [StartRun(spec=expected, run=run)]

    shown = (await client.get(f"/api/runs/{run}")).json()
    assert shown["topic"] == "Pariser Straßen"
    assert shown["status"] == "running"
    assert shown["spec"]["max_items"] == 300
    for change, status in [("pause", "paused"), ("resume", "running"), ("stop", "stopped")]:
        changed = await client.post(f"/api/runs/{run}/{change}")
        assert (changed.status_code, changed.json()["status"]) == (202, status)

    other = (await client.post("/api/runs", json={"topic": "Later"})).json()["run"]
    assert [one["run"] for one in (await client.get("/api/runs")).json()] == [other, run]
    assert len((await client.get("/api/runs?limit=1")).json()) == 1


async def test_a_run_that_names_no_provider_uses_those_with_keys(nats_url: str, orchestrator: Orchestrator) -> None:
    async with gateway(nats_url, {"OPENAI_API_KEY": "sk-secret-1"}) as client:
        await ready(client)
        await client.post("/api/runs", json={"topic": "Paris"})
        assert orchestrator.asked[0].spec.providers == ("openai",)
        answer = await client.get("/api/providers")
        assert "sk-secret-1" not in answer.text
        keys = {one["provider"]: (one["keyless"], one["key"]) for one in answer.json()["providers"]}
        assert (keys["openai"], keys["gemini"], keys["random"]) == ((False, True), (False, False), (True, False))
        assert answer.json()["default"] == ["openai"]


async def test_a_key_that_cannot_be_one_breaks_nothing(nats_url: str, orchestrator: Orchestrator) -> None:
    async with gateway(nats_url, {"OPENAI_API_KEY": "secret-1"}) as client:
        await ready(client)
        listed = {one["provider"]: one["key"] for one in (await client.get("/api/providers")).json()["providers"]}
        assert listed["openai"] is False
        assert (await client.post("/api/runs", json={"topic": "x", "providers": ["random"]})).status_code == 202
        unnamed = await client.post("/api/runs", json={"topic": "x"})
        assert (unnamed.status_code, "OPENAI_API_KEY" in unnamed.json()["detail"]) == (422, True)
        assert "secret-1" not in unnamed.text


async def test_live_producers_are_counted(client: httpx.AsyncClient, bus: Bus) -> None:
    presence = Presence(producer="producer-random-1", provider="random", models=["vocabulary"], busy=1, state="working")
    await bus.tell(subjects.presence(presence.producer), presence)

    async def live() -> list[int]:
        providers = (await client.get("/api/providers")).json()["providers"]
        return [one["producers"] for one in providers if one["producers"]]

    assert await eventually(live) == [1]
    await bus.tell(subjects.presence(presence.producer), msgspec.structs.replace(presence, state="leaving"))

    async def gone() -> bool:
        return not await live()

    await eventually(gone)


async def test_limits_and_routes_reach_the_orchestrator(client: httpx.AsyncClient, orchestrator: Orchestrator) -> None:
    fields = {
        "topic": "Paris",
        "providers": ["random"],
        "max_usd": 0.5,
        "max_tokens": 9000,
        "max_calls": 12,
        "routing_strategy": "weighted",
        "routing_config": "random:1",
    }
    assert (await client.post("/api/runs", json=fields)).status_code == 202
    asked = msgspec.json.decode(msgspec.json.encode(orchestrator.asked[0].spec))
    assert {name: asked[name] for name in fields} == fields


async def test_a_forecast_starts_nothing(client: httpx.AsyncClient, orchestrator: Orchestrator) -> None:
    forecast = await client.post("/api/forecast", json={"topic": "Paris", "providers": ["random"], "iterations": 10})
    assert forecast.status_code == 200
    assert (forecast.json()["calls"], forecast.json()["usd"], forecast.json()["unpriced"]) == (30, None, ["random/x"])
    refused = await client.post("/api/forecast", json={"topic": "busy", "providers": ["random"]})
    assert (refused.status_code, refused.json()["detail"]) == (422, "no forecast for that")
    assert (await client.post("/api/forecast", json={"topic": ""})).status_code == 422
    assert orchestrator.asked == []


async def test_a_run_shows_what_it_costs_and_why_a_provider_left(client: httpx.AsyncClient, orchestrator: Orchestrator) -> None:
    left = ProviderCounts(calls=4, failed=2, usd=None, errors={"quota": 2}, left="the daily quota is used up")
    counts = {"openai": left, "random": ProviderCounts(calls=2, usd=0.0)}
    await orchestrator.write(tokens=700, usd=None, reserved_usd=0.25, providers=counts, models={"openai/gpt": left})
    await eventually(lambda: status_of(client))
    shown = (await client.get(f"/api/runs/{RUN}")).json()
    assert (shown["usd"], shown["tokens"], shown["reserved_usd"]) == (None, 700, 0.25)
    assert shown["providers"]["openai"]["left"] == "the daily quota is used up"
    assert shown["models"]["openai/gpt"]["errors"] == {"quota": 2}
    assert shown["providers"]["random"]["usd"] == 0


async def test_a_request_that_is_sent_again_starts_one_run(nats_url: str, orchestrator: Orchestrator) -> None:
    body, key = {"topic": "Paris", "providers": ["random"]}, {"Idempotency-Key": "order-7"}
    async with gateway(nats_url) as client:
        await ready(client)
        together = await asyncio.gather(*(client.post("/api/runs", json=body, headers=key) for _ in range(10)))
        run = together[0].json()["run"]
        assert {(one.status_code, one.json()["run"]) for one in together} == {(202, run)}
        await orchestrator.finish(run)
    async with gateway(nats_url) as client:  # after a restart, and after the run's end
        await ready(client)
        asked = len(orchestrator.asked)
        again = await client.post("/api/runs", json=body, headers=key)
        assert (again.status_code, again.json()["run"], len(orchestrator.asked)) == (202, run, asked)
        other_body = await client.post("/api/runs", json={**body, "topic": "Rome"}, headers=key)
        assert (other_body.status_code, "another run" in other_body.json()["detail"]) == (422, True)
        other_key = await client.post("/api/runs", json=body, headers={"Idempotency-Key": "order-8"})
        assert other_key.json()["run"] != run
        readable = await client.post("/api/runs", json=body, headers={"Idempotency-Key": "20261124-103207-9f3ac1"})
        assert readable.json()["run"] == "20261124-103207-9f3ac1"
        bad_key = await client.post("/api/runs", json=body, headers={"Idempotency-Key": "x" * 256})
        assert bad_key.status_code == 422
    assert set(orchestrator.states) == {run, other_key.json()["run"], readable.json()["run"]}


BAD_REQUESTS = [
    (b'{"topic": ""}', 422, "topic is empty"),
    (b'{"topic": "   "}', 422, "topic is empty"),
    (b'{"topic": "a\\u0007b"}', 422, "control characters"),
    (b'{"topic": "' + b"x" * 500 + b'"}', 422, "200"),
    (b'{"topic": "' + b"x" * 10_240 + b'"}', 413, "8192"),
    (b'{"topic": "' + b"x" * 900_000 + b'"}', 413, "8192"),
    (b"{}", 422, "topic"),
    (b'{"topic": 5}', 422, "topic"),
    (b'{"topic": "x", "providers": ["clippy"]}', 422, "clippy"),
    (b'{"topic": "x", "providers": []}', 422, "providers"),
    (b'{"topic": "x", "providers": "random"}', 422, "providers"),
    (b'{"topic": "x", "producers": -1}', 422, "producers"),
    (b'{"topic": "x", "producers": 100}', 422, "producers"),
    (b'{"topic": "x", "iterations": -1}', 422, "iterations"),
    (b'{"topic": "x", "iterations": 1.5}', 422, "iterations"),
    (b'{"topic": "x", "max_items": -5}', 422, "max_items"),
    (b'{"topic": "x", "max_items": 123456789012345678901234567890}', 422, "max_items"),
    (b'{"topic": "x", "max_seconds": -1}', 422, "max_seconds"),
    (b'{"topic": "x", "max_seconds": NaN}', 400, "JSON"),
    (b'{"topic": "x", "max_usd": 0}', 422, "max_usd"),
    (b'{"topic": "x", "max_tokens": 0}', 422, "max_tokens"),
    (b'{"topic": "x", "max_calls": 1.5}', 422, "max_calls"),
    (b'{"topic": "x", "max_item": 5}', 422, "max_item"),
    (b'{"topic": "x"', 400, "JSON"),
    (b"", 400, "object"),
    (b"\xff\xfe", 400, "JSON"),
    (b'{"topic": "\\ud800"}', 400, "JSON"),
    (b"[" * 8000, 400, "JSON"),
    (b'"x"', 400, "object"),
    (b'{"topic": "busy"}', 409, "three runs"),
]


async def test_bad_input_gets_a_sentence_that_helps(client: httpx.AsyncClient, orchestrator: Orchestrator) -> None:
    for body, status, words in BAD_REQUESTS:
        answer = await client.post("/api/runs", content=body, headers=HEADERS if body else {})
        problem = answer.json()
        assert (answer.status_code, problem["status"]) == (status, status), (body[:80], problem)
        assert words in problem["detail"], (body[:80], problem)
        assert answer.headers["content-type"] == "application/problem+json"
        assert set(problem) == {"type", "title", "status", "detail"}
    assert [question.spec.topic for question in orchestrator.asked] == ["busy"]


async def test_what_does_not_exist_is_not_found(client: httpx.AsyncClient) -> None:
    for path in [
        "/api/runs/none",
        "/api/runs/none/events",
        "/api/runs/none/attributes",
        "/api/runs/a.b",
        "/api/runs/%00",
        "/x",
    ]:
        answer = await client.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json"), path
    assert (await client.post("/api/runs/none/stop")).status_code == 404
    assert (await client.get("/static/../__main__.py")).status_code == 404
    assert (await client.get("/static/%2e%2e/app.py")).status_code == 404
    assert (await client.delete("/api/runs")).status_code == 405
    assert (await client.get("/api/runs?limit=-1")).status_code == 422


async def test_only_the_own_page_and_tools_may_change_runs(client: httpx.AsyncClient, orchestrator: Orchestrator) -> None:
    body = {"topic": "x"}
    own = str(client.base_url).rstrip("/")
    refused = [
        {"Origin": "http://evil.test"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": own},
    ]
    for headers in refused:
        assert (await client.post("/api/runs", json=body, headers=headers)).status_code == 403, headers
    plain = await client.post("/api/runs", content=b'{"topic": "x"}', headers={"Content-Type": "text/plain"})
    assert plain.status_code == 415
    rebound = await client.get("/api/runs", headers={"Host": "evil.test"})
    assert rebound.status_code == 400
    assert orchestrator.asked == []
    for headers in [{"Origin": own}, {"Sec-Fetch-Site": "same-origin"}, {}]:
        assert (await client.post("/api/runs", json=body, headers=headers)).status_code == 202, headers


async def test_pages_may_run_nothing_but_our_own_files(client: httpx.AsyncClient) -> None:
    for path in ["/", "/static/main.js", "/api/runs", "/api/runs/none"]:
        headers = (await client.get(path)).headers
        assert "default-src 'none'; script-src 'self'" in headers["content-security-policy"], path
        assert headers["x-content-type-options"] == "nosniff"
    page = (await client.get("/")).text
    assert "http://" not in page
    assert "https://" not in page


# ---- what is missing -----------------------------------------------------------------------------------------------


async def test_without_a_bus_the_page_is_served_and_says_so_until_there_is_one(nats_server: NatsServer) -> None:
    nats_server.kill()
    async with gateway(nats_server.url) as client:
        assert (await client.get("/")).status_code == 200
        assert (await client.get("/livez")).status_code == 200
        assert (await client.get("/test")).status_code == 200
        unready = await client.get("/readyz")
        assert (unready.status_code, unready.json()["bus"]) == (503, False)
        assert "NATS" in unready.json()["missing"][0]
        refused = await client.post("/api/runs", json={"topic": "x"})
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
        assert (await client.get(f"/api/runs/{RUN}/events")).status_code == 503

        nats_server.start()
        bus = await connect(nats_server.url, "test")
        await bus.provision()
        await ready(client)
        absent = await client.post("/api/runs", json={"topic": "x"})
        assert (absent.status_code, "orchestrator" in absent.json()["detail"]) == (503, True)

        await Orchestrator(bus).answer()
        started = await client.post("/api/runs", json={"topic": "x"})
        assert started.status_code == 202, started.text

        async def nothing_but_producers_missing() -> bool:
            missing = (await client.get("/readyz")).json()["missing"]
            return len(missing) == 1 and "producers" in missing[0]

        await eventually(nothing_but_producers_missing)
        await bus.close()


# ---- the event stream ----------------------------------------------------------------------------------------------


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


# ---- downloads -----------------------------------------------------------------------------------------------------


async def test_downloads_hold_the_list_in_order(client: httpx.AsyncClient, orchestrator: Orchestrator) -> None:
    await orchestrator.write()
    await eventually(lambda: status_of(client))
    path = f"/api/runs/{RUN}/attributes"
    assert (await client.get(f"{path}?format=json")).json() == []
    assert (await client.get(f"{path}?format=txt")).text == ""

    texts = [f"item {number}" for number in range(700)] + ["<script>alert(1)</script>", 'say "hé" 漢字 \u2028', "two\nlines"]
    for first in range(0, len(texts), 200):
        await orchestrator.accept(*texts[first : first + 200])
    rows = (await client.get(path)).json()
    assert [row["text"] for row in rows] == texts
    assert [row["ordinal"] for row in rows] == list(range(1, len(texts) + 1))
    assert set(rows[0]) == {"ordinal", "text", "provider", "model", "producer", "facet", "at"}
    text = await client.get(f"{path}?format=txt")
    assert text.headers["content-disposition"] == f'attachment; filename="{RUN}.txt"'
    assert text.content.decode().split("\n")[:700] == texts[:700]
    assert text.content.decode().count("\n") == len(texts)
    assert (await client.get(f"{path}?format=pdf")).status_code == 422


# ---- the process ---------------------------------------------------------------------------------------------------


async def test_sigterm_ends_the_process_in_time_with_clients_on(nats_url: str, orchestrator: Orchestrator) -> None:
    """One client listens and is told; twenty have stopped reading, with more on its way than any buffer holds."""
    await orchestrator.write()
    for first in range(0, 6000, 200):
        await orchestrator.accept(*(f"item {number} {'x' * 150}" for number in range(first, first + 200)))
    environment = os.environ | {"NATS_URL": nats_url, "PORT": "0"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.gateway", env=environment, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        url = msgspec.json.decode(await asyncio.wait_for(process.stderr.readline(), 20))["url"]
        async with httpx.AsyncClient(base_url=url, timeout=10) as client:
            await ready(client)
            with contextlib.ExitStack() as many:
                for _ in range(20):
                    many.enter_context(stalled(url))
                async with watch(client) as stream:
                    assert (await stream.next("accepted")).data["ordinal"] == 1
                    process.send_signal(signal.SIGTERM)
                    before = time.monotonic()
                    await stream.next("bye")
                    assert await asyncio.wait_for(process.wait(), 10) == 0
                    assert time.monotonic() - before < 6
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
