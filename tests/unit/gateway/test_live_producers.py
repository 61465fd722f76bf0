"""A producer is live while it says so."""

from services.gateway.live_producers import MAX_PRODUCERS, SILENT_SECONDS, LiveProducers, default_providers
from shared.messages import Presence


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def names(producers: LiveProducers) -> list[str]:
    return [presence.producer for presence in producers.all()]


def test_a_silent_producer_is_forgotten() -> None:
    clock = Clock()
    producers = LiveProducers(clock)
    producers.hear(Presence(producer="b", provider="random"))
    clock.seconds = SILENT_SECONDS - 1
    producers.hear(Presence(producer="a", provider="local"))
    assert names(producers) == ["a", "b"]
    clock.seconds = SILENT_SECONDS + 1
    assert names(producers) == ["a"]


def test_a_leaving_producer_is_gone_at_once() -> None:
    producers = LiveProducers(Clock())
    producers.hear(Presence(producer="a", provider="random"))
    producers.hear(Presence(producer="a", provider="random", state="leaving"))
    assert names(producers) == []


def test_names_without_end_do_not_fill_the_memory() -> None:
    clock = Clock()
    producers = LiveProducers(clock)
    for number in range(MAX_PRODUCERS + 50):
        producers.hear(Presence(producer=f"p{number}", provider="random"))
    assert len(names(producers)) == MAX_PRODUCERS
    clock.seconds = SILENT_SECONDS + 1
    producers.hear(Presence(producer="late", provider="random"))
    assert names(producers) == ["late"]


def test_a_run_that_names_no_provider_takes_those_with_a_key_then_those_that_are_there_then_local() -> None:
    there = [Presence(producer="a", provider="random"), Presence(producer="b", provider="anthropic")]
    assert default_providers({"OPENAI_API_KEY": "sk-none"}, there) == ("openai",)
    assert default_providers({}, there) == ("anthropic", "random")
    assert default_providers({}, []) == ("local",)
