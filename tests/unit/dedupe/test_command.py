"""The command for files."""

import json
import subprocess
import sys


def run(*arguments: str, given: str) -> list[str]:
    command = [sys.executable, "-m", "services.orchestrator.dedupe", *arguments]
    return subprocess.run(command, input=given, capture_output=True, text=True, check=True).stdout.splitlines()


def test_lists_name_the_place_of_what_an_item_repeats() -> None:
    line = json.dumps({"topic": "food", "items": ["eggplant", "rice", "aubergine", "Rice"], "source": "ignored"})

    assert [json.loads(out) for out in run("lists", given=line + "\n")] == [
        {"dup": [False, False, True, True], "of": [None, None, 0, 1], "tier": ["", "", "synonym", "exact"]}
    ]


def test_pairs_say_whether_and_why() -> None:
    lines = [{"a": "the Louvre", "b": "Louvre"}, {"a": "Route 66", "b": "Route 67"}]

    assert [json.loads(out) for out in run("pairs", given="\n".join(map(json.dumps, lines)))] == [
        {"dup": True, "tier": "exact", "score": 1.0},
        {"dup": False, "tier": "", "score": 0.0},
    ]


def test_text_keeps_the_first_of_each() -> None:
    assert run("text", "--dedupe", "exact", given="Louvre\nPont Neuf\n\nthe Louvre\n") == ["Louvre", "Pont Neuf"]


def test_why_says_it_in_words() -> None:
    lines = [{"a": "the Louvre", "b": "Louvre"}, {"a": "Route 66", "b": "Route 67"}]

    assert run("why", given="\n".join(map(json.dumps, lines))) == [
        "one (exact, 1.00): both are “louvre” once normalised",
        "two: numbers differ: “66” and “67”",
    ]


def test_bench_prints_figures() -> None:
    figures = json.loads(run("bench", "--accepted", "300", "--decisions", "100", "--dedupe", "exact", given="")[0])

    assert figures["accepted"] == 300
    assert figures["decisions_per_s"] > 0
