"""Signing a browser in and out: the token or a link, once, for a cookie that scripts cannot read."""

import re

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from services.gateway.access import SESSION_SECONDS
from services.gateway.addresses import origin_of
from services.gateway.answers import json_answer
from services.gateway.problems import Problem
from services.gateway.request_body import read_body, read_field
from services.gateway.state import access_of, audit_of, origin_setting, rates_of

CODE = re.compile(r"[A-Za-z0-9_-]{16,64}")

PAGE = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>Chorus</title>
  <link rel="icon" href="/static/icon.svg" type="image/svg+xml">
  <link rel="stylesheet" href="/static/theme.css">
  <link rel="stylesheet" href="/static/layout.css">
  <link rel="stylesheet" href="/static/parts.css">
</head>
<body>
  <main class="card welcome">
    <h1>Chorus</h1>
    <form method="post" action="/login">
      <input type="hidden" name="code" value="{code}">
      <p>This link signs this browser in, once.</p>
      <button class="primary" type="submit">Sign in</button>
    </form>
  </main>
</body>
</html>
"""
"""Followed links only show a button: what looks ahead at links in mail and chat would use them up, and be signed in itself."""


class Link(msgspec.Struct):
    """Answer of `/api/login-links`."""

    link: str
    """Good for one browser, for ten minutes."""


async def make_session(request: Request) -> Response:
    """`POST /api/session`, with the token as bearer: sign this browser in."""
    await read_body(request)
    return _signed_in(request, Response(status_code=204), "token")


async def end_session(request: Request) -> Response:
    """`DELETE /api/session`: sign this browser out; its cookie is good no more, wherever it is."""
    access = access_of(request)
    access.sign_out(request.headers)
    audit_of(request).signed_out(request.scope)
    answer = Response(status_code=204)
    answer.delete_cookie(access.cookie, httponly=True, samesite="strict", secure=_secure(request))
    return answer


async def make_link(request: Request) -> Response:
    """`POST /api/login-links`, with the token as bearer: a link that signs in the first browser that takes it up."""
    await read_body(request)
    base = origin_setting(request) or str(request.base_url).rstrip("/")
    return json_answer(Link(f"{base}/login?code={access_of(request).new_link()}"), 201)


async def show_link(request: Request) -> Response:
    """`GET /login?code=…`: the button that takes a link up."""
    code = request.query_params.get("code", "")
    if not CODE.fullmatch(code):
        raise Problem(404, "This link is not whole; copy all of it.")
    # The policy of the other pages would have browsers send no origin with the form, by which it is known as ours.
    return HTMLResponse(PAGE.format(code=code), headers={"Referrer-Policy": "same-origin"})


async def take_link(request: Request) -> Response:
    """`POST /login`: sign in the browser that takes a link up."""
    if not access_of(request).redeem(await read_field(request, "code")):
        if rates_of(request).failures.take(origin_of(request.scope)):
            raise Problem(429, "Too many wrong links; try again in a few seconds.")
        audit_of(request).refused(request.scope, 401)
        raise Problem(401, "This link was used before or is too old; ask for a new one, or sign in at / with the token.")
    return _signed_in(request, RedirectResponse("/", 303), "link")


def _signed_in(request: Request, answer: Response, by: str) -> Response:
    access = access_of(request)
    if access.required:
        answer.set_cookie(
            access.cookie,
            access.new_session(),
            max_age=SESSION_SECONDS,
            httponly=True,
            samesite="strict",
            secure=_secure(request),
        )
        audit_of(request).signed_in(request.scope, by)
    return answer


def _secure(request: Request) -> bool:
    """Whether browsers come by TLS: by the setting, or as a proxy says whose word is taken."""
    return access_of(request).secure or request.url.scheme == "https"
