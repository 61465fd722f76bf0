# ruff: noqa: SIM905 (a word list reads best as text)
"""The finite, readable world that the random provider knows: the same at every start, the most popular first."""

import random
from itertools import combinations, product
from typing import Final

ADJECTIVES: Final = (
    "amber ancient arctic autumn azure bold brass bright bronze calm cedar coastal copper coral crimson crystal dusty "
    "eastern emerald evening fading floral foggy forgotten frozen gentle gilded golden granite hidden hollow humble indigo "
    "iron ivory jade jagged lonely lunar marble mellow misty modern mossy narrow northern opal painted pearl polished quiet "
    "rapid royal ruby rustic sandy scarlet secret silent silver slender snowy solar southern sturdy sunny tidal timber velvet "
    "violet wandering western whispering wild winding winter wooden"
).split()

NOUNS: Final = (
    "anchor arcade archive aqueduct balcony barn basin beacon bell bridge canal candle canyon carousel castle cellar chapel "
    "cliff clock cloister comet corridor cottage courtyard crater creek dam dome dune engine estuary fair falcon farm ferry "
    "fjord flute forge fountain gallery garden gate geyser glacier grove harbour harp hearth island kiln lagoon lamp lantern "
    "library lighthouse loom manor market maze meadow mill mirror monument mural museum obelisk observatory orchard palace "
    "parade pavilion pier planetarium plaza pond quarry quay rampart reef ridge river sculpture spire square stairway studio "
    "tavern temple terrace theatre tower trail tunnel valley vault viaduct village vineyard volcano waterfall well windmill "
    "workshop"
).split()

MOST: Final = len(NOUNS) + len(ADJECTIVES) * len(NOUNS) + len(NOUNS) * (len(NOUNS) - 1) // 2
"""Attributes there can be."""

LEAST: Final = 10
"""Attributes there must be: with fewer, hardly a call finds anything to say."""


def vocabulary(size: int) -> list[str]:
    """`size` different attributes of one to three words, the most popular first.

    No two are the same but for case, article, plural or the order of words. Raises ValueError beyond `LEAST` to `MOST`.
    """
    if not LEAST <= size <= MOST:
        raise ValueError(f"a vocabulary has {LEAST} to {MOST} attributes, not {size}")
    everything = [
        *NOUNS,
        *(f"{adjective} {noun}" for adjective, noun in product(ADJECTIVES, NOUNS)),
        *(f"{first} {second}" for first, second in combinations(NOUNS, 2)),
    ]
    random.Random("chorus").shuffle(everything)  # noqa: S311 (a fixed order, no secret)
    return everything[:size]
