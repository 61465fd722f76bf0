# ruff: noqa: RUF001 (quotes and dashes of all kinds are what these tests are about)
"""What a line of an answer becomes, and why it is refused."""

import pytest

from services.producer.clean import MAX_LINE, NoAttribute, clean

UNTOUCHED = [
    "Café 104",
    "Musée d'Orsay",
    "AC/DC",
    "C++",
    "C#",
    ".NET",
    "-5 °C",
    "Washington D.C.",
    "Yahoo!",
    "3.5 inch floppy",
    "24 Heures du Mans",
    "Star Wars: A New Hope",
    "2001: A Space Odyssey",
    "Louvre (museum)",
    "St. Paul's Cathedral",
    "Rock & Roll",
    "A. J. Foyt",
    "Spider-Man",
    "Jean-Luc Picard",
    "__init__",
    "東京タワー",
    "Sure Thing",
    "The Who",
    "'n Sync",
    "Sammy Davis Jr.",
    "snake_case",
    "Here Comes the Sun",
    "I Am the Walrus",
    "100%",
    "E=mc²",
    "Notre-Dame",
    "Please Please Me",
    "👨‍👩‍👧 family",
    "Apollo 11",
    "½ cup",
    '"Heroes" and "Low"',
]

CLEANED = [
    ("- Louvre", "Louvre"),
    ("* Louvre", "Louvre"),
    ("• Louvre", "Louvre"),
    ("•Louvre", "Louvre"),
    ("-Louvre", "Louvre"),
    ("12. Louvre", "Louvre"),
    ("12.Louvre", "Louvre"),
    ("(3) Louvre", "Louvre"),
    ("4) Louvre", "Louvre"),
    ("- [x] Louvre", "Louvre"),
    ("1. **Louvre**", "Louvre"),
    ("**Louvre**: The Art Museum", "Louvre"),
    ("**Louvre:** Art Museum", "Louvre"),
    ("*Louvre*", "Louvre"),
    ("`Louvre`", "Louvre"),
    ("[Louvre](https://louvre.fr)", "Louvre"),
    ('"Louvre",', "Louvre"),
    ("“Louvre”", "Louvre"),
    ("«Louvre»", "Louvre"),
    ("'Louvre'", "Louvre"),
    ("Louvre.", "Louvre"),
    ("Louvre...", "Louvre"),
    ("Louvre;", "Louvre"),
    ("Louvre: the museum", "Louvre"),
    ("Louvre - a museum in Paris", "Louvre"),
    ("Louvre – a museum in Paris", "Louvre"),
    ("Louvre — The world's largest art museum", "Louvre"),
    ("  Eiffel \t Tower  ", "Eiffel Tower"),
    ("- Louvre\r", "Louvre"),
]

REFUSED = [
    ("Here is a list of Paris attractions", "chatter"),
    ("Here are 60 items:", "chatter"),
    ("Here’s the list", "chatter"),
    ("Sure! Here you go", "chatter"),
    ("Certainly, here are some", "chatter"),
    ("Museums:", "chatter"),
    ("**Museums:**", "chatter"),
    ("I hope this list helps!", "chatter"),
    ("I'm sorry, but I cannot help with that", "chatter"),
    ("As an AI language model", "chatter"),
    ("Let me know if you need more", "chatter"),
    ("Note: some of these overlap", "chatter"),
    ("Would you like more?", "chatter"),
    ("And many more", "chatter"),
    ("The Louvre is the most visited museum", "chatter"),
    ("It opened in 1889. It is tall", "chatter"),
    ("What happens when nobody takes the blame?", "chatter"),
    ("one two three four five six seven eight nine ten eleven twelve thirteen", "too_long"),
    ("x" * 201, "too_long"),
    ("---", "empty"),
    ("...", "chatter"),
    ("**", "empty"),
    ("Eiffel\x1b[31m Tower", "control"),
    ("Eiffel\u202eTower", "format"),
    ("Eiffel\x00Tower", "control"),
    ("Eiffel \ud800 Tower", "control"),
    ("```json", "markup"),
    ("# Museums", "markup"),
    ("<b>Louvre</b>", "markup"),
    ("<script>alert(1)", "markup"),
    ("See https://louvre.fr", "markup"),
    ("| Louvre | Paris |</td>", "markup"),
    ("Louvre<|im_end|>", "markup"),
    ("[", "markup"),
]


@pytest.mark.parametrize("text", UNTOUCHED)
def test_an_attribute_stays_as_it_was_written(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize(("line", "text"), CLEANED)
def test_what_a_model_wraps_an_attribute_in_is_taken_off(line: str, text: str) -> None:
    assert clean(line) == text


@pytest.mark.parametrize(("line", "kind"), REFUSED)
def test_what_is_no_attribute_is_refused_and_said_why(line: str, kind: str) -> None:
    with pytest.raises(NoAttribute) as refused:
        clean(line)
    assert refused.value.kind == kind


HARD = (
    "*",
    "**",
    "**a ",
    "**a**",
    "*a",
    "__",
    "__A",
    "_a",
    "[",
    "![",
    "[a](",
    "`",
    "- ",
    "1. ",
    ",.…",
    ".…",
    "\"'",
    "“‘",
    "a.",
    ": a",
)
"""What patterns with nested or neighbouring repeats take long to give up on."""


@pytest.mark.timeout(60)
@pytest.mark.parametrize("shape", HARD)
def test_no_line_takes_long(shape: str) -> None:
    """The longest ones that patterns see, again and again; and far longer ones, which none must see."""
    for start in ("", "x ", "these ", "I am ", "**"):
        line = (start + shape * MAX_LINE)[:MAX_LINE]
        for _ in range(50):
            _kind(line)
        assert _kind(line + shape * 1_000_000) == "too_long"


def _kind(line: str) -> str:
    try:
        clean(line)
    except NoAttribute as reason:
        return reason.kind
    return ""
