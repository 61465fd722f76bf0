"""`GET /openapi.json`: the REST interface, described from the types that it is made of."""

from functools import cache
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from services.gateway.answers import json_answer
from services.gateway.connection import MAX_BODY
from services.gateway.downloads import FORMS, MOST, AttributeView
from services.gateway.problems import ProblemBody
from services.gateway.run_view import RunView
from services.gateway.runs_api import CHANGES, IDEMPOTENCY_KEY, LISTED, MAX_LISTED
from services.gateway.series import Point
from services.gateway.sign_in import Link
from services.gateway.status_api import Providers, Readiness
from shared.messages import Forecast, Presence, RunSpec
from shared.service import VERSION

Described = dict[str, Any]

JSON = "application/json"
PROBLEMS = {
    400: "The request is not one, or asks for another host",
    401: "A token is needed",
    403: "Another site's page asked for it, or a proxy forwards it and no token is set",
    404: "There is no such run",
    408: "The body did not come in time",
    409: "The run is in no state for that",
    413: f"The body is longer than {MAX_BODY} bytes",
    415: "The body is not said to be JSON",
    422: "A field or parameter is out of bounds; `detail` says which",
    429: "Too many requests",
    502: "The bus or the orchestrator gave an answer that is none",
    503: "The bus or the orchestrator is missing; try again after `Retry-After` seconds",
}
ALWAYS = (400, 401, 403, 429)
CHANGING = (*ALWAYS, 408, 413, 415)
ASKING = (*CHANGING, 409, 422, 502, 503)


async def openapi(request: Request) -> Response:
    """The description."""
    return json_answer(description())


