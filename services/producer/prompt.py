"""The prompts: text files in `prompts/`, filled with a task. Every prompt carries what the other producers found.

What others found is data to a prompt: JSON between marks that it cannot hold. What the model is to do comes after it.
"""

import hashlib
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from importlib.resources import files

from shared.messages import MAX_FACET, Kind, Task
from shared.outside_text import DATA_BEGIN, DATA_END, flaw, quoted

FILES: dict[Kind, str] = {"list": "chat", "adjudicate": "adjudicate", "facets": "facets", "judge": "judge"}
"""How the names of the files begin that a prompt is made of."""


@cache
def _template(name: str) -> str:
    return (files("services.producer") / "prompts" / name).read_text(encoding="utf-8").strip()


def chat(task: Task, *, as_json: bool = False) -> str:
    """The prompt for a model that follows instructions, and is given a schema besides or has to write lines."""
    stem = FILES[task.kind]
    form = _template(f"{stem}_{'json' if as_json else 'lines'}.txt")
    parts = [_template(f"{stem}.txt").format(topic=task.topic)]
    if task.kind == "list" and task.tail:
        parts.append(_template("chat_tail.txt"))
    if data := list(_data(task)):
        parts.append(_template("data.txt").format(begin=DATA_BEGIN, data="\n".join(data), end=DATA_END))
    rules = [_template(f"{stem}_facet.txt")] if task.kind == "list" and _facet(task) else []
    if task.kind in ("list", "facets") and _plain(task.avoid):
        rules.append(_template(f"{stem}_avoid.txt"))
    what = "the part of the topic that the data names" if _facet(task) else "it"
    ask = _template(f"{stem}_ask.txt").format(count=task.count, what=what, form=form)
    return "\n\n".join([*parts, "\n".join([ask, *rules])])


def _data(task: Task) -> Iterable[str]:
    """The lines of what others wrote. A text that has a flaw is left out; the numbers of the rest stay."""
    if task.kind == "adjudicate":
        for number, pair in enumerate(task.pairs, start=1):
            if not (_flaw(pair.text) or _flaw(pair.of_text)):
                yield f"[{number}, {quoted(pair.text)}, {quoted(pair.of_text)}]"
    elif task.kind == "judge":
        for number, text in enumerate(task.sample.values(), start=1):
            if not _flaw(text):
                yield f"[{number}, {quoted(text)}]"
    else:
        if facet := _facet(task):
            yield f'{{"part of the topic": {quoted(facet)}}}'
        if avoid := _plain(task.avoid):
            name = "on the list already" if task.kind == "list" else "parts already"
            yield f'{{"{name}": [{",".join(map(quoted, avoid))}]}}'


def _facet(task: Task) -> str:
    """The part of the topic to keep to; a user's own may be one of many words."""
    return "" if flaw(task.facet, MAX_FACET, words=MAX_FACET) else task.facet


def _plain(texts: Iterable[str]) -> list[str]:
    return [text for text in texts if not _flaw(text)]


@lru_cache(maxsize=4096)  # some ten lists to avoid: prompts name much the same again and again
def _flaw(text: str) -> str:
    return flaw(text)


@cache
def version(provider: str, kind: Kind) -> str:
    """The hash of the files that a prompt is made of; empty for the random provider, which reads none."""
    if provider == "random":
        return ""
    stems = ("completion",) if provider == "local" else (FILES[kind], "data")
    names = sorted(f.name for f in (files("services.producer") / "prompts").iterdir() if f.name.startswith(stems))
    return hashlib.sha256("\n".join(f"{name}\n{_template(name)}" for name in names).encode()).hexdigest()[:12]


def completion(task: Task, listed: Sequence[str], max_tokens: int) -> str:
    """The few-shot prompt for a small model that continues text: two lists as examples, then this one as far as it goes.

    Of `listed` it holds as much as fits into `max_tokens`, as lines that the model wrote itself: it follows no instructions, so
    that it would not know data from them, and what has a flaw is left out. The form is the chat template of `local_model`.
    """
    facet = _facet(task)
    topic = f"{task.topic}, {facet}" if facet else task.topic
    prompt = _template("completion.txt").format(topic=topic.replace("<|", "< |")) + "\n"  # a topic must not end its turn
    left = max_tokens - tokens(prompt)
    for text in _plain(listed):
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
