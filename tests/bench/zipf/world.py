"""A world with an end: so many concepts, some popular and most rare, and models that know most of them and repeat themselves.

What a concept is called differs from answer to answer, as with real models; which concept a text means is told by the world
alone, and the system under test never asks it.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from services.producer.vocabulary import vocabulary

FACETS = ("crafts", "waters", "gardens", "heights", "trades", "ruins", "lights", "roads", "halls", "shores", "markets", "woods")
"""Names that cannot be mistaken for a concept."""


@dataclass(frozen=True, slots=True)
class Law:
    """How the world and its models are made."""

    concepts: int = 1000
    exponent: float = 1.0
    """Of the Zipf law: the concept of rank r is named with a weight of r to the power of minus this."""
    facets: int = 12
    obedience: float = 0.9
    """Chance that a name in the avoid list keeps its concept out of the answer."""
    paraphrased: float = 0.3
    """Share of answers in one of the two other forms of a concept's name."""
    siblings: float = 0.1
    """Share of concepts whose name differs from another's by a direction alone."""
    prices: tuple[float, ...] = (4.0, 3.0, 1.0, 0.3)
    """Of a call to each model; also how many models there are."""
    knowledge: tuple[float, float] = (0.6, 0.9)
    """Share of the concepts that the cheapest and the dearest model know."""
    noise: float = 1.0
    """Standard deviation of the logarithm of a rank, from model to model."""
    seconds: float = 1.0
    """Of a call."""


@dataclass(slots=True)
class World:
    """Concepts with names, facets and popularity, and the models that know them."""

    law: Law
    seed: int
    names: list[str] = field(init=False)
    facet_of: NDArray[np.int64] = field(init=False)
    weights: list[NDArray[np.float64]] = field(init=False)
    """By model: how readily it names each concept; 0 what it does not know."""
    _concept: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng([self.seed, 1])
        law = self.law
        self.names = _names(law)
        self.facet_of = rng.choice(law.facets, size=law.concepts, p=rng.dirichlet([4.0] * law.facets))
        ranks = rng.permutation(law.concepts) + 1.0
        shares = np.linspace(law.knowledge[1], law.knowledge[0], len(law.prices))
        self.weights = []
        for known in shares:
            weights = (ranks * np.exp(law.noise * rng.standard_normal(law.concepts))) ** -law.exponent
            weights[rng.random(law.concepts) >= known] = 0.0
            self.weights.append(weights / weights.sum())
        self._concept = {form: concept for concept in range(law.concepts) for form in self.forms(concept)}

    @property
    def facets(self) -> tuple[str, ...]:
        """The names of the facets."""
        return FACETS[: self.law.facets]

    @property
    def models(self) -> range:
        """The models, the dearest first."""
        return range(len(self.law.prices))

    def forms(self, concept: int) -> tuple[str, str, str]:
        """The name of a concept, and two others that mean the same."""
        name = self.names[concept]
        return name, f"the {name}", f"{name}s"

    def concept(self, text: str) -> int:
        """Which concept a text means."""
        return self._concept[text]

    def findable(self) -> NDArray[np.bool_]:
        """The concepts that some model knows."""
        found: NDArray[np.bool_] = np.any([w > 0 for w in self.weights], axis=0)
        return found

    def open_to(self, model: int, facet: str, avoid: list[str], rng: np.random.Generator) -> NDArray[np.float64]:
        """How readily a model names each concept when it is told to keep to a facet and to avoid these texts."""
        weights = self.weights[model]
        if facet:
            weights = weights * (self.facet_of == self.facets.index(facet))
        obeyed = [self._concept[text] for text in avoid if text in self._concept and rng.random() < self.law.obedience]
        if obeyed:
            weights = weights.copy()
            weights[obeyed] = 0.0
        return weights

    def answer(self, model: int, count: int, facet: str, avoid: list[str], rng: np.random.Generator) -> list[str]:
        """What a model answers: concepts drawn without repeats, the readily named ones sooner (Efraimidis and Spirakis)."""
        weights = self.open_to(model, facet, avoid, rng)
        known = np.flatnonzero(weights)
        keys = rng.exponential(size=known.size) / weights[known]
        drawn = known[np.argsort(keys)[:count]]
        other = rng.random(drawn.size) < self.law.paraphrased
        form = np.where(other, rng.integers(1, 3, drawn.size), 0)
        return [self.forms(int(c))[f] for c, f in zip(drawn, form, strict=True)]

    def coverage(self, found: set[int]) -> float:
        """The share of what the models would say that is among these, each model counting alike."""
        places = list(found)
        return float(np.mean([w[places].sum() for w in self.weights]))


def _names(law: Law) -> list[str]:
    """Names of one to three words; siblings follow each other."""
    plain = vocabulary(max(500, law.concepts))[: law.concepts]
    for at in range(0, int(law.siblings * law.concepts) - 1, 2):
        plain[at], plain[at + 1] = f"northern {plain[at]}", f"southern {plain[at]}"
    return plain
