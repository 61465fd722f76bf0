"""Tells duplicates from neighbours, one short text after the other, and says why."""

from services.orchestrator.dedupe.deduper import Deduper, Tiers
from services.orchestrator.dedupe.errors import CapacityError
from services.orchestrator.dedupe.normalise import key
from services.orchestrator.dedupe.verdict import Verdict, Why

__all__ = ["CapacityError", "Deduper", "Tiers", "Verdict", "Why", "key"]
