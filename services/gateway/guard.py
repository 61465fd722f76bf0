"""What stands between the network and the routes: no stranger and no foreign page may use them, no answer may run as code."""

from collections.abc import Collection

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.gateway.access import Access
from services.gateway.hosts import is_own
from services.gateway.metrics import Metrics
from services.gateway.problems import respond
from services.gateway.rates import Rates

log = structlog.get_logger()

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""Content security policy: attributes are text by strangers, and nothing but our own files may run or be loaded."""

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")

PUBLIC = ("/", "/login", "/livez", "/readyz", "/test", "/openapi.json")
"""Paths that need no token: the page that asks for it, and probes, which have none. So have the files in /static/."""

READ_ONLY = ("/api/forecast",)
"""Paths that are asked by POST, since their question is long, and change nothing."""


class Guard:
    """Refuses what may not be asked, adds security headers, counts answers, and logs requests that failed."""

    def __init__(self, app: ASGIApp, access: Access, names: Collection[str], rates: Rates, metrics: Metrics) -> None:
        self._app = app
        self._access = access
        self._names = names
        self._rates = rates
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._metrics.answered(scope["method"], message["status"])
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = POLICY
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
                headers.setdefault("Cache-Control", "no-cache")  # a page of an older gateway would misread a newer one
            await send(message)

        try:
            await (self._refusal(scope) or self._app)(scope, receive, send_guarded)
        except Exception:
            log.exception("request.failed", path=scope["path"])
            raise

    def _refusal(self, scope: Scope) -> Response | None:
        """Why a request is not let through, as its answer; None if it is."""
        headers = Headers(scope=scope)
        if not is_own(headers.get("host", ""), self._names):
            return respond(400, "This name is not one of the gateway's; list it in GATEWAY_HOSTS if it should be.")
        changes = scope["method"] not in SAFE_METHODS
        if changes and is_foreign(headers, scope["scheme"], cookies=not self._access.has_token(headers)):
            return respond(403, "Only the dashboard's own pages and tools may change runs, not another site's page.")
        address = scope["client"][0] if scope["client"] else ""
        if not self._is_public(scope["path"]) and (refusal := self._stranger(address, headers)):
            return refusal
        buckets = self._rates.changes if changes and scope["path"] not in READ_ONLY else self._rates.reads
        if seconds := buckets.take(address):
            return respond(429, f"Too many requests; try again in {seconds} s.", {"Retry-After": str(seconds)})
        return None

    def _is_public(self, path: str) -> bool:
        return not self._access.required or path in PUBLIC or path.startswith("/static/")

    def _stranger(self, address: str, headers: Headers) -> Response | None:
        """The answer to one who shows neither token nor session; guessing soon meets a wall, even for the right guess."""
        if self._access.has_session(headers):
            return None
        if self._rates.failures.empty(address):
            return respond(429, "Too many wrong tokens; try again in a few seconds.", {"Retry-After": "5"})
        if self._access.has_token(headers):
            return None
        if "authorization" in headers:
            self._rates.failures.take(address)
        return respond(
            401,
            "This gateway asks for a token: send Authorization: Bearer with the value of GATEWAY_TOKEN.",
            {"WWW-Authenticate": "Bearer"},
        )


def is_foreign(headers: Headers, scheme: str, *, cookies: bool = True) -> bool:
    """Whether a browser sent this for a page of another origin; tools send neither header.

    With `cookies=False` a missing origin is no matter even for one who came with a cookie.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = headers.get("origin")
    if origin is not None:
        return origin != f"{scheme}://{headers.get('host', '')}"
    return cookies and "cookie" in headers  # a browser sends cookies along, and should have said for which page
