"""The avoid list names what is proposed most, within its length."""

from services.orchestrator.steering.avoid import MAX_BYTES, MAX_TOKENS, TRACKED, AvoidLists, tokens_of


def _list(*texts: str) -> AvoidLists:
    avoid = AvoidLists()
    for text in texts:
        avoid.accepted(text)
    return avoid


def test_repeats_come_first_then_the_most_recent() -> None:
    avoid = _list("a", "b", "c", "d")
    avoid.repeated(1)
    avoid.repeated(0)
    avoid.repeated(1)
    assert avoid.names() == ["b", "a", "d", "c"]


def test_the_length_is_bounded() -> None:
    avoid = _list(*(f"attribute number {n}" for n in range(1000)))
    assert sum(tokens_of(name) for name in avoid.names()) <= MAX_TOKENS


def test_counting_repeats_is_bounded_and_keeps_the_head() -> None:
    """Far more attributes are repeated than are tracked: those repeated most stay on top."""
    avoid = _list(*(f"n{n}" for n in range(TRACKED * 3)))
    for _ in range(5):
        avoid.repeated(7)
    for n in range(TRACKED * 3):
        avoid.repeated(n)
    assert avoid.names()[0] == "n7"


def test_a_facets_own_names_come_first() -> None:
    """What is proposed elsewhere may be popular; within a facet it is in nobody's way."""
    avoid = AvoidLists()
    for text, facet in (("Louvre", ""), ("Orsay", "museums"), ("Bois", "parks")):
        avoid.accepted(text, facet)
    for _ in range(3):
        avoid.repeated(0)
    assert avoid.names("museums") == ["Orsay", "Louvre", "Bois"]
    assert avoid.names() == ["Louvre", "Bois", "Orsay"]


def test_what_a_probe_alone_found_is_not_named() -> None:
    avoid = _list("a", "b", "c")
    assert avoid.names(without={1}) == ["c", "a"]


def test_scripts_that_take_more_tokens_fill_the_list_sooner() -> None:
    latin, han = _list(*(f"name number {n}" for n in range(300))), _list(*(f"名前番号{n}" * 2 for n in range(300)))
    assert len(han.names()) < len(latin.names())
    assert all(sum(len(name.encode()) + 2 for name in one.names()) <= MAX_BYTES for one in (latin, han))
