"""Errors as a client sees them: `application/problem+json` (RFC 9457) with a sentence that helps."""

from collections.abc import Mapping
from http import HTTPStatus

import msgspec
import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

log = structlog.get_logger()

RETRY_SECONDS = 2
"""What a client is told to wait when something is missing that is expected back."""


class Problem(Exception):
    """Raised when a request cannot be met; becomes the answer."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class ProblemBody(msgspec.Struct):
    """What is wrong, as RFC 9457 writes it."""

    title: str
    status: int
    detail: str
    type: str = "about:blank"


def respond(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """The answer that tells a problem."""
    body = msgspec.json.encode(ProblemBody(HTTPStatus(status).phrase, status, detail))
    more = dict(headers or {})
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        more["Retry-After"] = str(RETRY_SECONDS)
    return Response(body, status, more, media_type="application/problem+json")


async def on_problem(request: Request, error: Exception) -> Response:
    """Answer a Problem."""
    if not isinstance(error, Problem):
        raise error
    return respond(error.status, error.detail)


async def on_malformed(request: Request, error: Exception) -> Response:
    """Answer what the bus holds and nobody can read: the fault is not the client's, and not the gateway's either."""
    log.warning("bus.malformed", path=request.url.path, error=str(error))
    return respond(502, f"The bus holds something that is none of ours: {str(error)[:200]}.")


async def on_http_error(request: Request, error: Exception) -> Response:
    """Answer what the router refuses: an unknown path, a wrong method."""
    if not isinstance(error, HTTPException):
        raise error
    sentences = {
        404: f"There is nothing at {request.url.path[:200]!r}; runs are under /api/runs, the dashboard is at /.",
        405: f"{request.method[:20]} is not possible here.",
    }
    return respond(error.status_code, sentences.get(error.status_code, error.detail), error.headers)


async def on_failure(request: Request, error: Exception) -> Response:
    """Answer an error of ours without its details, which are for the log."""
    return respond(500, "The gateway failed on this request; its log says why.")
