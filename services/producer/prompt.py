"""The prompts: text files in `prompts/`, filled with a task. Every prompt carries what the other producers found."""

from functools import cache
from importlib.resources import files

from shared.messages import Task


@cache
def _template(name: str) -> str:
    return (files("services.producer") / "prompts" / name).read_text(encoding="utf-8")


def chat(task: Task) -> str:
    """The prompt for a model that follows instructions."""
    parts = [_template("chat.txt").format(topic=task.topic, count=task.count).strip()]
    if task.facet:
        parts.append(_template("chat_facet.txt").format(facet=task.facet).strip())
    if task.avoid:
        parts.append(_template("chat_avoid.txt").format(avoid="\n".join(task.avoid)).strip())
    return "\n\n".join(parts)


def completion(task: Task, max_tokens: int) -> str:
    """The few-shot prompt for a small model that only continues text: the list so far, to be continued.

    Of the avoid list it holds as much as fits into `max_tokens`, the most important nearest to the end, where such a model
    looks most.
    """
    head = _template("completion.txt").format(topic=task.topic, about=f", {task.facet}" if task.facet else "").strip()
    left = max_tokens - tokens(head)
    listed: list[str] = []
    for text in task.avoid:
        left -= tokens(f"\n- {text}")
        if left < 0:
            break
        listed.append(text)
    return "\n- ".join([head, *reversed(listed)]) + "\n-"


def tokens(text: str) -> int:
    """At most how many tokens a text has: about three letters each, other scripts up to one a byte."""
    other = sum(len(c.encode("utf-8", "replace")) for c in text if not c.isascii())
    return (len(text) - other) // 3 + other + 1 if other < len(text) else other + 1
