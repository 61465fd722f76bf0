"""What a decision says: about one candidate (`Verdict`), and about two texts (`Why`)."""

import msgspec


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """The decision about one candidate."""

    key: str
    """The normalised text, equal for certain duplicates."""
    of: int | None = None
    """The accepted attribute it repeats, counted from 0 in the order of acceptance; None when it is new."""
    tier: str = ""
    """The tier that called it a duplicate: exact, rule, typo, synonym or embedding; empty when it is new."""
    score: float = 0.0
    """How sure that tier is, 0 to 1; 1.0 for exact."""
    near: int | None = None
    """Grey zone: the accepted attribute it may repeat, though it was kept."""
    near_score: float = 0.0
    """How near that one is, 0 to 1."""
    words: str = ""
    """What it repeats, or may repeat, it for: a reason for people; empty when it is new beyond doubt."""


class Why(msgspec.Struct, frozen=True, gc=False):
    """Why two texts are, or are not, the same attribute."""

    tier: str
    """The tier that makes them one; empty when they are two."""
    score: float
    """How near they are, 0 to 1."""
    veto: str
    """What speaks against them being one; empty when nothing does."""
    words: str
    """The whole reason as a sentence for people."""

    @property
    def dup(self) -> bool:
        """Whether the two texts are one attribute."""
        return self.tier != ""
