"""Starting, listing and changing runs: uvicorn on a free port, real HTTP clients, a real bus."""

import asyncio

import httpx
import msgspec

from shared import subjects
from shared.bus import Bus, bucket_key
from shared.messages import FacetCounts, Presence, ProviderCounts, RunSpec, StartRun
from tests.conftest import eventually
from tests.integration.gateway.kit import HEADERS, RUN, Orchestrator, gateway, ready, status_of


class Spoilt(msgspec.Struct):
    """Stands where a run's state should be."""

    run: str
    topic: str


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
    await bus.tell(subjects.presence(presence.provider, presence.producer), presence)

    async def live() -> list[int]:
        providers = (await client.get("/api/providers")).json()["providers"]
        return [one["producers"] for one in providers if one["producers"]]

    assert await eventually(live) == [1]
    await bus.tell(subjects.presence(presence.provider, presence.producer), msgspec.structs.replace(presence, state="leaving"))

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


async def test_what_a_run_aims_at_reaches_the_orchestrator(client: httpx.AsyncClient, orchestrator: Orchestrator) -> None:
    fields = {
        "topic": "Paris",
        "providers": ["random"],
        "objective": "dollars",
        "facets": "museums; parks",
        "stop_below": 0.05,
        "strategy": "avoid,facets",
    }
    assert (await client.post("/api/runs", json=fields)).status_code == 202
    asked = msgspec.json.decode(msgspec.json.encode(orchestrator.asked[0].spec))
    assert {name: asked[name] for name in fields} == fields
    for name, value in [("objective", "fame"), ("stop_below", 5), ("strategy", "luck")]:
        refused = await client.post("/api/runs", json={**fields, name: value})
        assert (refused.status_code, name in refused.json()["detail"]) == (422, True), name


async def test_a_run_shows_how_complete_its_list_is_and_how_it_grew(
    client: httpx.AsyncClient, orchestrator: Orchestrator
) -> None:
    await orchestrator.write()
    await eventually(lambda: status_of(client))
    facets = {"museums": FacetCounts(calls=2, accepted=5, duplicates=3, new_share=0.25, closed="nothing new came")}
    estimates = {"coverage": 0.62, "coverage_low": 0.5, "coverage_high": 0.74, "marginal_usd": 0.002, "on_topic": 0.98}
    for seconds, usd in [(1.0, 0.01), (2.0, None), (3.5, 0.04)]:
        await orchestrator.tell(seconds=seconds, usd=usd, accepted=int(10 * seconds), facets=facets, **estimates)
    path = f"/api/runs/{RUN}"

    async def told() -> bool:
        return bool((await client.get(path)).json()["seconds"] == 3.5)

    await eventually(told)
    shown = (await client.get(path)).json()
    assert {name: shown[name] for name in estimates} == estimates
    assert shown["facets"]["museums"] == msgspec.to_builtins(facets["museums"])
    points = (await client.get(f"{path}/series")).json()
    assert [(point["seconds"], point["accepted"], point["usd"]) for point in points] == [
        (0, 0, 0),
        (1, 10, 0.01),
        (2, 20, None),
        (3.5, 35, 0.04),
    ]
    assert points[-1]["coverage"] == 0.62
    assert (await client.get("/api/runs/none/series")).status_code == 404


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


async def test_what_the_bus_holds_and_nobody_can_read_is_told_as_such(
    client: httpx.AsyncClient, orchestrator: Orchestrator, bus: Bus
) -> None:
    state = await orchestrator.write(run="20261124-101500-bbbbbb")
    await bus.publish(bucket_key("RUNS", RUN), Spoilt(run=RUN, topic=state.spec.topic))
    for path in ("", "/series", "/attributes", "/events", "/stop"):
        asked = client.post if path == "/stop" else client.get
        answer = await asked(f"/api/runs/{RUN}{path}")
        assert (answer.status_code, answer.headers["content-type"]) == (502, "application/problem+json"), path
        assert "The bus holds something" in answer.json()["detail"]


async def test_an_answer_on_another_run_is_none(client: httpx.AsyncClient, orchestrator: Orchestrator) -> None:
    other = await orchestrator.write(run="20261124-101500-bbbbbb")
    orchestrator.states["20261124-101500-cccccc"] = other
    key = {"Idempotency-Key": "20261124-101500-cccccc"}
    answer = await client.post("/api/runs", json={"topic": "Paris", "providers": ["random"]}, headers=key)
    assert (answer.status_code, other.run in answer.json()["detail"]) == (502, True)
