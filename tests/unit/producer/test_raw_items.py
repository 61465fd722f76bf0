"""The list is found in whatever shape a model gives it, and one bad element costs no other."""

import pytest

from services.producer.parse import Parser
from services.producer.raw_items import MAX_ITEM, RawItems

LIST = ["Louvre", "Eiffel Tower"]


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
@pytest.mark.parametrize(
    "answer",
    [
        '{"attributes":["Louvre","Eiffel Tower"]}',
        'Here you are: {"attributes": ["Louvre", "Eiffel Tower"]} Enjoy!',
        '{"status":"ok","result":{"total":2,"entries":[{"id":0,"label":"Louvre"},{"id":1,"label":"Eiffel Tower"}]}}',
        '{\n  "status": "ok",\n  "items": [\n    "Louvre",\n    "Eiffel Tower"\n  ]\n}\n',
        '{"attributes":["Louvre",7,null,["x"],{"n":1},"Eiffel Tower"]}',
        '{"error":"none"}\nLouvre\nEiffel Tower\n',
        '["Louvre", "Eiffel Tower", ' + '"' + "A" * 9000 + '"]',
        '{"attributes":["Louvre","' + 'b\\"' * 3000 + '","Eiffel Tower"]}',
        '["Louvre", "bad \\x escape of twelve and more words which is no attribute at all, no", "Eiffel Tower"]',
        '["Louvre", "Eiffel\nTower"]',
    ],
)
def test_the_list_is_found(answer: str, size: int) -> None:
    parser = Parser(10)
    found = [t for start in range(0, len(answer), size) for t in parser.feed(answer[start : start + size])]
    assert found + parser.end(whole=True) == LIST


def test_an_overlong_element_is_counted_and_costs_no_other() -> None:
    parser = Parser(10)
    answer = '["Louvre", "' + "A" * (MAX_ITEM * 5) + '", "Eiffel Tower"]'
    found = [text for start in range(0, len(answer), 50) for text in parser.feed(answer[start : start + 50])]
    assert found == LIST
    assert parser.rejected == {"too_long": 1}


def test_what_never_ends_takes_no_memory() -> None:
    for endless in ("x", '["', '{"a":', '[{"a":"', '["\\'):
        items = RawItems()
        for _ in range(100):
            list(items.feed(endless + "a" * 1000))
        assert len(items.rest()[0]) <= MAX_ITEM
        assert items.overlong


def test_half_an_element_is_dropped_and_counted() -> None:
    parser = Parser(10)
    assert parser.feed('{"attributes":["Louvre","Eif') == ["Louvre"]
    assert parser.end(whole=False) == []
    assert parser.rejected == {"cut_off": 1}


def test_an_empty_list_is_an_answer() -> None:
    parser = Parser(10)
    assert parser.feed('{"attributes": []}') + parser.end(whole=True) == []
    assert not parser.rejected
