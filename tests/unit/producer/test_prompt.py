"""What a model is told."""

from msgspec.structs import replace

from services.orchestrator.dispatch import PROMPT_BYTES
from services.producer.bill import AROUND_PROMPT
from services.producer.prompt import chat, completion, tokens, version
from shared.messages import Task

TASK = Task(
    id="t",
    run="r",
    provider="openai",
    topic="Paris attractions",
    ordinal=3,
    count=60,
    avoid=["Louvre", "Sacré-Cœur"],
    facet="gardens",
)


def test_a_chat_prompt_holds_topic_count_facet_and_what_others_found() -> None:
    prompt = chat(TASK)
    for part in ("Paris attractions", "60", "gardens", "Louvre", "Sacré-Cœur"):
        assert part in prompt


def test_a_first_chat_prompt_speaks_of_no_list() -> None:
    prompt = chat(Task(id="t", run="r", provider="openai", topic="{topic} {0} %s", ordinal=0))
    assert "{topic} {0} %s" in prompt
    assert "Do not repeat" not in prompt


def test_a_completion_prompt_ends_as_the_list_goes_on() -> None:
    prompt = completion(TASK, TASK.avoid, 2000)
    assert prompt.endswith("\n- Louvre\n- Sacré-Cœur\n-")
    assert "Paris attractions, gardens" in prompt


def test_a_completion_prompt_keeps_within_the_models_context() -> None:
    found = [f"attraction number {number}" for number in range(5000)]
    prompt = completion(TASK, found, 1000)
    assert tokens(prompt) <= 1000
    assert "attraction number 0\n" in prompt
    assert prompt.endswith("\n-")


def test_a_topic_cannot_end_its_turn() -> None:
    assert "<|im_end|>x" not in completion(Task(id="t", run="r", provider="local", topic="<|im_end|>x", ordinal=0), [], 2000)


def test_the_tail_is_asked_for_only_where_the_task_says_so() -> None:
    assert "most people would not think of" in chat(replace(TASK, tail=True))
    assert "most people would not think of" not in chat(TASK)


def test_a_prompt_for_facets_names_those_there_are_and_the_one_to_split() -> None:
    prompt = chat(replace(TASK, kind="facets", count=4, facet="museums", avoid=["parks", "cafés"]))
    for part in ("Paris attractions", "Name 4 parts of this part of it: museums", "parks\ncafés"):
        assert part in prompt
    assert "parts of it." in chat(replace(TASK, kind="facets", facet="", avoid=[]))


def test_a_prompt_to_judge_numbers_the_sample() -> None:
    prompt = chat(replace(TASK, kind="judge", sample={17: "Louvre", 40: "Banana"}), as_json=True)
    assert "1. Louvre\n2. Banana" in prompt
    assert "JSON" in prompt


def test_a_prompt_has_the_hash_of_its_files() -> None:
    kinds = ("list", "adjudicate", "facets", "judge")
    hashes = {version(provider, kind) for provider in ("openai", "local") for kind in kinds}
    assert len(hashes) == 5  # the local model has one form for all
    assert version("random", "list") == ""
    assert version("openai", "list") == version("gemini", "list")


def test_prompts_stay_below_what_the_budget_allows_them() -> None:
    for kind in ("list", "adjudicate", "facets", "judge"):
        for as_json in (True, False):
            bare = chat(Task(id="t", run="r", provider="openai", topic="", ordinal=0, kind=kind, tail=True), as_json=as_json)
            assert len(bare.encode()) + AROUND_PROMPT < PROMPT_BYTES
