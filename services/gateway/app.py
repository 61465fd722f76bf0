"""The routes."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from services.gateway.downloads import attributes
from services.gateway.events import Clients, events
from services.gateway.guard import Guard
from services.gateway.problems import Problem, on_failure, on_http_error, on_problem
from services.gateway.runs_api import CHANGES, change_run, forecast_run, list_runs, show_run, start_run
from services.gateway.status_api import livez, providers, readyz
from services.gateway.view import View

STATIC = Path(__file__).parent / "static"

LOOPBACK = ("localhost", "127.0.0.1", "[::1]", "::1")
"""Names under which a browser on this machine knows us; another is a foreign domain pointed here (DNS rebinding)."""


async def dashboard(request: Request) -> Response:
    """The page."""
    return FileResponse(STATIC / "index.html")


def make_app(view: View, variables: Mapping[str, str], host: str) -> Starlette:
    """The application. `host` is what the gateway listens on, and so is one of its names."""
    app = Starlette(
        routes=[
            Route("/", dashboard),
            Route("/livez", livez),
            Route("/test", livez),  # what probes of earlier versions ask for
            Route("/readyz", readyz),
            Route("/api/providers", providers),
            Route("/api/runs", list_runs),
            Route("/api/runs", start_run, methods=["POST"]),
            Route("/api/forecast", forecast_run, methods=["POST"]),
            Route("/api/runs/{run}", show_run),
            Route("/api/runs/{run}/attributes", attributes),
            Route("/api/runs/{run}/events", events),
            *(
                Route(f"/api/runs/{{run}}/{change}", partial(change_run, subject), methods=["POST"])
                for change, subject in CHANGES.items()
            ),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        middleware=[
            Middleware(Guard),
            Middleware(TrustedHostMiddleware, allowed_hosts=[*LOOPBACK, host], www_redirect=False),
        ],
        exception_handlers={Problem: on_problem, HTTPException: on_http_error, Exception: on_failure},
    )
    app.state.view = view
    app.state.variables = variables
    app.state.clients = Clients()
    return app
