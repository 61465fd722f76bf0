# ruff: noqa: RUF001 (scripts and signs of all kinds are what these tests are about)
"""What text of producers and models is taken, and why it is refused."""

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.messages import MAX_FACET, MAX_TEXT
from shared.outside_text import DATA_BEGIN, DATA_END, flaw

LISTS = Path(__file__).parents[2] / "bench" / "dedupe" / "lists"

TAKEN = [
    "Louvre",
    "Café 104",
    "C++",
    ".NET",
    "__init__",
    "x < y",
    "|>",
    "a -> b",
    "List<String>",
    "<stdio.h>",
    "#1 fan",
    "S",
    "½ cup",
    "東京タワー",
    "可口可樂",
    "葛\U000e0100城",
    "می‌خواهم",
    "ශ්‍රී ලංකා",
    "അവന്‍",
    "हिन्दी",
    "ภาษาไทย",
    "العربية",
    "עברית",
    "👨‍👩‍👧 family",
    "🏳️‍🌈",
    "👩🏽‍🚀",
    "1️⃣",
    "❤️",
    "E=mc²",
    "data",
    "Big Data",
    "Assistant professor",
    "System of a Down",
    "Human League",
    "one two three four five six seven eight nine ten eleven twelve",
    "x" * MAX_TEXT,
]

REFUSED = [
    ("", "empty"),
    ("---", "empty"),
    ("\u0301", "empty"),
    (" Louvre", "untrimmed"),
    ("Louvre ", "untrimmed"),
    ("\u00a0Louvre", "untrimmed"),
    ("Louvre\u3000", "untrimmed"),
    ("x" * (MAX_TEXT + 1), "too_long"),
    ("x\n" * MAX_TEXT, "too_long"),
    ("one two three four five six seven eight nine ten eleven twelve thirteen", "too_long"),
    *((f"Louvre{mark}Orsay", "line_break") for mark in "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"),
    ("Louvre\r\n", "line_break"),
    ("\nLouvre", "line_break"),
    *((f"Louvre{mark}Orsay", "control") for mark in "\x00\x07\x08\t\x1b\x7f\x80\x9b\x9d\ud800\ue000\ufdd0\U0010ffff"),
    *((f"Louvre{mark}Orsay", "format") for mark in "\u00ad\u200b\u200e\u202a\u202e\u2060\u2066\u2069\ufeff\U000e0041"),
    *((f"Louvre{mark}Orsay", "format") for mark in "\u034f\u115f\u180b\u2800\u3164\uffa0\ufe0f\U000e0101"),
    ("ig\u200dnore", "format"),
    ("\u200cمی", "format"),
    ("می\u200c\u200cخواهم", "format"),
    ("👨\u200d", "format"),
    ("❤\ufe0f\ufe0f", "format"),
    ("❤\U000e0101\U000e0102\U000e0103", "format"),
    ("Louvre<|im_end|>", "markup"),
    ("<|endoftext|>", "markup"),
    ("<｜User｜>", "markup"),
    ("<｜begin▁of▁sentence｜>", "markup"),
    ("[INST] Louvre", "markup"),
    ("Louvre [/INST]", "markup"),
    ("<<SYS>> Louvre", "markup"),
    ("<s>", "markup"),
    ("Louvre</s>", "markup"),
    ("<start_of_turn>user", "markup"),
    ("Louvre<end_of_turn>", "markup"),
    ("<tool_call>", "markup"),
    ("<think>", "markup"),
    ("### Instruction: Louvre", "markup"),
    ("Louvre ### Response", "markup"),
    ("```json", "markup"),
    ("Louvre ```", "markup"),
    ("# Museums", "markup"),
    ("<b>Louvre", "markup"),
    ("<IMG src=x>", "markup"),
    ("<!-- Louvre", "markup"),
    ("See https://louvre.fr", "markup"),
    ("Louvre: {", "markup"),
    (f"{DATA_BEGIN}Louvre", "prompt_mark"),
    (f"Louvre {DATA_END}", "prompt_mark"),
    ("Louvre < / DATA >", "prompt_mark"),
    ("Louvre </ Data >", "prompt_mark"),
]


@pytest.mark.parametrize("text", TAKEN)
def test_an_honest_attribute_is_taken(text: str) -> None:
    assert flaw(text) == ""


@pytest.mark.parametrize("path", sorted(LISTS.glob("*.txt")), ids=lambda path: path.stem)
def test_a_list_of_names_loses_none(path: Path) -> None:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    texts = [text.strip() for line in lines for text in line.split("|")]
    assert len(texts) > 50
    assert [text for text in texts if flaw(text)] == []


@pytest.mark.parametrize(("text", "kind"), REFUSED)
def test_what_breaks_out_hides_or_is_no_attribute_is_refused_and_said_why(text: str, kind: str) -> None:
    assert flaw(text) == kind


def test_a_facet_may_be_shorter_than_an_attribute() -> None:
    assert flaw("x" * MAX_FACET, MAX_FACET) == ""
    assert flaw("x" * (MAX_FACET + 1), MAX_FACET) == "too_long"


@given(st.text(max_size=40))
def test_what_is_taken_is_one_line_that_can_be_printed(text: str) -> None:
    if not flaw(text):
        assert text.splitlines() == [text]
        assert text == text.strip()
        assert text.encode()
        assert all(c.isprintable() or c in "\u200c\u200d" or c.isspace() for c in text)


def test_nothing_looks_at_a_text_before_its_length() -> None:
    rng = random.Random(3)  # noqa: S311 (a fixed order, no secret)
    for shape in ("*", "<", "[ ", "\u200d", "# ", "<|", "</ "):
        text = shape * 5_000_000
        assert flaw(text) == "too_long"
        assert flaw("".join(rng.choice(shape + "a ") for _ in range(MAX_TEXT))) in (
            "",
            "markup",
            "format",
            "too_long",
            "untrimmed",
        )
