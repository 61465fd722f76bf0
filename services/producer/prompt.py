"""The prompts: text files in `prompts/`, filled with a task. Every prompt carries what the other producers found."""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from shared.messages import Task


@cache
def _template(name: str) -> str:
    return (files("services.producer") / "prompts" / name).read_text(encoding="utf-8")


def chat(task: Task, *, as_json: bool = False) -> str:
    """The prompt for a model that follows instructions, and is given a schema besides or has to write lines."""
    if task.kind == "adjudicate":
        return _adjudicate(task, as_json=as_json)
    form = _template("chat_json.txt" if as_json else "chat_lines.txt").strip()
    parts = [_template("chat.txt").format(topic=task.topic, count=task.count, form=form).strip()]
    if task.facet:
        parts.append(_template("chat_facet.txt").format(facet=task.facet).strip())
    if task.avoid:
        parts.append(_template("chat_avoid.txt").format(avoid="\n".join(task.avoid)).strip())
    return "\n\n".join(parts)


def _adjudicate(task: Task, *, as_json: bool) -> str:
    pairs = "\n".join(f"{number}. {pair.text} | {pair.of_text}" for number, pair in enumerate(task.pairs, start=1))
    form = _template("adjudicate_json.txt" if as_json else "adjudicate_lines.txt").strip()
    return _template("adjudicate.txt").format(topic=task.topic, pairs=pairs, form=form).strip()


def completion(task: Task, listed: Sequence[str], max_tokens: int) -> str:
    """The few-shot prompt for a small model that continues text: two lists as examples, then this one as far as it goes.

    Of `listed` it holds as much as fits into `max_tokens`. The form is the chat template of the model in `local_model`.
    """
    topic = f"{task.topic}, {task.facet}" if task.facet else task.topic
    prompt = _template("completion.txt").format(topic=topic.replace("<|", "< |"))  # a topic must not end its turn
    left = max_tokens - tokens(prompt)
    for text in listed:
        line = f"- {text}\n"
        left -= tokens(line)
        if left < 0:
            break
        prompt += line
    return prompt + "-"


def tokens(text: str) -> int:
    """At most how many tokens a text has: one for about three letters, in other scripts up to one a byte."""
    other = sum(len(c.encode("utf-8", "replace")) for c in text if not c.isascii())
    return sum(c.isascii() for c in text) // 3 + other + 1