@cache
def description() -> Described:
    """The whole document, OpenAPI 3.1."""
    kinds = [RunView, RunSpec, Point, Forecast, Presence, Providers, Readiness, AttributeView, Link, ProblemBody]
    _, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    components["RunView"]["properties"]["status"]["description"] = _statuses()
    components["RunRequest"] = _run_request(components["RunSpec"])
    return {
        "openapi": "3.1.0",
        "info": {"title": "Chorus gateway", "version": VERSION, "description": "Start runs, watch them, take their lists."},
        "security": [{}, {"token": []}],
        "paths": _paths(),
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _statuses() -> str:
    return (
        "running: calls are made; waiting: nobody offers a provider it needs, and it goes on when somebody does; paused: a user"
        " holds it; stopping: calls under way come to their end; finished, stopped, failed: it has ended, and `reason` says why"
    )


def _run_request(spec: Described) -> Described:
    """A RunSpec as it may be asked for: only the topic is needed, and a misspelt field is refused."""
    return {**spec, "title": "RunRequest", "required": ["topic"], "additionalProperties": False}


def _paths() -> Described:
    run = {"name": "run", "in": "path", "required": True, "schema": {"type": "string", "maxLength": 64}}
    changes = {
        f"/api/runs/{{run}}/{change}": {"parameters": [run], "post": _post(f"{change.capitalize()} a run", 202, RunView, 404)}
        for change in CHANGES
    }
    return {
        "/api/runs": {"get": _list_runs(), "post": _start_run()},
        "/api/forecast": {"post": _with_run_request(_post("Forecast what a run would take", 200, Forecast))},
        "/api/runs/{run}": {"parameters": [run], "get": _get("Where a run stands", _is(RunView), 404, 502, 503)},
        "/api/runs/{run}/series": {"parameters": [run], "get": _get("How its figures grew", _list_of(Point), 404, 502, 503)},
        **changes,
        "/api/runs/{run}/attributes": {"parameters": [run], "get": _attributes()},
        "/api/runs/{run}/events": {"parameters": [run], "get": _events()},
        "/api/providers": {"get": _get("Providers, and which have keys here", _is(Providers))},
        "/api/producers": {"get": _get("Producers that are there", _list_of(Presence))},
        "/api/session": {
            "post": _simple_post("Sign this browser in; needs the token as bearer", {204: {"description": "Done"}}),
            "delete": _sign_out(),
        },
        "/api/login-links": {
            "post": _simple_post("A link that signs in a browser; needs the token", {201: _json("The link", _is(Link))})
        },
        "/readyz": {"get": _readyz()},
        "/livez": {"get": _plain("Whether the process answers")},
        "/metrics": {"get": _plain("Counters for Prometheus")},
    }


def _list_runs() -> Described:
    limit = _query("limit", {"type": "integer", "minimum": 1, "maximum": MAX_LISTED, "default": LISTED})
    return {**_get("The newest runs, newest first", _list_of(RunView), 422), "parameters": [limit]}


def _start_run() -> Described:
    key = {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "A request with the same key starts no second run",
        "schema": {"type": "string", "pattern": f"^{IDEMPOTENCY_KEY.pattern}$"},
    }
    trace = {
        "name": "traceparent",
        "in": "header",
        "description": "W3C trace context that the run shall belong to; one that is malformed counts as none",
        "schema": {"type": "string"},
    }
    operation = _with_run_request(_post("Start a run", 202, RunView))
    operation["responses"]["202"]["headers"] = {"Location": {"schema": {"type": "string"}}}
    return {**operation, "parameters": [key, trace]}


def _attributes() -> Described:
    whole = {"type": "integer", "maximum": MOST}
    media = {media_type.partition(";")[0]: {"schema": {"type": "string"}} for media_type, _ in FORMS.values()}
    media[JSON] = {"schema": _list_of(AttributeView)}
    return {
        "summary": "A run's attributes in order",
        "parameters": [
            _query("format", {"enum": list(FORMS), "default": "json"}),
            _query("after", {**whole, "minimum": 0, "default": 0}),
            _query("limit", {**whole, "minimum": 1}),
        ],
        "responses": {"200": {"description": "The list", "content": media}, **_problems(*ALWAYS, 404, 422, 502, 503)},
    }


def _events() -> Described:
    place = {"type": "string", "description": "The id of the last event that was got"}
    return {
        "summary": "A run as server-sent events, resumable after any event that has an id",
        "parameters": [
            {"name": "Last-Event-ID", "in": "header", "schema": place},
            _query("last_id", place),
            _query("duplicates", {"enum": ["0", "1"], "default": "0"}),
        ],
        "responses": {
            "200": {"description": "The stream", "content": {"text/event-stream": {"schema": _event()}}},
            "204": {"description": "The client has everything, and need not come back"},
            **_problems(*ALWAYS, 404, 422, 502, 503),
        },
    }


def _event() -> Described:
    data = {"type": "string", "contentMediaType": JSON}
    names = ["hello", "accepted", "duplicate", "settled", "snapshot", "run", "reset", "hb", "bye", "done"]
    fields = {"id": {"type": "string"}, "event": {"enum": names}, "data": data, "retry": {"type": "integer"}}
    return {"type": "object", "properties": fields}


def _readyz() -> Described:
    answers = {code: _json(text, _is(Readiness)) for code, text in {"200": "Ready", "503": "Not ready"}.items()}
    return {"summary": "Whether runs can be shown, and what is missing", "responses": answers | _problems(400, 403, 429)}


def _plain(summary: str) -> Described:
    content = {"text/plain": {"schema": {"type": "string"}}}
    return {"summary": summary, "responses": {"200": {"description": summary, "content": content}, **_problems(*ALWAYS)}}


def _get(summary: str, schema: Described, *problems: int) -> Described:
    return {"summary": summary, "responses": {"200": _json(summary, schema), **_problems(*ALWAYS, *problems)}}


def _post(summary: str, status: int, kind: type, *problems: int) -> Described:
    return {"summary": summary, "responses": {str(status): _json(summary, _is(kind)), **_problems(*ASKING, *problems)}}


def _simple_post(summary: str, answers: dict[int, Described]) -> Described:
    done = {str(status): answer for status, answer in answers.items()}
    return {"summary": summary, "responses": done | _problems(*CHANGING)}


def _sign_out() -> Described:
    return {"summary": "Sign this browser out", "responses": {"204": {"description": "Done"}, **_problems(*ALWAYS)}}


def _with_run_request(operation: Described) -> Described:
    content = {JSON: {"schema": {"$ref": "#/components/schemas/RunRequest"}}}
    return {**operation, "requestBody": {"required": True, "content": content}}


def _query(name: str, schema: Described) -> Described:
    return {"name": name, "in": "query", "schema": schema}


def _is(kind: type) -> Described:
    return {"$ref": f"#/components/schemas/{kind.__name__}"}


def _list_of(kind: type) -> Described:
    return {"type": "array", "items": _is(kind)}


def _json(text: str, schema: Described) -> Described:
    return {"description": text, "content": {JSON: {"schema": schema}}}


def _problems(*statuses: int) -> Described:
    content = {"application/problem+json": {"schema": _is(ProblemBody)}}
    return {str(status): {"description": PROBLEMS[status], "content": content} for status in statuses}
