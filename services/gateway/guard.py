"""What stands between the network and the routes: no foreign page may steer runs, and no answer may run as code."""

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.gateway.problems import respond

log = structlog.get_logger()

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""Content security policy: attributes are text by strangers, and nothing but our own files may run or be loaded."""

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


class Guard:
    """Refuses changes that another site's page asks for, adds security headers, and logs requests that failed."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = POLICY
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
                headers.setdefault("Cache-Control", "no-cache")  # a page of an older gateway would misread a newer one
            await send(message)

        try:
            if scope["method"] not in SAFE_METHODS and is_foreign(Headers(scope=scope), scope["scheme"]):
                refusal = respond(403, "Only the dashboard's own pages and tools may change runs, not another site's page.")
                await refusal(scope, receive, send_guarded)
            else:
                await self._app(scope, receive, send_guarded)
        except Exception:
            log.exception("request.failed", path=scope["path"])
            raise


def is_foreign(headers: Headers, scheme: str) -> bool:
    """Whether a browser sent this for a page of another origin; tools send neither header."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is not None and origin != f"{scheme}://{headers.get('host', '')}"
