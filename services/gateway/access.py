"""Who may use the gateway: whoever reaches it while there is no token, else who shows the token or a session made by it."""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.requests import cookie_parser

COOKIE = "chorus_session"

SESSION_SECONDS = 30 * 24 * 3600
"""How long a browser stays signed in. Sessions are signed, not stored, so they outlive a restart of the gateway."""

LINK_SECONDS = 600
"""How long a one-time link waits for its click."""

MAX_LINKS = 100
"""Links waiting at once; the oldest gives way."""

SHORTEST_TOKEN = 16
"""Characters: with the limit on requests, guessing a random one of these takes longer than anybody lives."""


class Access:
    """Checks tokens, sessions and one-time links. Their texts are compared in constant time and reach no log."""

    def __init__(self, token: str = "", clock: Callable[[], float] = time.time) -> None:
        self._token = token.encode()
        self._clock = clock
        self._links: dict[str, float] = {}

    @property
    def required(self) -> bool:
        return bool(self._token)

    def has_token(self, headers: Headers) -> bool:
        """Whether the token came along as `Authorization: Bearer …`."""
        scheme, _, shown = headers.get("authorization", "").partition(" ")
        return self.required and scheme.lower() == "bearer" and hmac.compare_digest(shown.strip().encode(), self._token)

    def has_session(self, headers: Headers) -> bool:
        """Whether the cookie of a session that has not expired came along."""
        expiry, _, signature = cookie_parser(headers.get("cookie", "")).get(COOKIE, "").partition(".")
        valid = hmac.compare_digest(signature.encode(), self._sign(expiry).encode())
        return self.required and valid and expiry.isascii() and expiry.isdigit() and int(expiry[:15]) > self._clock()

    def new_session(self) -> str:
        """The value of the cookie that signs a browser in."""
        expiry = str(int(self._clock() + SESSION_SECONDS))
        return f"{expiry}.{self._sign(expiry)}"

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

    def _sign(self, expiry: str) -> str:
        return hmac.new(self._token, b"chorus session " + expiry.encode(), hashlib.sha256).hexdigest()
