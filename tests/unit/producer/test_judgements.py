"""Verdicts on pairs, in whatever form a model gives them."""

import pytest

from services.producer.judgements import JudgementParser, SampleParser
from services.producer.parse import FacetParser
from services.producer.prompt import chat
from shared.messages import Judgement, Pair, Task

PAIRS = [
    Pair(ordinal=7, text="The Louvre", of=2, of_text="Louvre Museum"),
    Pair(ordinal=9, text="Paris Metro", of=4, of_text="Paris Métro station"),
    Pair(ordinal=11, text="Seine", of=5, of_text="River Seine"),
]
VERDICTS = [Judgement(ordinal=7, same=True), Judgement(ordinal=9, same=False), Judgement(ordinal=11, same=True)]


@pytest.mark.parametrize(
    "answer",
    [
        "1 same\n2 different\n3 same",
        '{"attributes": ["1 same", "2 different", "3 same"]}',
        '```json\n["1: Same", "2: different", "3: same"]\n```',
        "Sure! Here is what I think:\n\n1. **same**\n2. different\n3. Same, since both are the river\n1 different\n",
        '[{"pair": 1, "verdict": "1 same"}, {"v": "2 different"}, {"v": "Pair 3 is the same"}]',
    ],
)
@pytest.mark.parametrize("size", [2, 1000])
def test_a_verdict_is_found_in_every_form(answer: str, size: int) -> None:
    parser = JudgementParser(PAIRS)
    found = [text for start in range(0, len(answer), size) for text in parser.feed(answer[start : start + size])]
    assert found + parser.end(whole=True) == []
    assert parser.judgements == VERDICTS


def test_what_is_no_verdict_is_counted_and_half_a_line_dropped() -> None:
    parser = JudgementParser(PAIRS)
    parser.feed("9 same\nperhaps\n1 same\n2 diff")
    parser.end(whole=False)
    assert parser.judgements == VERDICTS[:1]
    assert parser.rejected == {"no_verdict": 2, "cut_off": 1}


def test_the_prompt_holds_every_pair_and_the_topic() -> None:
    task = Task(id="t", run="r", provider="openai", topic="Paris {x}", ordinal=0, kind="adjudicate", pairs=PAIRS)
    for as_json in (True, False):
        prompt = chat(task, as_json=as_json)
        assert '[1, "The Louvre", "Louvre Museum"]' in prompt
        assert '[3, "Seine", "River Seine"]' in prompt
        assert "Paris {x}" in prompt
        assert "1 same" in prompt


def test_a_sample_is_judged_by_number() -> None:
    parser = SampleParser({17: "Louvre", 40: "Banana", 41: "Orsay"})
    assert parser.feed("1 on\n2. off\nnonsense\n9 on\n1 off\n") == []
    parser.end(whole=True)
    assert (parser.on_topic, parser.off_topic) == ([17], [40])
    assert parser.answered
    assert parser.rejected["no_verdict"] == 3


def test_facets_are_read_as_a_list_is_and_are_no_attributes() -> None:
    parser = FacetParser(asked=12)
    assert parser.feed('{"attributes": ["museums", "Parks and gardens", "museums"') == []
    assert parser.feed(', "' + "x" * 100 + '"]}') == []
    assert parser.end(whole=True) == []
    assert parser.facets == ["museums", "Parks and gardens"]
    assert parser.answered
