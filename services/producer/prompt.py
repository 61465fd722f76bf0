"""The prompts: text files in `prompts/`, filled with a task. Every prompt carries what the other producers found."""

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from shared.messages import Kind, Task

FILES: dict[Kind, str] = {"list": "chat", "adjudicate": "adjudicate", "facets": "facets", "judge": "judge"}
"""How the names of the files begin that a prompt is made of."""


@cache
def _template(name: str) -> str:
    return (files("services.producer") / "prompts" / name).read_text(encoding="utf-8")


def chat(task: Task, *, as_json: bool = False) -> str:
    """The prompt for a model that follows instructions, and is given a schema besides or has to write lines."""
    form = _template(f"{FILES[task.kind]}_{'json' if as_json else 'lines'}.txt").strip()
    if task.kind == "adjudicate":
        pairs = "\n".join(f"{number}. {pair.text} | {pair.of_text}" for number, pair in enumerate(task.pairs, start=1))
        return _template("adjudicate.txt").format(topic=task.topic, pairs=pairs, form=form).strip()
    if task.kind == "judge":
        items = "\n".join(f"{number}. {text}" for number, text in enumerate(task.sample.values(), start=1))
        return _template("judge.txt").format(topic=task.topic, items=items, form=form).strip()
    return _facets(task, form) if task.kind == "facets" else _list(task, form)


def _list(task: Task, form: str) -> str:
    parts = [_template("chat.txt").format(topic=task.topic, count=task.count, form=form).strip()]
    if task.facet:
        parts.append(_template("chat_facet.txt").format(facet=task.facet).strip())
    if task.tail:
        parts.append(_template("chat_tail.txt").strip())
    if task.avoid:
        parts.append(_template("chat_avoid.txt").format(avoid="\n".join(task.avoid)).strip())
    return "\n\n".join(parts)


def _facets(task: Task, form: str) -> str:
    what = f"this part of it: {task.facet}" if task.facet else "it"
    parts = [_template("facets.txt").format(topic=task.topic, count=task.count, what=what, form=form).strip()]
    if task.avoid:
        parts.append(_template("facets_avoid.txt").format(avoid="\n".join(task.avoid)).strip())
    return "\n\n".join(parts)


@cache
def version(provider: str, kind: Kind) -> str:
    """The hash of the files that a prompt is made of; empty for the random provider, which reads none."""
    if provider == "random":
        return ""
    stem = "completion" if provider == "local" else FILES[kind]
    names = sorted(f.name for f in (files("services.producer") / "prompts").iterdir() if f.name.startswith(stem))
    return hashlib.sha256("\n".join(f"{name}\n{_template(name)}" for name in names).encode()).hexdigest()[:12]


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
