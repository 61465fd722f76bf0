"""The wire protocol of Anthropic's messages."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
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

FINISH = {Finish.STOP: "end_turn", Finish.LENGTH: "max_tokens", Finish.FILTER: "refusal"}

MODELS = ("claude-haiku-4-5", "claude-sonnet-4-5")

LIMITED = "This request would exceed your organization's rate limit of 50 requests per minute."

REFUSALS: dict[Fault, tuple[int, str, str]] = {
    Fault.RATE_LIMITED: (429, "rate_limit_error", LIMITED),
    Fault.RATE_LIMITED_SECONDS: (429, "rate_limit_error", LIMITED),
    Fault.RATE_LIMITED_DATE: (429, "rate_limit_error", LIMITED),
    Fault.RATE_LIMITED_HINT: (429, "rate_limit_error", LIMITED),
    Fault.SERVER_ERROR: (500, "api_error", "Internal server error"),
    Fault.UNAVAILABLE: (503, "api_error", "Service unavailable"),
    Fault.OVERLOADED: (529, "overloaded_error", "Overloaded"),
    Fault.QUOTA: (
        400,
        "invalid_request_error",
        (
            "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase "
            "credits."
        ),
    ),
    Fault.BILLING: (402, "billing_error", "There is an issue with your billing or payment information."),
    Fault.UNAUTHORIZED: (401, "authentication_error", "API key is disabled"),
    Fault.BAD_KEY: (401, "authentication_error", "invalid x-api-key"),
    Fault.FORBIDDEN: (403, "permission_error", "Your API key does not have permission to use the specified resource."),
    Fault.NO_MODEL: (404, "not_found_error", "model: {model}"),
    Fault.INVALID_REQUEST: (400, "invalid_request_error", "top_k: Input should be greater than or equal to 0"),
}


class Anthropic:
    """See Wire."""

    provider = "anthropic"

    def key(self, request: Request) -> str:
        """See Wire. The SDK used to send a header of Anthropic's own, which other clients still do."""
        return request.headers.get("x-api-key") or request.headers.get("authorization", "").removeprefix("Bearer ").strip()

    def read(self, request: Request) -> Call:
        """See Wire."""
        body = request.body
        if not request.headers.get("anthropic-version"):
            raise _refusal(400, "invalid_request_error", "anthropic-version: header is required")
        for name in ("model", "max_tokens", "messages"):
            if not body.get(name):
                raise _refusal(400, "invalid_request_error", f"{name}: Field required")
        if not 0 <= (body.get("temperature") or 0) <= 1:
            raise _refusal(400, "invalid_request_error", "temperature: range: 0..1")
        parts = [_text(body.get("system") or ""), *(_text(message["content"]) for message in body["messages"])]
        form, schema, tool = _form(body)
        return Call(
            model=str(body["model"]),
            prompt="\n\n".join(part for part in parts if part),
            streams=bool(body.get("stream")),
            form=form,
            array=array_name(schema),
            tool=tool,
            most_tokens=int(body["max_tokens"]),
        )

    def whole(self, call: Call, answer: Answer) -> Json:
        """See Wire."""
        blocks: list[Json] = [{"type": "text", "text": answer.foreword}] if answer.foreword else []
        if answer.form is Form.TOOL:
            blocks.append({**_tool_block(call), "input": _input(call, answer)})
        elif answer.text:
            blocks.append({"type": "text", "text": answer.text})
        usage = _usage(answer.tokens) if answer.tells else {}
        return {**_message(call), "content": blocks, "stop_reason": _stop_reason(answer), "usage": usage}

    def stream(self, call: Call, answer: Answer) -> Iterator[Frame]:
        """See Wire."""
        usage = _usage(answer.tokens) if answer.tells else {}
        start = {**_message(call), "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1} if usage else {}}
        yield _event("message_start", message=start)
        yield _event("ping")
        index = 0
        if answer.foreword:
            yield from _text_block(index, [answer.foreword], is_answer=False)
            index += 1
        if answer.form is Form.TOOL:
            yield _event("content_block_start", index=index, content_block=_tool_block(call))
            for piece in answer.cut():
                yield _event(
                    "content_block_delta", piece, index=index, delta={"type": "input_json_delta", "partial_json": piece}
                )
            yield _event("content_block_stop", index=index)
        elif answer.text:
            yield from _text_block(index, answer.cut(), is_answer=True)
        delta = {"stop_reason": _stop_reason(answer), "stop_sequence": None}
        yield _event("message_delta", delta=delta, usage=usage)
        yield _event("message_stop")

    def refused(self, what: Misbehaviour, call: Call, key: str) -> Refused:
        """See Wire."""
        status, kind, words = REFUSALS[what.fault]
        headers = retry_after(what)
        if what.fault is Fault.RATE_LIMITED_HINT:
            headers = self.limits(Limits(requests=50, requests_left=0, requests_reset=what.seconds))
        return _refusal(status, kind, words.format(model=call.model), headers)

    def not_taken(self, option: str) -> Refused:
        """See Wire."""
        return _refusal(400, "invalid_request_error", f"{option}: Extra inputs are not permitted")

    def error_event(self) -> bytes:
        """See Wire."""
        return event(_error("overloaded_error", "Overloaded"), "error")

    def limits(self, limits: Limits) -> dict[str, str]:
        """See Wire."""
        headers = {
            "requests-limit": str(limits.requests),
            "requests-remaining": str(limits.requests_left),
            "requests-reset": _moment(limits.requests_reset),
        }
        for kind in ("tokens", "input-tokens", "output-tokens"):
            headers[f"{kind}-limit"] = str(limits.tokens)
            headers[f"{kind}-remaining"] = str(limits.tokens_left)
            headers[f"{kind}-reset"] = _moment(limits.tokens_reset)
        return {f"anthropic-ratelimit-{name}": value for name, value in headers.items()}


def _moment(seconds: float) -> str:
    """A time from now, as RFC 3339; Anthropic rounds to the second, this server keeps the part."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _form(body: Json) -> tuple[Form, Json, str]:
    """The form asked for, its schema, and the tool's name. Raises Refused for a schema the vendor does not take."""
    wanted = (body.get("output_config") or {}).get("format") or {}
    if wanted.get("type") == "json_schema":
        _check(wanted.get("schema") or {})
        return Form.JSON, wanted["schema"], ""
    if (body.get("tool_choice") or {}).get("type") in ("tool", "any"):
        tool = next((t for t in body.get("tools") or [] if t["name"] == body["tool_choice"].get("name", t["name"])), None)
        if tool is None:
            raise _refusal(400, "invalid_request_error", "tool_choice: Tool not found in provided tools")
        return Form.TOOL, tool.get("input_schema") or {}, str(tool["name"])
    return Form.LINES, {}, ""


def _check(schema: Json) -> None:
    """Structured output takes no bounds on arrays but minItems 0 or 1, and no object that is open."""
    for part in objects(schema):
        if part.get("additionalProperties") is not False:
            message = "output_config.format.schema: For 'object' type, 'additionalProperties' must be explicitly set to false"
            raise _refusal(400, "invalid_request_error", message)
        for kind in part.get("properties", {}).values():
            for name in ("maxItems", "minItems", "minLength", "maxLength", "pattern", "minimum", "maximum"):
                if name in kind and (name != "minItems" or kind[name] not in (0, 1)):
                    message = f"output_config.format.schema: For '{kind.get('type')}' type, property '{name}' is not supported"
                    raise _refusal(400, "invalid_request_error", message)


def _input(call: Call, answer: Answer) -> Json:
    """The tool's input; of one that was cut off, what is complete."""
    try:
        made: Json = json.loads(answer.text)
    except ValueError:
        return {call.array: answer.attributes(len(answer.text))} if answer.text else {}
    return made


def _message(call: Call) -> Json:
    return {"id": "msg_test", "type": "message", "role": "assistant", "model": call.model, "stop_sequence": None}


def _tool_block(call: Call) -> Json:
    return {"type": "tool_use", "id": "toolu_test", "name": call.tool, "input": {}}


def _text_block(index: int, pieces: list[str], *, is_answer: bool) -> Iterator[Frame]:
    yield _event("content_block_start", index=index, content_block={"type": "text", "text": ""})
    for piece in pieces:
        delta = {"type": "text_delta", "text": piece}
        yield _event("content_block_delta", piece if is_answer else "", index=index, delta=delta)
    yield _event("content_block_stop", index=index)


def _stop_reason(answer: Answer) -> str:
    if answer.form is Form.TOOL and answer.text and answer.finish is Finish.STOP:
        return "tool_use"
    return FINISH[answer.finish]


def _usage(tokens: Tokens) -> Json:
    """Here the input does not hold what came from the cache or went into it."""
    return {
        "input_tokens": tokens.input - tokens.cached - tokens.cache_written,
        "cache_read_input_tokens": tokens.cached,
        "cache_creation_input_tokens": tokens.cache_written,
        "output_tokens": tokens.output,
        "output_tokens_details": {"thinking_tokens": tokens.reasoning},
        "service_tier": "standard",
    }


def _text(content: Any) -> str:
    """The text of a message, which is a string or a list of blocks."""
    if isinstance(content, str):
        return content
    return "\n".join(str(block.get("text", "")) for block in content)


def _event(kind: str, text: str = "", **data: Any) -> Frame:
    return Frame(event({"type": kind, **data}, kind), text)


def _error(kind: str, message: str) -> Json:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_test"}


def _refusal(status: int, kind: str, message: str, headers: dict[str, str] | None = None) -> Refused:
    return Refused(status, _error(kind, message), headers)
