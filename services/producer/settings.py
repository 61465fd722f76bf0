"""What can be set of a producer besides its provider's key, models and address."""

from typing import Annotated

from msgspec import Meta

from shared.service import Settings

Limit = Annotated[int, Meta(ge=1, le=10**9)] | None


class ProducerSettings(Settings, frozen=True, kw_only=True):
    """Limits of a key, over all producers that use it; without them, what the vendor says in its answers holds alone."""

    openai_rpm: Limit = None
    """Requests a minute."""
    openai_tpm: Limit = None
    """Tokens a minute."""
    anthropic_rpm: Limit = None
    anthropic_tpm: Limit = None
    gemini_rpm: Limit = None
    gemini_tpm: Limit = None
    producer_slots: Annotated[int, Meta(ge=1, le=100)] | None = None
    """Calls at once, at most; by default 4 to a vendor, and 1 to a model on this machine."""

    def requests(self, provider: str) -> int | None:
        """Requests that a provider's key may make a minute, or None."""
        limit: int | None = getattr(self, f"{provider}_rpm", None)
        return limit

    def tokens(self, provider: str) -> int | None:
        """Tokens that a provider's key may use a minute, or None."""
        limit: int | None = getattr(self, f"{provider}_tpm", None)
        return limit
