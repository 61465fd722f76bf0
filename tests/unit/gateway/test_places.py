"""Which connection gives way: an idle stranger's, before one in use, and never one that showed the token for a stranger."""

from services.gateway.places import MAX_KNOWN, MAX_STRANGERS, Limits, Places, fitting, open_files


class Connection:
    def __init__(self, origin: str, *, idle: bool = True) -> None:
        self.origin = origin
        self.idle = idle
        self.dropped = False

    def drop(self) -> None:
        self.dropped = True


def test_the_oldest_idle_one_of_an_address_gives_way_to_its_next() -> None:
    places = Places(Limits(known=9, strangers=9, strangers_per_address=3))
    other, busy, first, second = (Connection("b"), Connection("a", idle=False), Connection("a"), Connection("a"))
    for one in (other, busy, first, second, Connection("a")):
        places.take(one)
    assert [one.dropped for one in (other, busy, first, second)] == [False, False, True, False]


def test_the_oldest_of_all_gives_way_when_all_places_are_taken_even_in_use() -> None:
    places = Places(Limits(known=9, strangers=3, strangers_per_address=9))
    held = [Connection(str(number), idle=False) for number in range(5)]
    for one in held:
        places.take(one)
    assert [one.dropped for one in held] == [True, True, False, False, False]
    assert len(places) == 3


def test_no_number_of_strangers_takes_the_place_of_one_who_is_known() -> None:
    places = Places(Limits(known=2, strangers=3, strangers_per_address=2))
    known = Connection("a")
    places.take(known)
    assert places.know(known)
    for _ in range(50):
        places.take(Connection("a"))
    assert not known.dropped
    assert places.know(known)


def test_the_known_are_bounded_and_one_in_use_is_not_dropped() -> None:
    places = Places(Limits(known=2, strangers=9, strangers_per_address=9))
    busy, idle, late, last = (Connection("a", idle=False), Connection("a"), Connection("a", idle=False), Connection("a"))
    for one in (busy, idle, late, last):
        places.take(one)
    assert [places.know(one) for one in (busy, idle, late, last)] == [True, True, True, False]
    assert [one.dropped for one in (busy, idle, late, last)] == [False, True, False, False]
    places.leave(busy)
    assert places.know(last)


def test_who_left_has_no_place() -> None:
    places = Places()
    one = Connection("a")
    places.take(one)
    places.leave(one)
    assert (len(places), places.know(one)) == (0, False)


def test_there_are_no_more_places_than_files_may_be_open() -> None:
    few = fitting(256)
    assert few.known + few.strangers < 256
    assert few.known > few.strangers > few.strangers_per_address > 0
    assert fitting(100_000) == Limits()
    files = open_files()
    assert fitting(files).known + fitting(files).strangers <= max(files, MAX_KNOWN + MAX_STRANGERS)
