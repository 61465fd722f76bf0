"""Signing a browser in: the token, once, for a cookie that scripts cannot read."""

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from services.gateway.access import COOKIE, SESSION_SECONDS
from services.gateway.answers import json_answer
from services.gateway.problems import Problem
from services.gateway.request_body import read_body
from services.gateway.state import access_of, rates_of

SIGNED_IN = '<!doctype html><html lang="en"><meta http-equiv="refresh" content="0;url=/"><title>Chorus</title>Signed in.</html>'
"""No redirect: a browser that followed a link of another site would not send a strict cookie along with it."""


class Link(msgspec.Struct):
    """Answer of `/api/login-links`."""

    link: str
    """Good for one browser, for ten minutes."""


async def make_session(request: Request) -> Response:
    """`POST /api/session`, with the token as bearer: sign this browser in."""
    await read_body(request)
    return _signed_in(request, Response(status_code=204))


async def make_link(request: Request) -> Response:
    """`POST /api/login-links`, with the token as bearer: a link that signs in the first browser that opens it."""
    await read_body(request)
    return json_answer(Link(f"{request.base_url}login?code={access_of(request).new_link()}"), 201)


async def login(request: Request) -> Response:
    """`GET /login?code=…`: sign in the browser that follows a one-time link."""
    address = request.client.host if request.client else ""
    wait = rates_of(request).failures
    if wait.empty(address):
        raise Problem(429, "Too many wrong links; try again in a few seconds.")
    if not access_of(request).redeem(request.query_params.get("code", "")):
        wait.take(address)
        raise Problem(401, "This link was used before or is too old; ask for a new one, or sign in at / with the token.")
    return _signed_in(request, HTMLResponse(SIGNED_IN))


def _signed_in(request: Request, answer: Response) -> Response:
    access = access_of(request)
    if access.required:
        secure = request.url.scheme == "https"
        answer.set_cookie(
            COOKIE, access.new_session(), max_age=SESSION_SECONDS, httponly=True, samesite="strict", secure=secure
        )
    return answer
