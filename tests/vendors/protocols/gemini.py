"""The wire protocol of the Gemini API: generateContent and streamGenerateContent."""

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
    count,
    event,
    retry_after,
)

FINISH = {Finish.STOP: "STOP", Finish.LENGTH: "MAX_TOKENS", Finish.FILTER: "SAFETY"}

MODELS = ("gemini-2.5-flash", "gemini-2.5-flash-lite")

TYPE = "type.googleapis.com/google.rpc."

EXHAUSTED = "Resource has been exhausted (e.g. check quota)."
OVER_QUOTA = (
    "You exceeded your current quota, please check your plan and billing details. "
    "For more information on this error, head to: https://ai.google.dev/gemini-api/docs/rate-limits."
)

REFUSALS: dict[Fault, tuple[int, str, str]] = {
    Fault.RATE_LIMITED: (429, "RESOURCE_EXHAUSTED", EXHAUSTED),
    Fault.RATE_LIMITED_SECONDS: (429, "RESOURCE_EXHAUSTED", EXHAUSTED),
    Fault.RATE_LIMITED_DATE: (429, "RESOURCE_EXHAUSTED", EXHAUSTED),
    Fault.RATE_LIMITED_HINT: (429, "RESOURCE_EXHAUSTED", OVER_QUOTA),
    Fault.SERVER_ERROR: (500, "INTERNAL", "An internal error has occurred. Please retry or report it."),
    Fault.UNAVAILABLE: (503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
    Fault.OVERLOADED: (529, "UNAVAILABLE", "Overloaded"),
    Fault.QUOTA: (429, "RESOURCE_EXHAUSTED", OVER_QUOTA),
    Fault.BILLING: (403, "PERMISSION_DENIED", "This API method requires billing to be enabled."),
    Fault.UNAUTHORIZED: (401, "UNAUTHENTICATED", "Request had invalid authentication credentials."),
    Fault.BAD_KEY: (400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."),
    Fault.FORBIDDEN: (403, "PERMISSION_DENIED", "Your project has been denied access. Please contact support."),
    Fault.NO_MODEL: (
        404,
        "NOT_FOUND",
        "models/{model} is not found for API version v1beta, or is not supported for generateContent.",
    ),
    Fault.INVALID_REQUEST: (400, "INVALID_ARGUMENT", "Request contains an invalid argument."),
}

REASONS = {
    Fault.BILLING: "BILLING_DISABLED",
    Fault.BAD_KEY: "API_KEY_INVALID",
    Fault.UNAUTHORIZED: "ACCESS_TOKEN_TYPE_UNSUPPORTED",
}

QUOTAS = {
    Fault.RATE_LIMITED_HINT: "GenerateRequestsPerMinutePerProjectPerModel-FreeTier",
    Fault.QUOTA: "GenerateRequestsPerDayPerProjectPerModel-FreeTier",
}


class Gemini:
    """See Wire."""

    provider = "gemini"

    def key(self, request: Request) -> str:
        """See Wire."""
        return request.headers.get("x-goog-api-key", "")

    def read(self, request: Request) -> Call:
        """See Wire."""
        body = request.body
        model, _, method = request.path.rpartition("/")[2].partition(":")
        if not body.get("contents"):
            raise _refusal(400, "INVALID_ARGUMENT", "* GenerateContentRequest.contents: contents is not specified")
        config = body.get("generationConfig") or {}
        if not 0 <= (config.get("temperature") or 0) <= 2:
            raise _refusal(400, "INVALID_ARGUMENT", "Unable to submit request because it has a temperature value out of range.")
        schema = config.get("responseJsonSchema") or config.get("responseSchema")
        is_json = config.get("responseMimeType") == "application/json"
        if schema and not is_json:
            message = "Response mime type 'text/plain' with a response schema is unsupported: use application/json."
            raise _refusal(400, "INVALID_ARGUMENT", message)
        return Call(
            model=model,
            prompt="\n\n".join(_text(content) for content in (body.get("systemInstruction"), *body["contents"]) if content),
            streams=method == "streamGenerateContent",
            form=Form.JSON if is_json else Form.LINES,
            array=array_name(schema),
            most_tokens=config.get("maxOutputTokens"),
        )

    def whole(self, call: Call, answer: Answer) -> Json:
        """See Wire."""
        usage = {"usageMetadata": _usage(answer.tokens)} if answer.tells else {}
        return {"candidates": [_candidate(answer.text, FINISH[answer.finish])], **usage, **_tail(call)}

    def stream(self, call: Call, answer: Answer) -> Iterator[Frame]:
        """See Wire. Every event tells the tokens so far; the last one holds text and the reason for the end."""
        pieces = answer.cut() or [""]
        said = 0
        for number, piece in enumerate(pieces, start=1):
            last = number == len(pieces)
            said += count(piece)
            usage = _usage(answer.tokens) if last else _usage(Tokens(input=answer.tokens.input, output=said))
            candidate = _candidate(piece, FINISH[answer.finish] if last else "")
            told = {"usageMetadata": usage} if answer.tells else {}
            yield Frame(event({"candidates": [candidate], **told, **_tail(call)}, end="\r\n\r\n"), piece)

    def refused(self, what: Misbehaviour, call: Call, key: str) -> Refused:
        """See Wire."""
        status, kind, words = REFUSALS[what.fault]
        details: list[Json] = []
        if reason := REASONS.get(what.fault):
            details.append({"@type": f"{TYPE}ErrorInfo", "reason": reason, "domain": "googleapis.com"})
        if quota := QUOTAS.get(what.fault):
            metric = "generativelanguage.googleapis.com/generate_content_free_tier_requests"
            dimensions = {"location": "global", "model": call.model}
            violation = {"quotaMetric": metric, "quotaId": quota, "quotaDimensions": dimensions, "quotaValue": "20"}
            details.append({"@type": f"{TYPE}QuotaFailure", "violations": [violation]})
            details.append({"@type": f"{TYPE}RetryInfo", "retryDelay": f"{what.seconds:g}s"})
        return _refusal(status, kind, words.format(model=call.model), details, retry_after(what))

    def not_taken(self, option: str) -> Refused:
        """See Wire."""
        message = f"Invalid JSON payload received. Unknown name \"{option}\" at 'generation_config': Cannot find field."
        return _refusal(400, "INVALID_ARGUMENT", message)

    def error_event(self) -> bytes:
        """See Wire."""
        return event(_error(503, "UNAVAILABLE", "The model is overloaded. Please try again later."), end="\r\n\r\n")

    def limits(self, limits: Limits) -> dict[str, str]:
        """See Wire: Gemini has none."""
        return {}


def _candidate(text: str, finish: str) -> Json:
    parts = [{"text": text}] if text else []
    content = {"content": {"role": "model", **({"parts": parts} if parts else {})}, "index": 0}
    return {**content, "finishReason": finish} if finish else content


def _tail(call: Call) -> Json:
    return {"modelVersion": call.model, "responseId": "response-test"}


def _usage(tokens: Tokens) -> Json:
    """Here the candidates do not hold the thoughts; what is nought is left out."""
    usage = {
        "promptTokenCount": tokens.input,
        "cachedContentTokenCount": tokens.cached,
        "candidatesTokenCount": tokens.output - tokens.reasoning,
        "thoughtsTokenCount": tokens.reasoning,
        "totalTokenCount": tokens.input + tokens.output,
    }
    return {name: number for name, number in usage.items() if number}


def _text(content: Any) -> str:
    return "\n".join(str(part.get("text", "")) for part in content.get("parts") or [])


def _error(status: int, kind: str, message: str, details: list[Json] | None = None) -> Json:
    return {"error": {"code": status, "message": message, "status": kind, **({"details": details} if details else {})}}


def _refusal(
    status: int, kind: str, message: str, details: list[Json] | None = None, headers: dict[str, str] | None = None
) -> Refused:
    return Refused(status, _error(status, kind, message, details), headers)
