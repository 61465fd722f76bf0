"""What a call took of the vendor: tokens as told, or as many as it can have been at most."""

from services.producer.adapters.contract import End
from services.producer.prompt import chat
from shared.messages import Task

AROUND_PROMPT = 640
"""Tokens that a request takes besides the prompt, at most: its schema, and what a vendor writes around it."""


class Bill:
    """The tokens of one task, over all attempts."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._prompt = len(chat(task, as_json=True).encode()) + AROUND_PROMPT
        """A byte is never more than one token."""
        self.input_tokens = 0
        self.cached_tokens = 0
        self.cache_write_tokens = 0
        self.output_tokens = 0
        self.reasoning_tokens = 0
        self.estimated = False

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    @property
    def most(self) -> int:
        """Tokens of one attempt, its worst case."""
        return self._prompt + self._task.max_output_tokens

    @property
    def allows_another(self) -> bool:
        """Whether one more attempt stays within what the budget has set aside, even if those that broke off were charged."""
        reserved = self._task.reserved_tokens
        return not self.tokens or not reserved or self.tokens + self.most <= reserved

    def told(self, end: End) -> None:
        """Add what the vendor told."""
        self.input_tokens += end.input_tokens
        self.cached_tokens += end.cached_tokens
        self.cache_write_tokens += end.cache_write_tokens
        self.output_tokens += end.output_tokens
        self.reasoning_tokens += end.reasoning_tokens

    def guess(self, answer_bytes: int) -> None:
        """Add what an attempt took at most of which the vendor told nothing."""
        self.input_tokens += self._prompt
        self.output_tokens += min(answer_bytes, self._task.max_output_tokens)
        self.estimated = True
