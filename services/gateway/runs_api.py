"""`/api/runs`: start, list, show and change runs; `/api/forecast`: what one would take."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from services.gateway.answers import json_answer
from services.gateway.live_producers import default_providers
from services.gateway.problems import Problem
from services.gateway.query import number
from services.gateway.request_body import read_body, read_object
from services.gateway.run_view import run_view
from services.gateway.state import audit_of, variables_of, view_of
from services.gateway.view import NO_ORCHESTRATOR, View
from shared import subjects, traces
from shared.bus import Bus, BusError, Malformed, Missing, decode
from shared.messages import ChangeRun, Forecast, ForecastRun, Refusal, RunSpec, RunState, StartRun, new_run_id
from shared.subjects import key_token

LISTED = 100
"""Runs listed unless `limit` says otherwise."""

MAX_LISTED = 1000
"""Runs in one answer, about 500 KB."""

FIELDS = tuple(field.name for field in msgspec.structs.fields(RunSpec))

CHANGES = {"stop": subjects.STOP_RUN, "pause": subjects.PAUSE_RUN, "resume": subjects.RESUME_RUN}
"""What the orchestrator is asked for each change that a path names."""

STATUS = {"invalid": 422, "not_found": 404, "conflict": 409, "unavailable": 503}
"""HTTP status of each code of a Refusal."""

RUN_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{6}")
"""The form of ids that are made; a key of this form, as the dashboard sends, becomes the id, which reads better than a hash."""

IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")

AnswerT = TypeVar("AnswerT", RunState, Forecast)


async def start_run(request: Request) -> Response:
    """`POST /api/runs`: have the orchestrator start a run; 202 with where it stands.

    With an `Idempotency-Key` the run's id is made of the key, so a request that is sent again finds the run it started, be it
    through another gateway or long after the run has ended. With a `traceparent` (W3C) the run belongs to that trace.
    """
    about: dict[str, traces.Value] = {"http.request.method": "POST", "http.route": "/api/runs"}
    with traces.span(traces.START_RUN, about, parent=request.headers.get("traceparent", ""), kind="server") as span:
        try:
            state = await _start(request)
        except Problem as problem:
            failure = str(problem.status) if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR else ""
            span.end({"http.response.status_code": problem.status}, error=failure)
            raise
        span.set({"http.response.status_code": HTTPStatus.ACCEPTED, "chorus.run": state.run})
        audit_of(request).changed(request.scope, "start", state.run)
    return json_answer(run_view(state), HTTPStatus.ACCEPTED, {"Location": f"/api/runs/{state.run}"})


async def _start(request: Request) -> RunState:
    view = view_of(request)
    key = request.headers.get("idempotency-key")
    spec = _spec(await read_object(request), variables_of(request), view_of(request))
    # Named here, so that an orchestrator that was asked twice starts one.
    run = new_run_id() if key is None else _run_of_key(key)
    known = await view.find_run(run) if key is not None else None
    state = known.state if known else await _ask_for_state(view, subjects.START_RUN, StartRun(spec=spec, run=run), run)
    asked = spec if spec.max_usd is not None else msgspec.structs.replace(spec, max_usd=state.spec.max_usd)  # the operator's
    if state.spec != asked:
        raise Problem(422, f"This Idempotency-Key was used for another run, {run}; use a new key for each run.")
    return state


async def forecast_run(request: Request) -> Response:
    """`POST /api/forecast`: what a run would take, estimated by the orchestrator; nothing is started."""
    view = view_of(request)
    spec = _spec(await read_object(request), variables_of(request), view_of(request))
    return json_answer(_answer(Forecast, await _ask(view, subjects.FORECAST_RUN, ForecastRun(spec=spec), "")))


async def change_run(change: str, request: Request) -> Response:
    """`POST /api/runs/<run>/stop|pause|resume`: have the orchestrator change a run; 202 with where it stands."""
    view = view_of(request)
    await read_body(request)
    run = (await view.require_run(request.path_params["run"])).state.run
    state = await _ask_for_state(view, CHANGES[change], ChangeRun(run=run), run)
    audit_of(request).changed(request.scope, change, run)
    return json_answer(run_view(state), 202)


async def list_runs(request: Request) -> Response:
    """`GET /api/runs`: the newest runs, newest first."""
    limit = number(request, "limit", default=LISTED, lowest=1, highest=MAX_LISTED)
    return json_answer([run_view(known.state) for known in view_of(request).runs.newest(limit)])


async def show_run(request: Request) -> Response:
    """`GET /api/runs/<run>`: where a run stands."""
    return json_answer(run_view((await view_of(request).require_run(request.path_params["run"])).state))


async def show_series(request: Request) -> Response:
    """`GET /api/runs/<run>/series`: how its figures grew, as far as this gateway heard of it."""
    return json_answer((await view_of(request).require_run(request.path_params["run"])).series.points())


def _run_of_key(key: str) -> str:
    if not IDEMPOTENCY_KEY.fullmatch(key):
        raise Problem(422, "Idempotency-Key must be 1 to 255 printable ASCII characters without spaces, such as a UUID.")
    return key if RUN_ID.fullmatch(key) else f"key-{key_token(key)}"


def _spec(fields: dict[str, Any], variables: Mapping[str, str], view: View) -> RunSpec:
    """What a user asks for. Raises Problem for a field that does not exist: a misspelt limit would be no limit."""
    unknown = [name for name in fields if name not in FIELDS]
    if unknown:
        raise Problem(422, f"There is no field {unknown[0][:80]!r}; there are {', '.join(FIELDS)}.")
    given = {name: value for name, value in fields.items() if value is not None}
    try:
        if "providers" not in given:
            given["providers"] = default_providers(variables, view.producers.all())
        return msgspec.convert(given, RunSpec)
    except ValueError as error:
        raise Problem(422, f"{error}.".replace("`$.", "`").replace("Object missing required field", "Missing field")) from error


async def _ask_for_state(view: View, subject: str, question: StartRun | ChangeRun, run: str) -> RunState:
    state = _answer(RunState, await _ask(view, subject, question, f"; see GET /api/runs/{run} for whether it did it"))
    if state.run != run:
        raise Problem(502, f"The orchestrator answered with run {state.run} when it was asked for {run}.")
    return view.runs.learn(state).state


async def _ask(view: View, subject: str, question: msgspec.Struct, what_to_do: str) -> bytes:
    """Ask the orchestrator. Raises Problem when it is not there, or does not answer."""
    bus: Bus = view.require_bus()
    try:
        return await bus.ask(subject, question)
    except Missing as error:
        raise Problem(503, NO_ORCHESTRATOR) from error
    except BusError as error:
        raise Problem(503, f"The orchestrator did not answer{what_to_do}.") from error


def _answer(kind: type[AnswerT], data: bytes) -> AnswerT:
    """What the orchestrator answered. Raises Problem when that is a refusal, or nothing that we know."""
    try:
        refusal = decode(Refusal, data)
    except Malformed:
        pass  # then it is what was asked for
    else:
        raise Problem(STATUS[refusal.code], refusal.error)
    try:
        return decode(kind, data)
    except Malformed as error:
        raise Problem(502, f"The orchestrator gave an answer that is none: {error}.") from error
