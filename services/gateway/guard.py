"""What stands between the network and the routes: no stranger and no foreign page may use them, no answer may run as code."""

from collections.abc import Collection

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.gateway.access import Access
from services.gateway.addresses import origin_of
from services.gateway.audit import Audit
from services.gateway.connection import connection_of
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

TOKEN_ALONE = (("POST", "/api/session"), ("POST", "/api/login-links"))
"""What makes sessions: a session may not, or one that was stolen would never end."""

FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
"""Headers that a proxy adds: who asks is then not on this machine, though the connection is."""


class Guard:
    """Refuses what may not be asked, adds security headers, counts answers, and logs refusals and requests that failed."""

    def __init__(
        self, app: ASGIApp, access: Access, names: Collection[str], origin: str, rates: Rates, metrics: Metrics, audit: Audit
    ) -> None:
        self._app = app
        self._access = access
        self._names = names
        self._origin = origin
        """Of the page, where the setting tells it; empty otherwise."""
        self._rates = rates
        self._metrics = metrics
        self._audit = audit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        secret = not is_public(scope["path"]) or scope["path"] == "/login"

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._metrics.answered(scope["method"], message["status"])
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = POLICY
                headers["X-Content-Type-Options"] = "nosniff"
                headers.setdefault("Referrer-Policy", "no-referrer")
                if secret:
                    headers["Cache-Control"] = "no-store"
                headers.setdefault("Cache-Control", "no-cache")  # a page of an older gateway would misread a newer one
            await send(message)

        refusal = self._refusal(scope)
        if refusal:
            self._audit.refused(scope, refusal.status_code)
        try:
            await (refusal or self._app)(scope, receive, send_guarded)
        except ClientDisconnect:
            log.debug("client.left", path=scope["path"])  # in its request: there is nobody to answer
        except Exception:
            log.exception("request.failed", path=scope["path"])
            raise

    def _refusal(self, scope: Scope) -> Response | None:
        """Why a request is not let through, as its answer; None if it is."""
        headers = Headers(scope=scope)
        if not is_own(headers.get("host", ""), self._names):
            return respond(400, "This name is not one of the gateway's; list it in GATEWAY_HOSTS if it should be.")
        if not self._access.required and any(name in headers for name in FORWARDED):
            return respond(403, "A proxy forwards this, so others than this machine may ask: set GATEWAY_TOKEN first.")
        holds_token = self._access.has_token(headers)
        own = (self._origin, f"{scope['scheme']}://{headers.get('host', '')}")
        changes = scope["method"] not in SAFE_METHODS
        if changes and is_foreign(headers, own, cookies=not holds_token):
            return respond(403, "Only the dashboard's own pages and tools may change runs, not another site's page.")
        if not self._access.required or holds_token or self._access.has_session(headers):
            return self._of_the_known(scope, changes=changes, token_missing=self._access.required and not holds_token)
        return self._of_a_stranger(scope, "authorization" in headers)

    def _of_the_known(self, scope: Scope, *, changes: bool, token_missing: bool) -> Response | None:
        """Why one who showed token or session is not let through; what strangers do is never the reason."""
        if (scope["method"], scope["path"]) in TOKEN_ALONE and token_missing:
            return ask_for_token()
        connection = connection_of(scope)
        if connection and not connection.know():
            return respond(503, "Too many connections are open; try again in a moment.")
        buckets = self._rates.changes if changes and scope["path"] not in READ_ONLY else self._rates.reads
        return wait(buckets.take(origin_of(scope)))

    def _of_a_stranger(self, scope: Scope, guesses: bool) -> Response | None:
        """Why one who showed neither is not let through."""
        if is_public(scope["path"]):
            return wait(self._rates.public.take(origin_of(scope)))
        if guesses and self._rates.failures.take(origin_of(scope)):
            return respond(429, "Too many wrong tokens; try again in a few seconds.", {"Retry-After": "5"})
        return ask_for_token()


def is_public(path: str) -> bool:
    return path in PUBLIC or path.startswith("/static/")


def ask_for_token() -> Response:
    return respond(
        401,
        "This gateway asks for a token: send Authorization: Bearer with the value of GATEWAY_TOKEN.",
        {"WWW-Authenticate": "Bearer"},
    )


def wait(seconds: int) -> Response | None:
    """The answer to one who asks too fast; None for 0."""
    return respond(429, f"Too many requests; try again in {seconds} s.", {"Retry-After": str(seconds)}) if seconds else None


def is_foreign(headers: Headers, own: Collection[str], *, cookies: bool = True) -> bool:
    """Whether a browser sent this for a page of another origin than our `own`; tools send neither header.

    With `cookies=False` a missing origin is no matter even for one who came with a cookie.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = headers.get("origin")
    if origin is not None:
        return origin not in own
    return cookies and "cookie" in headers  # a browser sends cookies along, and should have said for which page
