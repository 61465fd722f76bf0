"""The routes."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from services.gateway.access import Access
from services.gateway.audit import Audit
from services.gateway.downloads import attributes
from services.gateway.events import events
from services.gateway.guard import Guard
from services.gateway.hosts import names_of
from services.gateway.metrics import Metrics, show_metrics
from services.gateway.openapi import openapi
from services.gateway.problems import Problem, on_failure, on_http_error, on_malformed, on_problem
from services.gateway.rates import Rates
from services.gateway.runs_api import CHANGES, change_run, forecast_run, list_runs, show_run, show_series, start_run
from services.gateway.settings import GatewaySettings
from services.gateway.sign_in import end_session, make_link, make_session, show_link, take_link
from services.gateway.status_api import livez, producers, providers, readyz
from services.gateway.view import View
from shared.bus import Malformed

STATIC = Path(__file__).parent / "static"


async def dashboard(request: Request) -> Response:
    """The page."""
    return FileResponse(STATIC / "index.html")


def make_app(view: View, variables: Mapping[str, str], settings: GatewaySettings, rates: Rates, audit: Audit) -> Starlette:
    """The application. `variables` is the environment, which tells what providers have keys."""
    origin = settings.origin
    access, metrics = Access(settings.gateway_token or "", secure=origin.startswith("https:")), Metrics(view)
    names = names_of(settings.host, settings.gateway_hosts, origin)
    guard = Middleware(Guard, access, names, origin, rates, metrics, audit)
    proxies = [Middleware(ProxyHeadersMiddleware, settings.proxies)] if settings.proxies else []
    app = Starlette(
        routes=[
            Route("/", dashboard),
            Route("/login", show_link, methods=["GET"]),
            Route("/login", take_link, methods=["POST"]),
            Route("/livez", livez),
            Route("/test", livez),  # what probes of earlier versions ask for
            Route("/readyz", readyz),
            Route("/metrics", show_metrics),
            Route("/openapi.json", openapi),
            Route("/api/session", make_session, methods=["POST"]),
            Route("/api/session", end_session, methods=["DELETE"]),
            Route("/api/login-links", make_link, methods=["POST"]),
            Route("/api/providers", providers),
            Route("/api/producers", producers),
            Route("/api/forecast", forecast_run, methods=["POST"]),
            Route("/api/runs", list_runs),
            Route("/api/runs", start_run, methods=["POST"]),
            Route("/api/runs/{run}", show_run),
            Route("/api/runs/{run}/series", show_series),
            Route("/api/runs/{run}/attributes", attributes),
            Route("/api/runs/{run}/events", events),
            *(Route(f"/api/runs/{{run}}/{change}", partial(change_run, change), methods=["POST"]) for change in CHANGES),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        middleware=[*proxies, guard],
        exception_handlers={
            Problem: on_problem,
            Malformed: on_malformed,
            HTTPException: on_http_error,
            Exception: on_failure,
        },
    )
    app.state.view = view
    app.state.variables = variables
    app.state.access = access
    app.state.rates = rates
    app.state.metrics = metrics
    app.state.audit = audit
    app.state.origin = origin
    return app
