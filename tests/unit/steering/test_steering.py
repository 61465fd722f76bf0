"""Steering as a whole: probes, the tail, and that it is a fold over decisions and finished calls."""

from services.orchestrator.steering import Called, Made, Steering
from tests.unit.steering.playing import ALL, SIZE, Play, bring, steering

PRICES = {"a/m": 2.0, "b/m": 1.0, "c/m": 0.2}


def test_one_call_in_twenty_is_a_probe_of_the_models_that_are_asked() -> None:
    play = Play(steering(facets=("museums", "parks")), PRICES)
    for _ in range(200):
        play.call({"a/m": 8, "b/m": 8, "c/m": 8})
    probes = [made for made in play.made if made.probe]
    assert 8 <= len(probes) <= 11
    assert not any(made.probe for made in play.made[:9])
    assert all(made.facet == "" for made in probes)
    asked = {route for route in PRICES if play.routes.count(route) > 40}
    assert {made.route for made in probes} >= asked


def test_a_probe_names_nothing_to_avoid() -> None:
    under_test = steering()
    play = Play(under_test, PRICES)
    while not (ask := under_test.ask("a/m")).probe:
        assert ask.avoid or not under_test.avoid.names()
        play.to("a/m", 10)
    assert (ask.avoid, ask.facet, ask.tail) == ([], "", False)


def test_the_tail_is_asked_for_once_the_head_is_found() -> None:
    under_test = steering(ALL - {"probes"})
    play = Play(under_test, PRICES)
    play.to("a/m", 18)
    assert not under_test.ask("a/m").tail
    for _ in range(4):
        play.to("a/m", 4)
    assert under_test.ask("a/m").tail


def test_a_failed_call_tells_nothing() -> None:
    under_test = steering()
    Play(under_test, PRICES).to("a/m", 10)
    before = under_test.yields.of_route("a/m")
    under_test.handed_out(Made("t9", "a/m"))
    under_test.called_back("t9")
    assert under_test.yields.of_route("a/m") == before


def test_a_sample_is_due_as_the_list_grows() -> None:
    under_test = steering()
    play = Play(under_test, PRICES)
    for _ in range(5):
        assert not under_test.sample()
        play.to("a/m", 12)
    sample = under_test.sample()
    assert len(set(sample)) == 20
    assert all(0 <= index < 60 for index in sample)
    under_test.on_topic.asked()
    assert not under_test.sample()
    under_test.on_topic.judged(sample[:15], sample[15:])
    estimate = under_test.on_topic.estimate()
    assert estimate is not None
    assert (estimate.share, under_test.on_topic.trials) == (0.75, 20)


def test_samples_do_not_depend_on_when_the_one_before_was_judged() -> None:
    """After a restart it is known that a sample was judged, but not when; the next one is the same."""
    at_once, after_all = steering(), steering()
    for number in range(130):
        for under_test in (at_once, after_all):
            under_test.accepted(f"attribute {number}", Made(f"t{number}", "a/m"))
        if number == 63:
            at_once.on_topic.asked()
    after_all.on_topic.asked()
    assert at_once.sample() == after_all.sample()
    assert len(set(at_once.sample())) == 20
    assert all(60 <= index < 120 for index in at_once.sample())


def test_a_replay_decides_as_the_run_did() -> None:
    """After a restart all decisions are read first and the finished calls after them; what comes next is the same."""
    live = steering(facets=("museums", "parks"))
    play = Play(live, PRICES)
    for number in range(70):
        play.call({"a/m": 12 - number // 6, "b/m": 9, "c/m": 20 - number // 4})

    replayed: Steering = steering(facets=("museums", "parks"))
    known: dict[str, int] = {"a/m": 0, "b/m": 0, "c/m": 0}
    for number, made in enumerate(play.made):
        new = {"a/m": 12 - number // 6, "b/m": 9, "c/m": 20 - number // 4}[made.route]
        bring(replayed, made, new, SIZE - new)
        known[made.route] += 1
    for made in play.made:
        replayed.called(Called(made, SIZE, PRICES[made.route], 1.0))

    again = Play(replayed, PRICES)
    again.number = play.number
    for _ in range(30):
        brings = {"a/m": 2, "b/m": 9, "c/m": 4}
        assert again.call(brings) == play.call(brings)
    assert replayed.coverage == live.coverage
    assert replayed.avoid.names("parks") == live.avoid.names("parks")
