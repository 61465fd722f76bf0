"""What the OpenAI SDK's errors mean for the user. Never the SDK's own text of a refused key: it quotes a part of the key."""

from openai import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    NotFoundError,
    OpenAIError,
    PermissionDeniedError,
    RateLimitError,
)

MAX_DETAIL = 200
"""Characters of the server's own words that are kept: an error page is not a reason."""


def in_words(error: OpenAIError, model: str, key_variable: str) -> str:
    """One line that says what happened and what to do."""
    match error:
        case APITimeoutError():
            return "the server stayed silent for too long"
        case APIConnectionError():
            return "the server cannot be reached"
        case AuthenticationError() | PermissionDeniedError():
            return f"the key was refused ({error.status_code}): check {key_variable}"
        case NotFoundError():
            return f"the server knows no model {model!r} (404)"
        case RateLimitError() if error.code == "insufficient_quota":
            return "the account's quota is used up (429)"
        case RateLimitError():
            return "the rate limit is reached (429)"
        case APIStatusError():
            return f"the server answered {error.status_code}: {_detail(error)}"
    return f"the answer could not be read ({type(error).__name__})"


def _detail(error: APIStatusError) -> str:
    body = error.body
    message = body.get("message") if isinstance(body, dict) else None
    return " ".join(str(message or "no reason given").split())[:MAX_DETAIL]
