"""The second copy of the log: what was put in comes out, and nothing that was damaged does."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from services.recorder import log_copy
from services.recorder.folder import Folder
from services.recorder.log_copy import MAX_LINE, Diverged, LogCopy
from shared.bus import Stored
from tests.unit.recorder.log_entries import RunLog

NAME = log_copy.name_of("epoch1")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    opened = Folder.at(tmp_path)
    yield opened
    opened.close()


def entries() -> list[Stored]:
    log = RunLog().accept("Eiffel Tower", "Café de Flore", "Seine 🛶").repeat(1, "eiffel tower").finish()
    odd = [b"", b"no json", b'{"a":\n1}', b'{"a":"\xff"}', b' {"a":1} ', b"\x00\r\n", b'{"a": 1}']
    last = len(log.entries)
    return [*log.stored(), *(Stored(last + n, f"attributes.epoch.{n}", data, "00-1") for n, data in enumerate(odd, start=1))]


def kept(folder: Folder) -> list[Stored]:
    return [line.stored for line in log_copy.read(folder, NAME, folder.size(NAME)) if line.stored]


def test_what_was_put_in_comes_out_byte_for_byte(folder: Folder) -> None:
    LogCopy(folder, NAME, "store1").append(entries())

    assert kept(folder) == entries()
    assert log_copy.names(folder) == [NAME]
    assert log_copy.store_of(folder, NAME) == "store1"


@pytest.mark.parametrize("at", range(len(entries()) + 1))
def test_it_is_taken_up_where_it_ends(folder: Folder, at: int) -> None:
    LogCopy(folder, NAME, "store1").append(entries()[:at])
    again = LogCopy(folder, NAME, "store1")

    assert again.sequence == at
    again.append(entries())
    assert kept(folder) == entries()


def test_a_torn_line_is_completed(folder: Folder, tmp_path: Path) -> None:
    """Wherever a crash cut the file: what was begun is no damage, and is there once in the end."""
    LogCopy(folder, NAME, "store1").append(entries())
    whole = (tmp_path / NAME).read_bytes()
    begin = whole.index(b"\n") + 1
    for size in [*range(begin), *range(begin, len(whole), 7)]:
        (tmp_path / NAME).write_bytes(whole[:size])
        assert not [line for line in log_copy.read(folder, NAME, size) if line.stored is None and line.complete]
        LogCopy(folder, NAME, "store1").append(entries())
        assert (tmp_path / NAME).read_bytes() == whole


def test_no_flipped_bit_goes_unnoticed(folder: Folder, tmp_path: Path) -> None:
    """The line that holds it is never read as something else, and the others are still read."""
    LogCopy(folder, NAME, "store1").append(entries())
    whole = (tmp_path / NAME).read_bytes()
    chance = random.Random(3)  # noqa: S311  # a fixed seed is the point
    begin = whole.index(b"\n") + 1
    for _ in range(500):
        damaged = bytearray(whole)
        damaged[chance.randrange(begin, len(whole))] ^= 1 << chance.randrange(8)
        (tmp_path / NAME).write_bytes(damaged)
        lines = list(log_copy.read(folder, NAME, len(damaged)))
        good = [line.stored for line in lines if line.stored]

        assert len(good) < len(entries())
        assert len(good) >= len(entries()) - 3
        assert all(stored in entries() for stored in good)


def test_a_damaged_first_line_names_no_store(folder: Folder, tmp_path: Path) -> None:
    """Whichever bit is flipped: the name is right or it is not told, and the file is not gone on with as another's."""
    LogCopy(folder, NAME, "store1").append(entries())
    whole = (tmp_path / NAME).read_bytes()
    untold = 0
    for bit in range(8 * (whole.index(b"\n") + 1)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        (tmp_path / NAME).write_bytes(damaged)
        assert log_copy.store_of(folder, NAME) in ("store1", None)
        if log_copy.store_of(folder, NAME) is None:
            untold += 1
            with pytest.raises(Diverged, match="does not name this store"):
                LogCopy(folder, NAME, "store1")
            assert (tmp_path / NAME).read_bytes() == damaged
    assert untold > 100


def test_a_first_line_that_a_person_wrote_is_taken(folder: Folder, tmp_path: Path) -> None:
    LogCopy(folder, NAME, "store1").append(entries())
    _, rest = (tmp_path / NAME).read_bytes().split(b"\n", 1)
    (tmp_path / NAME).write_bytes(b'{"store":"store1"}\n' + rest)

    assert log_copy.store_of(folder, NAME) == "store1"
    assert LogCopy(folder, NAME, "store1").sequence == len(entries())


def test_another_log_is_not_appended(folder: Folder) -> None:
    copy = LogCopy(folder, NAME, "store1")
    copy.append(entries()[:3])

    with pytest.raises(Diverged, match="no entry 4"):
        copy.append(entries()[4:])
    other = Stored(3, "attributes.epoch.9", b"{}", "")
    with pytest.raises(Diverged, match="entry 3 of the log is another one"):
        LogCopy(folder, NAME, "store1").append([other])
    with pytest.raises(Diverged, match="does not name this store"):
        LogCopy(folder, NAME, "store2")
    assert kept(folder) == entries()[:3]


def test_a_damaged_last_entry_is_not_gone_on_with(folder: Folder, tmp_path: Path) -> None:
    """It can be read and says something else than was written: the copy is left as it is, for a repair."""
    LogCopy(folder, NAME, "store1").append(entries()[:3])
    damaged = (tmp_path / NAME).read_bytes().replace(b"Flore", b"Flora")
    (tmp_path / NAME).write_bytes(damaged)

    with pytest.raises(Diverged, match="last line is damaged"):
        LogCopy(folder, NAME, "store1")
    assert (tmp_path / NAME).read_bytes() == damaged


def tails(chance: random.Random, line: bytes) -> Iterator[bytes]:
    """What a power cut may leave where data was to be, and longer than any line may be."""
    size = chance.choice([1, chance.randrange(1, 5000), MAX_LINE - 1, MAX_LINE, MAX_LINE + 1, chance.randrange(3 * MAX_LINE)])
    half = line[: chance.randrange(1, len(line) - 1)]
    yield bytes(size)
    yield half
    yield half + bytes(size)
    yield chance.randbytes(size)
    yield chance.randbytes(size) + b"\n"
    yield chance.randbytes(size).replace(b"\n", b" ")
    yield bytes(size) + b"\n" + half
    yield line.replace(b"{", bytes(1)) + bytes(size)
    yield chance.choice([b"\n", b"{}\n", b"null\n", b"[[[[\n"]) * chance.randrange(1, 2000)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_a_power_cut_leaves_at_the_end_is_cut_back_to_the_last_entry(
    folder: Folder, tmp_path: Path, seed: int
) -> None:
    LogCopy(folder, NAME, "store1").append(entries())
    whole = (tmp_path / NAME).read_bytes()
    header, *lines = whole.splitlines(keepends=True)
    chance = random.Random(seed)  # noqa: S311  # a fixed seed is the point
    for tail in tails(chance, lines[1]):
        stays = chance.randrange(len(lines) + 1)
        (tmp_path / NAME).write_bytes(header + b"".join(lines[:stays]) + tail)
        with capture_logs() as logs:
            copy = LogCopy(folder, NAME, "store1")

        assert copy.sequence == stays
        assert [(line["event"], line["bytes"], line["after_entry"]) for line in logs] == [
            ("recorder.copy_cut", len(tail), stays)
        ]
        copy.append(entries())
        assert (tmp_path / NAME).read_bytes() == whole


@pytest.mark.parametrize("seed", range(12))
def test_zeros_over_the_end_of_what_was_written_are_cut_off(folder: Folder, tmp_path: Path, seed: int) -> None:
    """A file as long as it should be, of which the last blocks never came to the disk."""
    LogCopy(folder, NAME, "store1").append(entries())
    whole = (tmp_path / NAME).read_bytes()
    chance = random.Random(seed)  # noqa: S311  # a fixed seed is the point
    for _ in range(10):
        begin = chance.randrange(whole.index(b"\n") + 1, len(whole))
        (tmp_path / NAME).write_bytes(whole[:begin] + bytes(len(whole) - begin))
        copy = LogCopy(folder, NAME, "store1")

        assert copy.sequence == whole[:begin].count(b"\n") - 1
        copy.append(entries())
        assert (tmp_path / NAME).read_bytes() == whole


@pytest.mark.parametrize("size", [1, MAX_LINE - 1, MAX_LINE, 3 * MAX_LINE + 1])
def test_a_file_of_zeros_is_begun_anew(folder: Folder, tmp_path: Path, size: int) -> None:
    (tmp_path / NAME).write_bytes(bytes(size))
    LogCopy(folder, NAME, "store1").append(entries())
    assert kept(folder) == entries()


def test_a_stretch_without_a_lines_end_is_damage_once_and_none_at_the_end(folder: Folder, tmp_path: Path) -> None:
    LogCopy(folder, NAME, "store1").append(entries())
    whole = (tmp_path / NAME).read_bytes()
    middle = whole.index(b"\n", len(whole) // 2) + 1
    (tmp_path / NAME).write_bytes(whole[:middle] + bytes(3 * MAX_LINE) + whole[middle:] + bytes(3 * MAX_LINE))

    lines = list(log_copy.read(folder, NAME, folder.size(NAME)))
    assert [line.complete for line in lines if line.stored is None] == [True, True, False]  # and the line that follows on it
    lost = whole[:middle].count(b"\n") - 1
    assert kept(folder) == entries()[:lost] + entries()[lost + 2 :]
