"""Two texts that letters and words cannot decide: the same when both models say so, and nothing spoke against it."""

from typing import Final

from services.orchestrator.dedupe.form import Form
from services.orchestrator.dedupe.judge import Parts
from services.orchestrator.dedupe.vectors import vectors
from services.orchestrator.dedupe.verdict import Why

NEAR: Final = 0.68
"""Cosine of the fast vectors from which on two texts are compared at all."""
ASK_OTHER_WORDS: Final = 0.70
"""The same from which on MiniLM is asked when each text has words of its own."""
ASK_WORDS: Final = 0.40
"""The same of those words of their own alone: "benefits" and "advantages", not "red" and "heavy"."""
ASK_ONE_MORE: Final = 0.90
"""The same when one text only says more than the other: a weaker sign, since a narrower thing shares most of its words."""
MERGE_OTHER_WORDS: Final = 0.92
MERGE_ONE_MORE: Final = 0.95
"""MiniLM's cosine from which on the two are one."""
GREY_FAST: Final = 0.82
GREY: Final = 0.80
"""From these on, either model's cosine makes a pair worth asking about."""


def asks(parts: Parts, fast: float) -> bool:
    """Whether an undecided pair is near enough, by the fast vectors, for MiniLM to be asked."""
    if parts.one_says_more:
        return fast >= ASK_ONE_MORE
    if fast < ASK_OTHER_WORDS:
        return False
    return vectors().likeness(" ".join(parts.ours), " ".join(parts.theirs)) >= ASK_WORDS


def opinion(a: Form, b: Form, parts: Parts, words: str) -> Why:
    """What MiniLM makes of an undecided pair: tier embedding, or no tier and its cosine. `words` tell how they differ."""
    # Imported here since few lists ever have such a pair, and loading the model takes a quarter of a second.
    from services.orchestrator.dedupe.minilm import minilm

    score = round(minilm().likeness(a.text, b.text), 4)
    if score >= (MERGE_ONE_MORE if parts.one_says_more else MERGE_OTHER_WORDS):
        return Why("embedding", score, "", f"both models find them alike in meaning; {words}")
    return Why("", score, "", words)


def grey(fast: float, score: float) -> bool:
    """Whether an undecided pair is near enough to be worth asking somebody who knows."""
    return fast >= GREY_FAST or score >= GREY
