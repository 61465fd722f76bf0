"""The deduper with equal keys alone."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.orchestrator.dedupe import CapacityError, Deduper

texts = st.lists(st.text(alphabet="abcS é-1", max_size=6), max_size=30)


def test_a_duplicate_names_the_accepted_attribute_it_repeats() -> None:
    verdicts = Deduper(tiers="exact").offer(["Eiffel Tower", "Louvre", "the Eiffel tower"])

    assert [verdict.of for verdict in verdicts] == [None, None, 0]
    assert (verdicts[2].tier, verdicts[2].score, verdicts[2].key) == ("exact", 1.0, "eiffel tower")


def test_the_text_stays_as_it_was_written() -> None:
    deduper = Deduper(tiers="exact")
    deduper.offer(["  The Louvre! ", "Louvre", "Pont Neuf"])

    assert [deduper.text(index) for index in range(len(deduper))] == ["  The Louvre! ", "Pont Neuf"]


def test_a_full_list_is_an_error_and_forgets_nothing() -> None:
    deduper = Deduper(tiers="exact", capacity=2)
    deduper.offer(["a1", "b1", "a1"])

    with pytest.raises(CapacityError, match="holds 2 attributes"):
        deduper.offer(["c1"])
    assert [verdict.of for verdict in deduper.offer(["a1", "b1"])] == [0, 1]


@pytest.mark.parametrize("arguments", [{"tiers": "sloppy"}, {"tiers": "exact", "capacity": 0}])
def test_senseless_settings_are_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Deduper(**arguments)  # type: ignore[arg-type]


@given(texts)
def test_a_batch_decides_like_its_items_one_by_one(batch: list[str]) -> None:
    together, alone = Deduper(tiers="exact"), Deduper(tiers="exact")

    assert together.offer(batch) == [alone.offer([text])[0] for text in batch]


@given(texts, texts)
def test_a_replay_decides_like_the_original(first: list[str], second: list[str]) -> None:
    original, replayed = Deduper(tiers="exact"), Deduper(tiers="exact")
    original.offer(first)
    replayed.restore([original.text(index) for index in range(len(original))])

    assert replayed.offer(second) == original.offer(second)


@given(texts)
def test_what_was_offered_before_is_a_duplicate(batch: list[str]) -> None:
    deduper = Deduper(tiers="exact")
    deduper.offer(batch)

    assert all(verdict.of is not None for verdict in deduper.offer(batch))


def test_exact_alone_loads_nothing_heavy() -> None:
    """A process that only needs equal keys starts without vectors and models."""
    program = (
        "import sys; from services.orchestrator.dedupe import Deduper; Deduper(tiers='exact').offer(['a']);"
        "print(sorted({'numpy', 'onnxruntime', 'wordllama', 'usearch', 'rapidfuzz'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
