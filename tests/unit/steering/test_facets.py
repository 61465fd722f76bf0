"""Facets come from the user or a model, are split when they run dry, and are left alone when nothing comes of them."""

from services.orchestrator.steering.facets import ENOUGH, MOST_ASKED, MOST_FACETS, Facets
from services.orchestrator.steering.yields import Yields
from tests.unit.steering.playing import SIZE, Play, steering


def _worked(facets: Facets, yields: Yields, name: str, calls: int, new: int) -> None:
    for _ in range(calls):
        facets.called(name, new, SIZE - new)
        yields.called("a/m", name, SIZE, new)


def test_a_model_is_asked_once_for_the_parts_of_the_topic() -> None:
    facets, yields = Facets(asks=True), Yields(SIZE)
    assert facets.question(yields) == ""
    facets.asked("")
    facets.answered("", ["museums", "parks", "museums", "cafés"])
    assert facets.open() == ["", "museums", "parks", "cafés"]
    assert facets.question(yields) is None


def test_a_question_that_fails_is_asked_again_but_not_for_ever() -> None:
    facets, yields = Facets(asks=True), Yields(SIZE)
    for _ in range(MOST_ASKED):
        assert facets.question(yields) == ""
        facets.asked("")
        facets.answered("", [])
    assert facets.question(yields) is None


def test_a_rich_facet_that_runs_dry_is_split() -> None:
    facets, yields = Facets(asks=True), Yields(SIZE)
    facets.asked("")
    facets.answered("", ["museums", "parks"])
    _worked(facets, yields, "museums", 6, ENOUGH // 6 + 1)
    assert facets.question(yields) is None
    _worked(facets, yields, "museums", 4, 0)
    assert facets.question(yields) == "museums"
    facets.asked("museums")
    facets.answered("museums", ["art museums", "science museums"])
    assert facets.open() == ["", "parks", "art museums", "science museums"]
    assert facets.closed("museums", yields) == "split into art museums, science museums"


def test_a_poor_facet_is_not_worth_splitting() -> None:
    facets, yields = Facets(asks=True), Yields(SIZE)
    facets.asked("")
    facets.answered("", ["museums", "parks"])
    _worked(facets, yields, "parks", 5, 0)
    assert facets.question(yields) is None
    assert "nearly nothing new" in facets.closed("parks", yields)


def test_there_are_only_so_many() -> None:
    facets = Facets(asks=True)
    facets.asked("")
    facets.answered("", [f"facet {n}" for n in range(100)])
    for name in facets.open()[1:]:
        facets.answered(name, [f"{name} part {n}" for n in range(10)])
    assert len(facets.of) <= MOST_FACETS + 1


def test_an_empty_facet_is_tried_and_left_alone() -> None:
    under_test = steering(facets=("museums", "nothing there"))
    play = Play(under_test, {"a/m": 1.0})
    for _ in range(40):
        ask = under_test.ask("a/m")
        play.to("a/m", 0 if ask.facet == "nothing there" else 10)
    asked = [made.facet for made in play.made]
    assert 1 <= asked.count("nothing there") <= 4
    assert asked.count("museums") >= 10
    assert asked.count("") > 2  # the topic as a whole stays open: facets may leave something out


def test_facets_can_be_switched_off() -> None:
    under_test = steering(frozenset({"avoid"}), facets=("museums",), asks_for_facets=True)
    assert under_test.facets.open() == [""]
    assert under_test.facets.question(under_test.yields) is None
