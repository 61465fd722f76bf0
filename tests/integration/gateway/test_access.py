"""Who gets in: tokens, sessions, one-time links, rates and caps, over real HTTP."""

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from services.gateway import follower
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


async def test_a_link_shows_a_button_that_signs_in_one_browser(nats_url: str, orchestrator: Orchestrator) -> None:
    async with gateway(nats_url, gateway_token=TOKEN) as client:
        await ready(client)
        made = await client.post("/api/login-links", headers=BEARER)
        link = made.json()["link"]
        assert made.status_code == 201
        assert link.startswith(str(client.base_url))
        for looking in ("HEAD", "GET", "GET"):  # as the previews of mail and chat do
            seen = await client.request(looking, link)
            assert (seen.status_code, "set-cookie" in seen.headers) == (200, False)
        code = link.partition("code=")[2]
        assert f'name="code" value="{code}"' in seen.text
        assert "form-action 'self'" in seen.headers["content-security-policy"]
        foreign = await client.post("/login", data={"code": code}, headers={"Origin": "http://evil.test"})
        assert foreign.status_code == 403
        first = await client.post("/login", data={"code": code})
        assert (first.status_code, first.headers["location"]) == (303, "/")
        assert (await client.get("/api/runs")).status_code == 200  # by the cookie
        client.cookies.clear()
        assert (await client.post("/login", data={"code": code})).status_code == 401
        assert (await client.get("/api/runs")).status_code == 401
        assert (await client.get('/login?code="><script>alert(1)</script>')).status_code == 404


async def test_who_shows_the_token_is_never_refused_for_what_others_at_the_address_do(
    nats_url: str, orchestrator: Orchestrator
) -> None:
    few = Rate(burst=3, per_second=0.001)
    rates = Rates(failures=few, public=few, reads=Rate(burst=50, per_second=50))
    async with gateway(nats_url, gateway_token=TOKEN, rates=rates) as client:
        client.headers.update(BEARER)
        await ready(client)
        del client.headers["Authorization"]
        guesses = [await client.get("/api/runs", headers={"Authorization": f"Bearer guess-{n}"}) for n in range(5)]
        assert [one.status_code for one in guesses] == [401, 401, 401, 429, 429]
        links = [await client.post("/login", data={"code": "x"}) for _ in range(3)]
        assert {one.status_code for one in links} == {429}
        looks = [await client.get("/livez") for _ in range(3)]
        assert looks[-1].status_code == 429
        assert (await client.get("/livez", headers=BEARER)).status_code == 200
        code = (await client.post("/api/login-links", headers=BEARER)).json()["link"].partition("code=")[2]
        session = (await client.post("/api/session", headers=BEARER)).cookies[COOKIE]
        client.cookies.clear()
        assert (await client.get("/api/runs", headers={"Cookie": f"{COOKIE}={session}"})).status_code == 200
        assert (await client.post("/login", data={"code": code}, headers=BEARER)).status_code == 303


async def test_a_session_makes_no_sessions_and_ends_when_it_is_signed_out(nats_url: str, orchestrator: Orchestrator) -> None:
    async with gateway(nats_url, gateway_token=TOKEN) as client:
        await ready(client)
        own = {"Origin": str(client.base_url).rstrip("/")}
        signed_in = await client.post("/api/session", headers=BEARER)
        stolen = {"Cookie": f"{COOKIE}={signed_in.cookies[COOKIE]}"}
        for path in ("/api/session", "/api/login-links"):
            refused = await client.post(path, headers=own)
            assert (refused.status_code, "set-cookie" in refused.headers) == (401, False), path
        assert (await client.get("/readyz")).json()["session"]
        assert (await client.delete("/api/session", headers={"Origin": "http://evil.test"})).status_code == 403
        out = await client.delete("/api/session", headers=own)
        assert (out.status_code, 'chorus_session=""; ' in out.headers["set-cookie"]) == (204, True)
        client.cookies.clear()
        assert (await client.get("/api/runs", headers=stolen)).status_code == 401
        assert not (await client.get("/readyz", headers=stolen)).json()["session"]


async def test_an_event_stream_ends_with_the_session_that_opened_it(
    nats_url: str, orchestrator: Orchestrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "HEARTBEAT_SECONDS", 0.2)
    await orchestrator.write()
    async with gateway(nats_url, gateway_token=TOKEN) as client:
        await ready(client)
        await client.post("/api/session", headers=BEARER)
        async with watch(client) as stream:
            await stream.next("hello")
            await stream.next("hb")
            await client.delete("/api/session", headers={"Origin": str(client.base_url).rstrip("/")})
            await stream.next("bye")


async def test_nothing_that_the_token_guards_is_kept_by_a_browser_or_proxy(nats_url: str, orchestrator: Orchestrator) -> None:
    await orchestrator.write()
    async with gateway(nats_url, gateway_token=TOKEN) as client:
        await ready(client)
        code = (await client.post("/api/login-links", headers=BEARER)).json()["link"].partition("code=")[2]
        asked = [
            ("GET", path) for path in ("/api/runs", f"/api/runs/{RUN}/attributes", "/api/providers", "/metrics", "/nothing")
        ]
        asked += [
            ("POST", "/api/session"),
            ("POST", "/api/login-links"),
            ("GET", f"/login?code={code}"),
            ("DELETE", "/api/session"),
        ]
        for method, path in asked:
            assert (await client.request(method, path, headers=BEARER)).headers["cache-control"] == "no-store", path
        assert (await client.post("/login", data={"code": code})).headers["cache-control"] == "no-store"
        client.cookies.clear()
        assert (await client.get("/api/runs")).headers["cache-control"] == "no-store"
        assert (await client.get("/static/main.js")).headers["cache-control"] == "no-cache"


