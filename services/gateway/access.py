"""Who may use the gateway: whoever reaches it while there is no token, else who shows the token or a session made by it."""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.requests import cookie_parser

COOKIE = "chorus_session"

SECURE_COOKIE = f"__Host-{COOKIE}"
"""Its name where browsers come by TLS: they take it only with Secure, for the whole host, and from no other host."""

SESSION_SECONDS = 30 * 24 * 3600
"""How long a browser stays signed in. Sessions are signed, not stored, so they outlive a restart of the gateway."""

LINK_SECONDS = 600
"""How long a one-time link waits for its click."""

MAX_LINKS = 100
"""Links waiting at once; the oldest gives way."""

MAX_SIGNED_OUT = 10_000
"""Sessions remembered as ended before their time, about 1 MB; each was made with the token."""

SHORTEST_TOKEN = 16
"""Characters: at ten thousand guesses a second, guessing a random one of these takes longer than anybody lives."""


class Access:
    """Checks tokens, sessions and one-time links. Their texts are compared in constant time and reach no log."""

    def __init__(self, token: str = "", clock: Callable[[], float] = time.time, *, secure: bool = False) -> None:
        self.secure = secure
        """Whether browsers come by TLS alone."""
        self.cookie = SECURE_COOKIE if secure else COOKIE
        self._token = token.encode()
        self._clock = clock
        self._links: dict[str, float] = {}
        self._signed_out: dict[str, None] = {}

    @property
    def required(self) -> bool:
        return bool(self._token)

    def has_token(self, headers: Headers) -> bool:
        """Whether the token came along as `Authorization: Bearer …`."""
        scheme, _, shown = headers.get("authorization", "").partition(" ")
        return self.required and scheme.lower() == "bearer" and hmac.compare_digest(shown.strip().encode(), self._token)

    def has_session(self, headers: Headers) -> bool:
        """Whether the cookie of a session that is neither over nor signed out came along."""
        return bool(self.session(headers))

    def session(self, headers: Headers) -> str:
        """The session that came along, if it is good; else nothing."""
        session, _, signature = cookie_parser(headers.get("cookie", "")).get(self.cookie, "").rpartition(".")
        expiry = session.partition(".")[0]
        valid = hmac.compare_digest(signature.encode(), self._sign(session).encode())
        good = self.required and valid and expiry.isascii() and expiry.isdigit() and int(expiry[:15]) > self._clock()
        return session if good and not self.is_signed_out(session) else ""

    def is_signed_out(self, session: str) -> bool:
        """Whether a session that was good has ended since."""
        return session in self._signed_out

    def new_session(self) -> str:
        """The value of the cookie that signs a browser in."""
        session = f"{int(self._clock() + SESSION_SECONDS)}.{secrets.token_urlsafe(12)}"
        return f"{session}.{self._sign(session)}"

    def sign_out(self, headers: Headers) -> None:
        """End the session whose cookie came along, whoever else may have it. A restart forgets that; a new token ends all."""
        if session := self.session(headers):
            self._signed_out[session] = None
            while len(self._signed_out) > MAX_SIGNED_OUT:
                del self._signed_out[next(iter(self._signed_out))]

    def new_link(self) -> str:
        """A code that signs one browser in, once."""
        code = secrets.token_urlsafe(24)
        self._links[code] = self._clock() + LINK_SECONDS
        while len(self._links) > MAX_LINKS:
            del self._links[next(iter(self._links))]
        return code

    def redeem(self, code: str) -> bool:
        """Whether a link's code is good; it is not any more afterwards."""
        return self._links.pop(code, 0.0) > self._clock()

    def _sign(self, session: str) -> str:
        return hmac.new(self._token, b"chorus session " + session.encode(), hashlib.sha256).hexdigest()
