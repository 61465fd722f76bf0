"""`/livez`, `/readyz` and `/api/providers`: what is there and what is missing."""

from collections.abc import Mapping

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from services.gateway.answers import json_answer
from services.gateway.live_producers import default_providers
from services.gateway.state import access_of, variables_of, view_of
from shared.messages import Presence
from shared.providers import KEY_VARIABLES, KEYLESS, PROVIDERS, problem_of, with_keys


class Readiness(msgspec.Struct):
    """Answer of `/readyz`, which the page polls."""

    ready: bool
    """The gateway can show runs. Whether they can be changed is another matter: see `orchestrator`."""
    bus: bool
    log: bool
    orchestrator: bool
    producers: int
    missing: list[str]
    """Sentences for the user."""
    session: bool
    """Whether this browser is signed in by a session, which it can end."""


class ProviderView(msgspec.Struct):
    """One provider that an adapter exists for."""

    provider: str
    keyless: bool
    key: bool
    """Whether this environment holds a key that may be one, or names a server of one's own."""
    key_variable: str
    producers: int
    """Live producers."""
    busy: int
    models: list[str]


class Providers(msgspec.Struct):
    """Answer of `/api/providers`."""

    providers: list[ProviderView]
    default: list[str]
    """Those that a run uses which names none."""
    producers: list[Presence]


async def livez(request: Request) -> Response:
    """Whether the process answers at all."""
    return Response("ok\n", media_type="text/plain")


async def readyz(request: Request) -> Response:
    """Whether runs can be shown; 503 if not, and what is missing either way."""
    view = view_of(request)
    session = access_of(request).has_session(request.headers)
    readiness = Readiness(
        view.ready, view.connected, view.current, view.orchestrator, len(view.producers.all()), view.missing(), session
    )
    return json_answer(readiness, 200 if view.ready else 503)


async def producers(request: Request) -> Response:
    """The producers that are there: what each does, how long it waits for a rate limit, and its last error."""
    return json_answer(view_of(request).producers.all())


async def providers(request: Request) -> Response:
    """The providers, which of them have a key here, and the producers that are there."""
    variables = variables_of(request)
    live = view_of(request).producers.all()
    return json_answer(Providers([_provider(name, variables, live) for name in PROVIDERS], _default(variables, live), live))


def _default(variables: Mapping[str, str], live: list[Presence]) -> list[str]:
    try:
        return list(default_providers(variables, live))
    except ValueError:  # a key that cannot be one: starting such a run tells which
        return []


def _provider(name: str, variables: Mapping[str, str], live: list[Presence]) -> ProviderView:
    own = [presence for presence in live if presence.provider == name]
    return ProviderView(
        provider=name,
        keyless=name in KEYLESS,
        key=name in with_keys(variables) and not problem_of(name, variables),
        key_variable=KEY_VARIABLES.get(name, ("",))[0],
        producers=len(own),
        busy=sum(1 for presence in own if presence.busy),
        models=sorted({model for presence in own for model in presence.models}),
    )
