"""Routing says what it wants of the user, and keeps what it promises."""

from collections import Counter

import pytest

from services.orchestrator.routing import Route, Router, RoutingError, parse


def test_all_four_strategies_are_read() -> None:
    assert parse("backoff", "openai:gpt-4o-mini") == ("backoff", (Route("openai", "gpt-4o-mini"),))
    assert parse("roundrobin", "openai, local")[1] == (Route("openai"), Route("local"))
    assert parse("priority", "local:llama3:8b,openai")[1][0] == Route("local", "llama3:8b")
    routes = parse("weighted", "openai:gpt-4o:0.7,anthropic:0.3")[1]
    assert routes == (Route("openai", "gpt-4o", 0.7), Route("anthropic", "", 0.3))


@pytest.mark.parametrize(
    ("strategy", "config", "complaint"),
    [
        ("magic", "openai", "unknown routing strategy"),
        ("roundrobin", "", "needs a routing configuration"),
        ("roundrobin", " , ", "needs a routing configuration"),
        ("roundrobin", "nobody", "unknown provider"),
        ("roundrobin", "openai,openai", "named twice"),
        ("backoff", "openai,anthropic", "one route"),
        ("weighted", "openai,anthropic", "no weight"),
        ("weighted", "openai:1.2,anthropic:-0.2", "above 0 and at most 1"),
        ("weighted", "openai:0.5,anthropic:0.3", "add up to 0.8"),
        ("weighted", "openai:nan,anthropic:0.3", "above 0 and at most 1"),
        ("roundrobin", "openai:a b", "no model name"),
    ],
)
def test_a_wrong_configuration_is_refused(strategy: str, config: str, complaint: str) -> None:
    with pytest.raises(RoutingError, match=complaint):
        parse(strategy, config)


def _drive(router: Router, tasks: int, up: list[Route]) -> Counter[str]:
    given: Counter[str] = Counter()
    for _ in range(tasks):
        route = router.choose(up)
        assert route is not None
        router.given(route, up)
        given[route.provider] += 1
    return given


def test_weights_hold_within_three_percent_over_a_thousand_tasks() -> None:
    strategy, routes = parse("weighted", "openai:0.5,anthropic:0.3,gemini:0.2")
    given = _drive(Router(strategy, routes), 1000, list(routes))
    assert abs(given["openai"] - 500) <= 30
    assert abs(given["anthropic"] - 300) <= 30
    assert abs(given["gemini"] - 200) <= 30


def test_weights_hold_among_those_that_work() -> None:
    strategy, routes = parse("weighted", "openai:0.5,anthropic:0.25,gemini:0.25")
    router = Router(strategy, routes)
    assert _drive(router, 400, list(routes[1:])) == {"anthropic": 200, "gemini": 200}
    assert _drive(router, 4, list(routes))["openai"] == 2  # the one that returns is not overrun


def test_round_robin_alternates() -> None:
    strategy, routes = parse("roundrobin", "openai,anthropic,gemini")
    router = Router(strategy, routes)
    order = []
    for _ in range(6):
        route = router.choose(list(routes))
        assert route is not None
        router.given(route, routes)
        order.append(route.provider)
    assert order == ["openai", "anthropic", "gemini"] * 2


def test_priority_falls_back_and_returns() -> None:
    strategy, routes = parse("priority", "openai,anthropic")
    router = Router(strategy, routes)
    first, second = routes
    assert router.choose([first, second]) == first
    assert router.choose([second]) == second
    assert router.choose([first, second]) == first
    assert router.choose([]) is None
