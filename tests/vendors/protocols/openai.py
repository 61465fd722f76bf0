"""The wire protocol of OpenAI's chat completions and completions."""

from collections.abc import Iterator
from typing import Any

from tests.vendors.faults import Fault, Misbehaviour
from tests.vendors.wire import (
    Answer,
    Call,
    Finish,
    Form,
    Frame,
    Json,
    Limits,
    Refused,
    Request,
    Tokens,
    array_name,
    event,
    objects,
    retry_after,
)

FINISH = {Finish.STOP: "stop", Finish.LENGTH: "length", Finish.FILTER: "content_filter"}

MODELS = ("gpt-4o-mini", "gpt-4o", "gpt-4.1-mini", "gpt-5-mini")

CREATED = 1_767_225_600

REFUSALS: dict[Fault, tuple[int, str, str | None, str]] = {
    Fault.RATE_LIMITED: (429, "requests", "rate_limit_exceeded", "Rate limit reached for {model}."),
    Fault.RATE_LIMITED_SECONDS: (429, "requests", "rate_limit_exceeded", "Rate limit reached for {model}."),
    Fault.RATE_LIMITED_DATE: (429, "requests", "rate_limit_exceeded", "Rate limit reached for {model}."),
    Fault.RATE_LIMITED_HINT: (
        429,
        "tokens",
        "rate_limit_exceeded",
        (
            "Rate limit reached for {model} in organization org-test on tokens per min (TPM): Limit 200000, Used 199000, "
            "Requested 2476. Please try again in {wait}. Visit https://platform.openai.com/account/rate-limits to learn more."
        ),
    ),
    Fault.SERVER_ERROR: (500, "server_error", None, "The server had an error while processing your request. Sorry about that!"),
    Fault.UNAVAILABLE: (503, "server_error", None, "The engine is currently overloaded, please try again later."),
    Fault.OVERLOADED: (529, "server_error", None, "Overloaded"),
    Fault.QUOTA: (
        429,
        "insufficient_quota",
        "insufficient_quota",
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    Fault.BILLING: (
        429,
        "billing_not_active",
        "billing_not_active",
        "Your account is not active, please check your billing details on our website.",
    ),
    Fault.UNAUTHORIZED: (401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided: {key}."),
    Fault.BAD_KEY: (401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided: {key}."),
    Fault.FORBIDDEN: (
        403,
        "invalid_request_error",
        "unsupported_country_region_territory",
        "Country, region, or territory not supported",
    ),
    Fault.NO_MODEL: (
        404,
        "invalid_request_error",
        "model_not_found",
        "The model `{model}` does not exist or you do not have access to it.",
    ),
    Fault.INVALID_REQUEST: (400, "invalid_request_error", "unsupported_value", "Unsupported value: 'temperature'."),
}


class OpenAI:
    """See Wire."""

    provider = "openai"

    def key(self, request: Request) -> str:
        """See Wire."""
        return request.headers.get("authorization", "").removeprefix("Bearer ").strip()

    def read(self, request: Request) -> Call:
        """See Wire."""
        body = request.body
        if request.path.endswith("/chat/completions"):
            prompt, form = "\n\n".join(_text(message["content"]) for message in _needed(body, "messages")), Form.LINES
        else:
            prompt, form = str(_needed(body, "prompt")), Form.CONTINUED
        model = str(_needed(body, "model"))
        _check_sampling(model, body)
        schema = _schema(body.get("response_format") or {})
        return Call(
            model=model,
            prompt=prompt,
            streams=bool(body.get("stream")),
            form=form if schema is None else Form.JSON,
            array=array_name(schema),
            most_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
            wants_usage=bool((body.get("stream_options") or {}).get("include_usage")),
        )

    def whole(self, call: Call, answer: Answer) -> Json:
        """See Wire."""
        choice: Json = {"index": 0, "logprobs": None, "finish_reason": FINISH[answer.finish]}
        if call.form is Form.CONTINUED:
            choice["text"] = answer.text
        else:
            choice["message"] = {"role": "assistant", "content": answer.text, "refusal": None, "annotations": []}
        usage = {"usage": _usage(answer.tokens)} if answer.tells else {}
        return {**_head(call, "" if call.form is Form.CONTINUED else "chat.completion"), "choices": [choice], **usage}

    def stream(self, call: Call, answer: Answer) -> Iterator[Frame]:
        """See Wire."""
        head = _head(call, "" if call.form is Form.CONTINUED else "chat.completion.chunk")
        if answer.tells:
            head["usage"] = None

        def chunk(piece: str | None, finish: str | None = None, **delta: Any) -> bytes:
            choice: Json = {"index": 0, "logprobs": None, "finish_reason": finish}
            if call.form is Form.CONTINUED:
                choice["text"] = piece or ""
            else:
                choice["delta"] = delta if piece is None else {**delta, "content": piece}
            return event({**head, "choices": [choice]})

        if call.form is not Form.CONTINUED:
            yield Frame(chunk("", role="assistant", refusal=None))
        for piece in answer.cut():
            yield Frame(chunk(piece), piece)
        yield Frame(chunk(None, FINISH[answer.finish]))
        if answer.tells:
            yield Frame(event({**head, "choices": [], "usage": _usage(answer.tokens)}))
        yield Frame(b"data: [DONE]\n\n")

    def refused(self, what: Misbehaviour, call: Call, key: str) -> Refused:
        """See Wire."""
        status, kind, code, words = REFUSALS[what.fault]
        quoted = f"{key[:8]}{'*' * 20}{key[-4:]}"  # as OpenAI does, which is why its words must reach no log
        message = words.format(model=call.model, key=quoted, wait=_duration(what.seconds))
        return _refusal(status, message, kind, code, headers=retry_after(what))

    def not_taken(self, option: str) -> Refused:
        """See Wire."""
        message = f"Unsupported parameter: '{option}' is not supported with this model."
        return _refusal(400, message, "invalid_request_error", "unsupported_parameter", option)

    def error_event(self) -> bytes:
        """See Wire."""
        message = "The server had an error processing your request. Sorry about that!"
        return event(_error(message, "server_error", None, None))

    def limits(self, limits: Limits) -> dict[str, str]:
        """See Wire."""
        return {
            "x-ratelimit-limit-requests": str(limits.requests),
            "x-ratelimit-remaining-requests": str(limits.requests_left),
            "x-ratelimit-reset-requests": _duration(limits.requests_reset),
            "x-ratelimit-limit-tokens": str(limits.tokens),
            "x-ratelimit-remaining-tokens": str(limits.tokens_left),
            "x-ratelimit-reset-tokens": _duration(limits.tokens_reset),
        }


def _head(call: Call, kind: str) -> Json:
    return {"id": "chatcmpl-test", "object": kind or "text_completion", "created": CREATED, "model": call.model}


def _usage(tokens: Tokens) -> Json:
    return {
        "prompt_tokens": tokens.input,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.input + tokens.output,
        "prompt_tokens_details": {"cached_tokens": tokens.cached, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": tokens.reasoning, "audio_tokens": 0},
    }


def _duration(seconds: float) -> str:
    """As OpenAI writes it: 442ms, 1.574s, 6m0s."""
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    minutes, rest = divmod(seconds, 60)
    return f"{minutes:.0f}m{rest:g}s" if minutes else f"{rest:g}s"


def _text(content: Any) -> str:
    """The text of a message, which is a string or a list of parts."""
    if isinstance(content, str):
        return content
    return "\n".join(str(part.get("text", "")) for part in content)


def _needed(body: Json, name: str) -> Any:
    if not body.get(name):
        raise _refusal(400, f"you must provide a {name} parameter", "invalid_request_error", None, name)
    return body[name]


def _schema(response_format: Json) -> Json | None:
    """The schema asked for, or None. Strict schemas must name every property and allow no other."""
    if response_format.get("type") == "json_object":
        return {}
    if response_format.get("type") != "json_schema":
        return None
    wanted = response_format.get("json_schema") or {}
    schema: Json = wanted.get("schema") or {}
    for part in objects(schema) if wanted.get("strict") else []:
        named = sorted(part.get("properties", {}))
        if part.get("additionalProperties") is not False or sorted(part.get("required", [])) != named:
            raise _refusal(
                400,
                f"Invalid schema for response_format '{wanted.get('name')}': 'additionalProperties' is required to be supplied "
                "and to be false, and 'required' to be an array including every key in properties.",
                "invalid_request_error",
                None,
                "response_format",
            )
    if not wanted.get("name"):
        raise _refusal(400, "Missing required parameter", "invalid_request_error", None, "response_format.json_schema.name")
    return schema


def _check_sampling(model: str, body: Json) -> None:
    """Refuse what the vendor refuses: reasoning models take no temperature and no max_tokens."""
    reasons = model == "gpt-5" or model.startswith(("o1", "o3", "o4", "gpt-5-"))
    if reasons and body.get("temperature") not in (None, 1):
        message = (
            "Unsupported value: 'temperature' does not support this value with this model. Only the default (1) is supported."
        )
        raise _refusal(400, message, "invalid_request_error", "unsupported_value", "temperature")
    if reasons and body.get("max_tokens") is not None:
        message = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        raise _refusal(400, message, "invalid_request_error", "unsupported_parameter", "max_tokens")
    if not 0 <= (body.get("temperature") or 0) <= 2:
        message = "Invalid 'temperature': expected a value between 0 and 2."
        raise _refusal(400, message, "invalid_request_error", "decimal_above_max_value", "temperature")


def _error(message: str, kind: str, code: str | None, param: str | None) -> Json:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _refusal(
    status: int, message: str, kind: str, code: str | None, param: str | None = None, headers: dict[str, str] | None = None
) -> Refused:
    return Refused(status, _error(message, kind, code, param), headers)
