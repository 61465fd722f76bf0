"""Two texts that letters and words cannot decide: the same when both models say so, and nothing spoke against it."""

from typing import Final

from services.orchestrator.dedupe.form import Form
from services.orchestrator.dedupe.judge import Finding
from services.orchestrator.dedupe.minilm import minilm
from services.orchestrator.dedupe.verdict import Why

NEAR: Final = 0.6
"""Cosine of the fast vectors from which on two texts are compared at all."""
ASK_OTHER_WORDS: Final = 0.70
"""The same from which on MiniLM is asked when each text has words of its own."""
ASK_ONE_MORE: Final = 0.80
"""The same when one text only says more than the other: a weaker sign, since a narrower thing shares most of its words."""
MERGE_OTHER_WORDS: Final = 0.92
MERGE_ONE_MORE: Final = 0.95
"""MiniLM's cosine from which on the two are one."""
GREY_FAST: Final = 0.82
GREY: Final = 0.80
"""From these on, either model's cosine makes a pair worth asking about."""


def asks(finding: Finding, fast: float) -> bool:
    """Whether the pair is undecided and near enough, by the fast vectors, for MiniLM to be asked."""
    if finding.why.tier or finding.why.veto or not finding.ordinary:
        return False
    return fast >= (ASK_ONE_MORE if finding.one_says_more else ASK_OTHER_WORDS)


def opinion(a: Form, b: Form, finding: Finding) -> Why:
    """What MiniLM makes of an undecided pair: tier embedding, or no tier and its cosine."""
    score = round(minilm().likeness(a.text, b.text), 4)
    if score >= (MERGE_ONE_MORE if finding.one_says_more else MERGE_OTHER_WORDS):
        return Why("embedding", score, "", f"both models find them alike in meaning; {finding.why.words}")
    return Why("", score, "", finding.why.words)


def grey(finding: Finding, fast: float, score: float) -> bool:
    """Whether an undecided pair is near enough to be worth asking somebody who knows."""
    return not finding.why.tier and not finding.why.veto and (fast >= GREY_FAST or score >= GREY)
