"""A world with an end: so many concepts, some popular and most rare, and models that know most of them and repeat themselves.

What a concept is called differs from answer to answer, as with real models; which concept a text means is told by the world
alone, and the system under test never asks it.
"""

from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from services.producer.vocabulary import vocabulary

FACETS = ("crafts", "waters", "gardens", "heights", "trades", "ruins", "lights", "roads", "halls", "shores", "markets", "woods")
"""Names that cannot be mistaken for a concept."""

PARTS = 4
"""Parts that each facet can be split into."""


@dataclass(frozen=True, slots=True)
class Law:
    """How the world and its models are made."""

    concepts: int = 1000
    popularity: Literal["zipf", "lognormal", "mixture"] = "zipf"
    """How readily a concept is named, by its rank; see `_weights`."""
    exponent: float = 1.0
    """How steep the law is."""
    facets: int = 12
    obedience: float = 0.9
    """Chance that a name in the avoid list keeps its concept out of the answer."""
    repeated: float = 0.0
    """Chance that an item says what an earlier one of the same answer says, in another form."""
    flattened: float = 0.0
    """What asking for the tail does: weights are raised to the power of one minus this. 0 is no effect, 1 makes all alike."""
    paraphrased: float = 0.3
    """Share of answers in one of the two other forms of a concept's name."""
    siblings: float = 0.1
    """Share of concepts whose name differs from another's by a direction alone."""
    prices: tuple[float, ...] = (4.0, 3.0, 1.0, 0.3)
    """Of a call to each model; also how many models there are."""
    knowledge: tuple[float, float] = (0.6, 0.9)
    """Share of the concepts that the cheapest and the dearest model know."""
    exclusive: float = 0.0
    """Share of the concepts that one model alone knows."""
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
    part_of: NDArray[np.int64] = field(init=False)
    """Of its facet."""
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
            weights = _weights(law, ranks * np.exp(law.noise * rng.standard_normal(law.concepts)))
            weights[rng.random(law.concepts) >= known] = 0.0
            self.weights.append(weights)
        self.part_of = rng.integers(PARTS, size=law.concepts)
        owner = np.where(rng.random(law.concepts) < law.exclusive, rng.integers(len(shares), size=law.concepts), -1)
        for model, weights in enumerate(self.weights):
            weights[(owner >= 0) & (owner != model)] = 0.0
            weights /= weights.sum()
        self._concept = {form: concept for concept in range(law.concepts) for form in self.forms(concept)}

    def parts(self, of: str) -> tuple[str, ...]:
        """What a model names as the parts of the topic, or of one of its facets; a part of a facet has none."""
        if not of:
            return FACETS[: self.law.facets]
        return () if " " in of else tuple(f"{of} {number}" for number in range(PARTS))

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

    def findable(self) -> int:
        """How many concepts some model knows."""
        return int(np.any([w > 0 for w in self.weights], axis=0).sum())

    def answer(
        self, model: int, count: int, facet: str, avoid: list[str], rng: np.random.Generator, *, tail: bool = False
    ) -> list[str]:
        """What a model answers: concepts drawn without repeats, the readily named ones sooner (Efraimidis and Spirakis)."""
        weights = self._open_to(model, facet, avoid, rng)
        known = np.flatnonzero(weights)
        flattened = self.law.flattened if tail else 0.0
        keys = rng.exponential(size=known.size) / weights[known] ** (1 - flattened)
        drawn = [int(c) for c in known[np.argsort(keys)[:count]]]
        for at in range(1, len(drawn) if self.law.repeated else 0):
            if rng.random() < self.law.repeated:
                drawn[at] = drawn[rng.integers(at)]
        other = rng.random(len(drawn)) < self.law.paraphrased
        form = np.where(other, rng.integers(1, 3, len(drawn)), 0)
        return [self.forms(c)[f] for c, f in zip(drawn, form, strict=True)]

    def _open_to(self, model: int, facet: str, avoid: list[str], rng: np.random.Generator) -> NDArray[np.float64]:
        """How readily a model names each concept when it is told to keep to a facet and to avoid these texts."""
        weights = self._within(model, facet)
        obeyed = [self._concept[text] for text in avoid if text in self._concept and rng.random() < self.law.obedience]
        if obeyed:
            weights = weights.copy()
            weights[obeyed] = 0.0
        return weights

    def _within(self, model: int, facet: str) -> NDArray[np.float64]:
        """How readily a model names each concept when it keeps to a facet."""
        weights = self.weights[model]
        if facet:
            name, _, part = facet.partition(" ")
            weights = weights * (self.facet_of == FACETS.index(name))
            if part:
                weights = weights * (self.part_of == int(part))
        return weights

    def expected_new(self, model: int, count: int, facet: str, avoid: list[str], found: set[int]) -> float:
        """New concepts that an answer is about to bring, which nobody but the world can know; asking for the tail left out.

        Drawn without repeats, a concept of weight w is in an answer with a chance of about 1 - exp(-w t), where t is such that
        the chances add up to the items of the answer (Rosén, https://doi.org/10.1214/aoms/1177692692).
        """
        weights = self._within(model, facet).copy()
        weights[[self._concept[text] for text in avoid]] *= 1 - self.law.obedience
        known = np.flatnonzero(weights)
        if known.size <= count:
            return float(sum(c not in found for c in known.tolist()))
        weights /= weights.sum()
        least, most = 0.0, count / float(np.sort(weights[known])[: known.size - count + 1].sum())
        for _ in range(30):
            middle = (least + most) / 2
            if -np.expm1(-weights[known] * middle).sum() < count:
                least = middle
            else:
                most = middle
        weights[list(found)] = 0.0
        return float(-np.expm1(-weights * most).sum())

    def coverage(self, found: set[int]) -> float:
        """The share of what the models would say that is among these, each model counting alike."""
        places = list(found)
        return float(np.mean([w[places].sum() for w in self.weights]))


def _weights(law: Law, ranks: NDArray[Any]) -> NDArray[np.float64]:
    """How readily concepts of these ranks are named, which need be neither whole nor different.

    Zipf: the rank to the power of minus the exponent. Log-normal: its logarithm is normal, with a standard deviation of 1.5
    times the exponent. Mixture: three geometric laws, whose means are a fiftieth, a tenth and a half of the concepts.
    """
    if law.popularity == "zipf":
        return ranks**-law.exponent
    order = (np.argsort(np.argsort(ranks)) + 0.5) / law.concepts
    if law.popularity == "lognormal":
        return np.exp([1.5 * law.exponent * NormalDist().inv_cdf(1 - place) for place in order])
    weights: NDArray[np.float64] = sum(np.exp(-order / mean) / mean for mean in (0.02, 0.1, 0.5)) ** law.exponent
    return weights


def _names(law: Law) -> list[str]:
    """Names of one to three words; siblings follow each other."""
    plain = vocabulary(max(500, law.concepts))[: law.concepts]
    for at in range(0, int(law.siblings * law.concepts) - 1, 2):
        plain[at], plain[at + 1] = f"northern {plain[at]}", f"southern {plain[at]}"
    return plain
