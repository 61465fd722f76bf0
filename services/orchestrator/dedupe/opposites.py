"""Words that must not be taken for one another however alike the texts around them are."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from rapidfuzz.distance import Postfix, Prefix

from services.orchestrator.dedupe.lexicon import Lexicon
from services.orchestrator.dedupe.word_list import word_set

_NEGATIONS: Final = word_set("no not never without non nor neither")

_POLAR: Final = tuple(
    tuple(frozenset(side.split()) for side in line.split("|"))
    for line in (
        "north northern | south southern | east eastern | west western | central | northeast | northwest | southeast",
        "left | right | center middle",
        "upper | lower",
        "up | down",
        "upstairs | downstairs",
        "on | off",
        "in inside indoor into | out outside outdoor",
        "before | after | during",
        "over above | under below",
        "from | to",
        "with | without",
        "for pro | against con anti",
        "front | rear back | side",
        "top | bottom",
        "advantage benefit pro upside | disadvantage drawback con downside",
        "strength | weakness",
        "more | less fewer",
        "most | least",
        "increase rise raise grow higher increasing | decrease reduce fall lower decline drop shrink decreasing",
        "high | low | medium",
        "better improve | worse worsen",
        "best | worst",
        "good | bad evil",
        "early | late",
        "first | last final",
        "old ancient | new modern",
        "big large | small little tiny | medium",
        "long | short",
        "heavy | light",
        "morning | noon | afternoon | evening | night | midnight",
        "spring | summer | autumn fall | winter",
        "monday | tuesday | wednesday | thursday | friday | saturday | sunday",
        "january | february | march | april | may | june | july | august | september | october | november | december",
        "male man boy | female woman girl",
        "mother | father | son | daughter | brother | sister",
        "king | queen | prince | princess",
        "red | orange | yellow | green | blue | purple violet | pink | brown | black | white | gray | gold golden | silver",
        "public | private",
        "internal | external",
        "domestic national | foreign international",
        "major | minor",
        "single | double | triple",
        "acute | chronic",
        "active | passive",
        "positive | negative",
        "hot warm | cold cool",
        "wet | dry",
        "raw | cooked | fried | boiled | grilled | baked | roasted roast | steamed | smoked",
        "primary | secondary | tertiary",
        "import | export",
        "buy purchase | sell",
        "open | close closed shut",
        "start begin | stop end finish",
        "wired | wireless",
        "mm millimeter | cm centimeter | m meter | km kilometer | in inch | ft foot | yd yard | mi mile",
        "mg milligram | g gram | kg kilogram | oz ounce | lb pound | ton",
        "ml milliliter | cl centiliter | l liter | gal gallon | pint",
        "kb kilobyte | mb megabyte | gb gigabyte | tb terabyte",
        "second | minute | hour | day | week | month | year | decade | century",
        "hourly | daily | weekly | monthly | yearly annual",
        "w watt | kw kilowatt | mw megawatt",
        "c celsius | f fahrenheit | k kelvin",
        "$ | € | £ | ¥",
    )
)
"""A set a line: words on different sides of a bar exclude each other."""

_SIDES: Final[dict[str, list[tuple[int, int]]]] = {}
for _number, _line in enumerate(_POLAR):
    for _side, _words in enumerate(_line):
        for _word in _words:
            _SIDES.setdefault(_word, []).append((_number, _side))

_OPPOSED_STARTS: Final = (
    ("hyper", "hypo"),
    ("pre", "post"),
    ("over", "under"),
    ("up", "down"),
    ("in", "out"),
    ("im", "ex"),
    ("in", "ex"),
    ("macro", "micro"),
    ("intra", "inter"),
    ("intra", "extra"),
    ("inter", "extra"),
    ("mono", "poly"),
    ("mono", "di"),
    ("mono", "stereo"),
    ("uni", "bi"),
    ("uni", "multi"),
    ("bi", "tri"),
    ("di", "tri"),
    ("tri", "tetra"),
    ("tri", "quadri"),
    ("sub", "super"),
    ("pro", "anti"),
    ("endo", "exo"),
    ("homo", "hetero"),
    ("iso", "allo"),
    ("ana", "cata"),
    ("eu", "dys"),
    ("brady", "tachy"),
    ("fore", "hind"),
    ("mini", "maxi"),
    ("mega", "micro"),
    ("kilo", "mega"),
    ("milli", "centi"),
    ("centi", "kilo"),
    ("milli", "kilo"),
    ("near", "far"),
    ("short", "long"),
    ("her", "his"),
    ("step", "grand"),
    ("en", "de"),
    ("as", "des"),
    ("ac", "de"),
)
_OTHERING_STARTS: Final = word_set(
    "a ab an ante anti arch auto bi co counter de di dis ex extra fore grand great hemi il im in infra inter intra ir mega "
    "meta micro mid mini mis mono multi neo non out over pan para poly post pre proto pseudo quasi re self semi step sub super "
    "tetra trans tri ultra un under uni vice"
)
"""Beginnings that make another word of the one they stand before, known or not."""
_OPPOSED_ENDS: Final = (
    ("less", "ful"),
    ("less", ""),
    ("proof", ""),
    ("er", "ee"),
    ("or", "ee"),
    ("ess", ""),
    ("ess", "or"),
    ("man", "woman"),
    ("phile", "phobe"),
    ("philia", "phobia"),
    ("ose", "ase"),
    ("ite", "ate"),
    ("ide", "ate"),
    ("ic", "ous"),
)
_MIN_REST: Final = 3
"""Letters that must be left beside a beginning or an ending."""
_LONGEST_SHARED: Final = 3
"""Letters two opposed beginnings may share at their end ("hyper" and "under" share "er"), or endings at their start."""
_STARTS: Final = frozenset(pair for one, other in _OPPOSED_STARTS for pair in ((one, other), (other, one)))
_ENDS: Final = frozenset(pair for one, other in _OPPOSED_ENDS for pair in ((one, other), (other, one)))


def affixes_oppose(a: str, b: str) -> bool:
    """Whether a beginning or an ending makes one word the other's opposite or neighbour ("un-", "hyper-"/"hypo-", "-less")."""
    size = Postfix.similarity(a, b)
    for rest in range(size, max(_MIN_REST, size - _LONGEST_SHARED) - 1, -1):
        starts = (a[: len(a) - rest], b[: len(b) - rest])
        if (
            starts in _STARTS
            or (not starts[0] and starts[1] in _OTHERING_STARTS)
            or (not starts[1] and starts[0] in _OTHERING_STARTS)
        ):
            return True
    size = Prefix.similarity(a, b)
    return any((a[rest:], b[rest:]) in _ENDS for rest in range(size, max(_MIN_REST, size - _LONGEST_SHARED) - 1, -1))


def _sides(a: str, b: str) -> Iterator[tuple[int, int | None]]:
    """For each set `a` is in: the side `a` is on, and the side `b` is on."""
    for number, side in _SIDES.get(a, ()):
        yield side, next((its for its_number, its in _SIDES.get(b, ()) if its_number == number), None)


def words_oppose(a: str, b: str, lexicon: Lexicon) -> bool:
    """Whether the two words (plain or stems) exclude each other."""
    return a != b and (_by_themselves(a, b) or lexicon.opposite(a, b))


@lru_cache(maxsize=8192)
def _by_themselves(a: str, b: str) -> bool:
    if a in _SIDES and any(b_side is not None and a_side != b_side for a_side, b_side in _sides(a, b)):
        return True
    return affixes_oppose(a, b)


def negations(words: tuple[str, ...]) -> int:
    """How many of `words` negate."""
    return sum(word in _NEGATIONS for word in words)
