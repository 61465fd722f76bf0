"""A model's answer to whether pairs are one and the same: a verdict a line or element, by the number of the pair."""

import re
from collections.abc import Mapping, Sequence

from services.producer.parse import Parser
from shared.messages import Judgement, Pair

_VERDICT = re.compile(r"\W*(?:pair\s+)?(\d{1,3})\b.*?\b(same|different)\b", re.IGNORECASE)


class JudgementParser(Parser):
    """Reads the verdicts out of an answer that comes as a list does; none of it is an attribute."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        super().__init__(asked=len(pairs))
        self._open = dict(enumerate(pairs, start=1))
        """Pairs without a verdict, by number; the first verdict on each counts."""

    def _keep(self, line: str, found: list[str]) -> None:
        verdict = _VERDICT.match(line)
        pair = self._open.pop(int(verdict[1]), None) if verdict else None
        if verdict is None or pair is None:
            if line.strip():
                self._reject("no_verdict")
            return
        self._fruitless = 0
        self.judgements.append(Judgement(ordinal=pair.ordinal, same=verdict[2].casefold() == "same"))


_ON_TOPIC = re.compile(r"\W*(?:item\s+)?(\d{1,3})\b.*?\b(on|off)\b", re.IGNORECASE)


class SampleParser(Parser):
    """Reads which of a sample belong to the topic, as `JudgementParser` does."""

    def __init__(self, sample: Mapping[int, str]) -> None:
        super().__init__(asked=len(sample))
        self._open = dict(enumerate(sample, start=1))
        """Ordinals without a verdict, by number."""

    def _keep(self, line: str, found: list[str]) -> None:
        verdict = _ON_TOPIC.match(line)
        ordinal = self._open.pop(int(verdict[1]), None) if verdict else None
        if verdict is None or ordinal is None:
            if line.strip():
                self._reject("no_verdict")
            return
        self._fruitless = 0
        (self.on_topic if verdict[2].casefold() == "on" else self.off_topic).append(ordinal)
