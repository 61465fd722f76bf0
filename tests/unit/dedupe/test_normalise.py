# ruff: noqa: RUF001, SIM905 (characters of other scripts are what this file is about; a word list reads best as text)
"""The key: what it drops, what it keeps, and the laws it obeys whatever the text."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.orchestrator.dedupe import key

SAME = [
    ("the Louvre", "Louvre"),
    ("CAFÉ 104", "cafe 104"),
    ("Sacré-Cœur", "sacre coeur"),
    ("Rock & Roll", "rock 'n' roll"),
    ("- Louvre", "Louvre"),
    ("12. Louvre", "Louvre"),
    ("**Louvre**", "Louvre"),
    ("“Mona Lisa”", "Mona Lisa"),
    ("U.S.A.", "USA"),
    ("St. Paul's Cathedral", "St Paul’s cathedral"),
    ("1,000,000 dollars", "1000000 dollar"),
    ("Einstein, Albert", "Albert Einstein"),
    ("theatres", "Theater"),
    ("colour", "colors"),
    ("organisation", "Organizations"),
    ("analyse", "analyze"),
    ("anaesthesia", "anesthesia"),
    ("travelling", "traveling"),
    ("catalogue", "catalog"),
    ("manoeuvres", "maneuver"),
    ("cookies", "cookie"),
    ("churches", "church"),
    ("heroes", "hero"),
    ("women", "woman"),
    ("buses", "bus"),
    ("ＦＵＬＬ　ｗｉｄｔｈ", "full width"),
    ("Ελλάδα", "ΕΛΛΑΔΑ"),
    ("ёлка", "елка"),
    ("Łódź", "Lodz"),
]

DIFFERENT = [
    ("C++", "C"),
    ("C#", "C"),
    (".NET", "net"),
    ("A+", "A"),
    ("-5 °C", "5 °C"),
    ("100%", "100"),
    ("$100", "100"),
    ("3.5 inch", "35 inch"),
    ("Café 104", "Café 105"),
    ("The Who", "WHO"),
    ("Hepatitis A virus", "Hepatitis B virus"),
    ("Vitamin A", "Vitamin"),
    ("Mercury (planet)", "Mercury (element)"),
    ("мой", "мои"),
    ("が", "か"),
    ("हिन्दी", "हिन्द"),
    ("🇨🇱", "🇱🇨"),
    ("flag 🇫🇷", "flag 🇩🇪"),
    ("東京", "京都"),
    ("Michael", "Michel"),
    ("poet", "pet"),
    ("mourning", "morning"),
    ("filing", "filling"),
    ("teases", "teas"),
    ("news", "new"),
]

any_text = st.text(max_size=40)
list_text = st.text(alphabet="aAbcdesiunrortg .,-'’&+#()1203éŒÅжйがक्ष🍎🇫🇷°", max_size=30)


@pytest.mark.parametrize(("a", "b"), SAME)
def test_spellings_of_one_thing_share_a_key(a: str, b: str) -> None:
    assert key(a) == key(b)


@pytest.mark.parametrize(("a", "b"), DIFFERENT)
def test_two_things_keep_two_keys(a: str, b: str) -> None:
    assert key(a) != key(b)


@pytest.mark.parametrize(
    "text", ["A", "C++", "C#", ".NET", "The Who", "the", "+", "***", "IT", "東京", "مرحبا", "🍎", "½", "#"]
)
def test_short_and_strange_names_are_not_emptied(text: str) -> None:
    assert key(text)


@given(any_text | list_text)
def test_key_of_a_key_is_the_key(text: str) -> None:
    assert key(key(text)) == key(text)


@given(any_text | list_text)
def test_a_text_that_shows_something_has_a_key(text: str) -> None:
    if any(unicodedata.category(char)[0] in "LNS" for char in text):
        assert key(text)


@given(list_text)
def test_case_and_space_around_never_matter(text: str) -> None:
    assert key(f"  {text.strip()}\t") == key(text.strip())


@given(st.lists(st.sampled_from("old stone red bridge river museum of Paris Texas".split()), min_size=1, max_size=6))
def test_the_order_of_words_does_not_matter(words: list[str]) -> None:
    assert key(" ".join(reversed(words))) == key(" ".join(words))
