"""Tokens, sessions and links: what opens the door, and what does not any more."""

import pytest
from starlette.datastructures import Headers

from services.gateway.access import COOKIE, LINK_SECONDS, MAX_LINKS, SECURE_COOKIE, SESSION_SECONDS, Access

TOKEN = "correct horse battery"  # noqa: S105  # of this test alone


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("shown", "good"),
    [
        (f"Bearer {TOKEN}", True),
        (f"bearer  {TOKEN} ", True),
        (TOKEN, False),
        (f"Basic {TOKEN}", False),
        ("Bearer ", False),
        ("Bearer correct horse batter", False),
        ("Bearer \xff", False),
    ],
)
def test_only_the_token_is_the_token(shown: str, *, good: bool) -> None:
    assert Access(TOKEN).has_token(Headers({"authorization": shown})) is good


def test_without_a_token_nothing_is_asked_and_nothing_is_accepted() -> None:
    access = Access("")
    assert not access.required
    assert not access.has_token(Headers({"authorization": "Bearer "}))
    assert not access.has_session(cookie(access.new_session()))


def test_a_session_outlives_the_process_but_not_its_time_nor_its_token() -> None:
    clock = Clock()
    session = Access(TOKEN, clock).new_session()
    assert Access(TOKEN, clock).has_session(cookie(session))
    assert not Access("another token, as long", clock).has_session(cookie(session))
    clock.now += SESSION_SECONDS
    assert not Access(TOKEN, clock).has_session(cookie(session))


@pytest.mark.parametrize("forged", ["", ".", "9999999999.", "9999999999.0", "x.y", "²." + "0" * 64])
def test_a_session_cannot_be_made_up(forged: str) -> None:
    assert not Access(TOKEN).has_session(cookie(forged))


def test_a_session_cannot_be_prolonged() -> None:
    expiry, name, signature = Access(TOKEN).new_session().split(".")
    assert not Access(TOKEN).has_session(cookie(f"{int(expiry) + 1}.{name}.{signature}"))


def test_a_session_that_was_signed_out_is_good_no_more_and_others_are() -> None:
    access = Access(TOKEN)
    session, other = access.new_session(), access.new_session()
    access.sign_out(cookie(session))
    assert not access.has_session(cookie(session))
    assert access.has_session(cookie(other))


def test_where_browsers_come_by_tls_only_the_cookie_that_is_bound_to_the_host_counts() -> None:
    access = Access(TOKEN, secure=True)
    session = access.new_session()
    assert not access.has_session(cookie(session))
    assert access.has_session(Headers({"cookie": f"{SECURE_COOKIE}={session}"}))


def test_a_link_works_once_and_for_a_while() -> None:
    clock = Clock()
    access = Access(TOKEN, clock)
    code, late = access.new_link(), access.new_link()
    assert access.redeem(code)
    assert not access.redeem(code)
    assert not access.redeem("")
    clock.now += LINK_SECONDS
    assert not access.redeem(late)


def test_links_are_bounded_and_the_oldest_gives_way() -> None:
    access = Access(TOKEN)
    codes = [access.new_link() for _ in range(MAX_LINKS + 1)]
    assert [access.redeem(code) for code in codes] == [False] + [True] * MAX_LINKS


def cookie(value: str) -> Headers:
    return Headers(raw=[(b"cookie", f"other=1; {COOKIE}={value}".encode())])