async def test_behind_tls_cookies_links_and_origin_are_those_of_the_address_that_was_set(
    nats_url: str, orchestrator: Orchestrator
) -> None:
    async with gateway(nats_url, gateway_token=TOKEN, gateway_url="https://chorus.example") as client:
        await ready(client)
        client.headers["Host"] = "chorus.example"
        signed_in = await client.post("/api/session", headers=BEARER)
        name, _, attributes = signed_in.headers["set-cookie"].partition("=")
        assert name == "__Host-chorus_session"
        assert all(word in attributes.lower() for word in ("secure", "httponly", "samesite=strict", "path=/"))
        assert "domain" not in attributes.lower()
        session = {"Cookie": f"{name}={attributes.partition(';')[0]}"}
        client.cookies.clear()
        for origin, status in [("https://chorus.example", 202), ("https://evil.test", 403), ("null", 403)]:
            assert (await client.post("/api/runs", json=BODY, headers=session | {"Origin": origin})).status_code == status, (
                origin
            )
        link = (await client.post("/api/login-links", headers=BEARER)).json()["link"]
        assert link.startswith("https://chorus.example/login?code=")
        assert (await client.get("/livez", headers={"Host": "other.example"})).status_code == 400


@pytest.mark.parametrize(("proxies", "believed"), [("", False), ("10.0.0.0/8", False), ("127.0.0.0/8, ::1", True)])
async def test_what_a_proxy_says_of_who_asks_is_taken_from_those_that_are_named(
    nats_url: str, orchestrator: Orchestrator, proxies: str, *, believed: bool
) -> None:
    rates = Rates(failures=Rate(burst=1, per_second=0.001))
    async with gateway(nats_url, gateway_token=TOKEN, gateway_proxies=proxies, rates=rates) as client:
        await ready(client)

        async def guess(address: str) -> int:
            headers = {"Authorization": "Bearer wrong", "X-Forwarded-For": f"spoofed, {address}"}
            return (await client.get("/api/runs", headers=headers)).status_code

        assert [await guess("192.0.2.1"), await guess("192.0.2.2")] == [401, 401 if believed else 429]
        assert await guess("192.0.2.1") == 429
        signed_in = await client.post("/api/session", headers=BEARER | {"X-Forwarded-Proto": "https"})
        assert ("secure" in signed_in.headers["set-cookie"].lower()) is believed


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"])
async def test_without_a_token_nobody_whom_a_proxy_forwards_is_served(client: httpx.AsyncClient, header: str) -> None:
    refused = await client.get("/api/runs", headers={header: "192.0.2.1"})
    assert (refused.status_code, "GATEWAY_TOKEN" in refused.json()["detail"]) == (403, True)


async def test_sign_ins_refusals_and_changes_are_told_with_the_address_and_no_secret(
    nats_url: str, orchestrator: Orchestrator
) -> None:
    async with gateway(nats_url, gateway_token=TOKEN, log_level="info") as client:
        await ready(client)
        with capture_logs() as logs:
            code = (await client.post("/api/login-links", headers=BEARER)).json()["link"].partition("code=")[2]
            session = (await client.post("/login", data={"code": code})).cookies[COOKIE]
            await client.post("/login?code=spent", data={"code": code})
            await client.post("/api/session", headers=BEARER)
            run = (await client.post("/api/runs", json=BODY, headers=BEARER)).json()["run"]
            for change in ("pause", "resume", "stop"):
                await client.post(f"/api/runs/{run}/{change}", headers=BEARER)
            await client.delete("/api/session", headers=BEARER)
            client.cookies.clear()
            for _ in range(200):
                await client.get("/api/runs", headers={"Authorization": "Bearer guess-of-mine"})
    told = [(line["event"], line.get("by") or line.get("change")) for line in logs if line["event"] != "request.refused"]
    assert told == [
        ("browser.signed_in", "link"),
        ("browser.signed_in", "token"),
        *(("run.asked", change) for change in ("start", "pause", "resume", "stop")),
        ("browser.signed_out", None),
    ]
    assert {line["run"] for line in logs if line["event"] == "run.asked"} == {run}
    assert {line["address"] for line in logs} == {"127.0.0.1"}
    refused = [line for line in logs if line["event"] == "request.refused"]
    assert (refused[0]["status"], refused[0]["path"]) == (403, "/login")  # a browser that has a cookie says for which page
    assert 2 <= len(refused) <= 20
    text = str(logs)
    assert not any(secret in text for secret in (TOKEN, code, session, "guess-of-mine", "spent"))


async def test_other_names_are_served_when_they_are_listed(nats_url: str, orchestrator: Orchestrator) -> None:
    async with gateway(nats_url, gateway_hosts="chorus.example", gateway_token=TOKEN) as client:
        await ready(client)
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
