"""`/api/runs`: start, list, show and change runs."""

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from services.gateway.problems import Problem
from services.gateway.request_body import read_body, read_object
from services.gateway.run_view import run_view
from services.gateway.state import variables_of, view_of
from services.gateway.view import NO_ORCHESTRATOR, View
from shared import subjects
from shared.bus import Bus, BusError, Malformed, Missing, decode
from shared.messages import ChangeRun, Refusal, RunSpec, RunState, StartRun, new_run_id
from shared.providers import resolve

LISTED = 100
"""Runs listed unless `limit` says otherwise."""

MAX_LISTED = 1000
"""Runs in one answer, about 500 KB."""

FIELDS = tuple(field.name for field in msgspec.structs.fields(RunSpec))

CHANGES = {"stop": subjects.STOP_RUN, "pause": subjects.PAUSE_RUN, "resume": subjects.RESUME_RUN}
"""What the orchestrator is asked for each change that a path names."""

STATUS = {"invalid": 422, "not_found": 404, "conflict": 409, "unavailable": 503}
"""HTTP status of each code of a Refusal."""


async def start_run(request: Request) -> Response:
    """`POST /api/runs`: have the orchestrator start a run; 202 with where it stands."""
    view = view_of(request)
    spec = _spec(await read_object(request), variables_of(request))
    run = new_run_id()  # named here, so that an orchestrator that was asked twice starts one
    state = await _ask(view, subjects.START_RUN, StartRun(spec=spec, run=run), run)
    return _json(run_view(state), 202, {"Location": f"/api/runs/{state.run}"})


async def change_run(subject: str, request: Request) -> Response:
    """`POST /api/runs/<run>/stop|pause|resume`: have the orchestrator change a run; 202 with where it stands."""
    view = view_of(request)
    await read_body(request)
    run = (await view.require_run(request.path_params["run"])).state.run
    state = await _ask(view, subject, ChangeRun(run=run), run)
    return _json(run_view(state), 202)


async def list_runs(request: Request) -> Response:
    """`GET /api/runs`: the newest runs, newest first."""
    limit = request.query_params.get("limit", str(LISTED))
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:9]) <= MAX_LISTED):
        raise Problem(422, f"limit must be a number from 1 to {MAX_LISTED}.")
    return _json([run_view(known.state) for known in view_of(request).runs.newest(int(limit))])


async def show_run(request: Request) -> Response:
    """`GET /api/runs/<run>`: where a run stands."""
    return _json(run_view((await view_of(request).require_run(request.path_params["run"])).state))


def _spec(fields: dict[str, Any], variables: Mapping[str, str]) -> RunSpec:
    """What a user asks for. Raises Problem for a field that does not exist: a misspelt limit would be no limit."""
    unknown = [name for name in fields if name not in FIELDS]
    if unknown:
        raise Problem(422, f"There is no field {unknown[0][:80]!r}; there are {', '.join(FIELDS)}.")
    given = {name: value for name, value in fields.items() if value is not None}
    try:
        if "providers" not in given:
            given["providers"] = resolve("env", variables)
        return msgspec.convert(given, RunSpec)
    except ValueError as error:
        raise Problem(422, f"{error}.".replace("`$.", "`").replace("Object missing required field", "Missing field")) from error


async def _ask(view: View, subject: str, question: StartRun | ChangeRun, run: str) -> RunState:
    """Ask the orchestrator. Raises Problem when it refuses, is not there, or does not answer."""
    bus: Bus = view.require_bus()
    try:
        answer = await bus.ask(subject, question)
    except Missing as error:
        raise Problem(503, NO_ORCHESTRATOR) from error
    except BusError as error:
        raise Problem(503, f"The orchestrator did not answer; see GET /api/runs/{run} for whether it did it.") from error
    return view.runs.learn(_answer(answer)).state


def _answer(data: bytes) -> RunState:
    try:
        refusal = decode(Refusal, data)
    except Malformed:
        pass  # then it is the state that was asked for
    else:
        raise Problem(STATUS[refusal.code], refusal.error)
    try:
        return decode(RunState, data)
    except Malformed as error:
        raise Problem(502, f"The orchestrator gave an answer that is none: {error}.") from error


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(value), status, headers, media_type="application/json")
