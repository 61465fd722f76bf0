"""Who gets in: tokens, sessions, one-time links, rates and caps, over real HTTP."""

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from services.gateway.access import COOKIE
from services.gateway.clients import Clients
from services.gateway.rates import Rate, Rates
from tests.integration.gateway.kit import RUN, Orchestrator, gateway, ready, watch

TOKEN = "correct-horse-battery-staple"  # noqa: S105  # of these tests alone
BEARER = {"Authorization": f"Bearer {TOKEN}"}
BODY = {"topic": "Paris", "providers": ["random"]}


async def test_with_a_token_only_the_page_and_probes_are_open(nats_url: str, orchestrator: Orchestrator) -> None:
    async with gateway(nats_url, gateway_token=TOKEN) as client:
        await ready(client)
        for path in ["/", "/static/main.js", "/livez", "/readyz", "/openapi.json"]:
            assert (await client.get(path)).status_code == 200, path
        for path in ["/api/runs", f"/api/runs/{RUN}/events", "/api/providers", "/api/producers", "/metrics", "/nothing"]:
            refused = await client.get(path)
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer"), path
            assert TOKEN not in refused.text
        assert (await client.post("/api/runs", json=BODY)).status_code == 401
        assert (await client.post("/api/session")).status_code == 401
        assert orchestrator.asked == []
        assert (await client.get("/api/runs", headers=BEARER)).status_code == 200
        assert (await client.post("/api/runs", json=BODY, headers=BEARER)).status_code == 202


async def test_a_browser_signs_in_and_stays_so_through_a_restart(nats_url: str, orchestrator: Orchestrator) -> None:
    async with gateway(nats_url, gateway_token=TOKEN) as client:
        await ready(client)
        signed_in = await client.post("/api/session", headers=BEARER)
        attributes = signed_in.headers["set-cookie"].lower()
        assert all(word in attributes for word in ("httponly", "samesite=strict", "path=/"))
        assert TOKEN not in attributes
        session = {"Cookie": f"{COOKIE}={signed_in.cookies[COOKIE]}"}
        client.cookies.clear()
    async with gateway(nats_url, gateway_token=TOKEN) as client:
        await ready(client)
        own = str(client.base_url).rstrip("/")
        assert (await client.get("/api/runs", headers=session)).status_code == 200
        unsaid = await client.post("/api/runs", json=BODY, headers=session)
        assert unsaid.status_code == 403  # a browser that sends a cookie says for which page
        assert (await client.post("/api/runs", json=BODY, headers=session | {"Origin": own})).status_code == 202
        foreign = session | {"Origin": "http://evil.test"}
        assert (await client.post("/api/runs", json=BODY, headers=foreign)).status_code == 403


async def test_a_link_signs_in_one_browser(nats_url: str, orchestrator: Orchestrator) -> None:
    async with gateway(nats_url, gateway_token=TOKEN) as client:
        await ready(client)
        made = await client.post("/api/login-links", headers=BEARER)
        link = made.json()["link"]
        assert made.status_code == 201
        assert link.startswith(str(client.base_url))
        first = await client.get(link)
        assert (first.status_code, "location" in first.headers) == (200, False)
        assert (await client.get("/api/runs")).status_code == 200  # by the cookie
        client.cookies.clear()
        assert (await client.get(link)).status_code == 401
        assert (await client.get("/api/runs")).status_code == 401


async def test_guessing_meets_a_wall_that_sessions_pass(nats_url: str, orchestrator: Orchestrator) -> None:
    rates = Rates(failures=Rate(burst=3, per_second=0.001))
    async with gateway(nats_url, gateway_token=TOKEN, rates=rates) as client:
        await ready(client)
        session = (await client.post("/api/session", headers=BEARER)).cookies[COOKIE]
        client.cookies.clear()
        guesses = [await client.get("/api/runs", headers={"Authorization": f"Bearer guess-{n}"}) for n in range(4)]
        assert [one.status_code for one in guesses] == [401, 401, 401, 429]
        assert (await client.get("/api/runs", headers=BEARER)).status_code == 429
        assert (await client.get("/login?code=x")).status_code == 429
        assert (await client.get("/api/runs", headers={"Cookie": f"{COOKIE}={session}"})).status_code == 200


async def test_other_names_are_served_when_they_are_listed(nats_url: str, orchestrator: Orchestrator) -> None:
    async with gateway(nats_url, gateway_hosts="chorus.example") as client:
        for host, status in [("chorus.example", 200), ("10.0.0.7:8080", 200), ("evil.test", 400), ("", 400)]:
            answer = await client.get("/livez", headers={"Host": host})
            assert answer.status_code == status, host


async def test_who_asks_too_fast_is_told_when_to_come_back(nats_url: str, orchestrator: Orchestrator) -> None:
    rates = Rates(changes=Rate(burst=2, per_second=0.5), reads=Rate(burst=1000, per_second=1))
    async with gateway(nats_url, rates=rates) as client:
        await ready(client)
        answers = [await client.post("/api/runs", json=BODY) for _ in range(3)]
        assert [one.status_code for one in answers] == [202, 202, 429]
        assert 1 <= int(answers[2].headers["retry-after"]) <= 2
        assert (await client.post("/api/forecast", json=BODY)).status_code == 200  # asks, and changes nothing
        assert (await client.get("/api/runs")).status_code == 200
        assert len(orchestrator.asked) == 2


@pytest.mark.parametrize("clients", [Clients(per_address=2), Clients(limit=2)], ids=["per address", "in all"])
async def test_one_client_too_many_is_told_to_come_back(nats_url: str, orchestrator: Orchestrator, clients: Clients) -> None:
    await orchestrator.write()
    async with gateway(nats_url, clients=clients) as client:
        await ready(client)
        async with watch(client) as first, watch(client) as second:
            await first.next("hello")
            await second.next("hello")
            refused = await client.get(f"/api/runs/{RUN}/events")
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
            counted = await metrics(client)
            assert counted["chorus_gateway_clients"] == 2
            assert counted["chorus_gateway_clients_refused_total"] == 1
        await orchestrator.finish()
        async with watch(client) as again:
            await again.next("done")


async def metrics(client: httpx.AsyncClient) -> dict[str, float]:
    """The gateway's counters, those with labels left out."""
    text = (await client.get("/metrics")).text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    assert {"chorus_gateway_requests_total", "chorus_runs", "chorus_gateway_ready"} <= {sample.name for sample in samples}
    return {sample.name: sample.value for sample in samples if not sample.labels}
