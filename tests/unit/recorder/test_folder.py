"""Names that no topic can lead astray, and files that are whole or not there."""

import os
import re
from pathlib import Path

import pytest

from services.recorder.folder import SLUG_CHARACTERS, Folder, slug

HOSTILE = [
    "../../etc/x",
    "/etc/passwd",
    "..",
    ".",
    "",
    "a\0b",
    "CON",
    "x" * 300,
    "~",
    "~root/.ssh",
    "%2e%2e%2f",
    "..\\..\\windows",
    "$(touch x)",
    "`id`",
    "-rf",
    "\N{RIGHT-TO-LEFT OVERRIDE}txt.exe",
    "\N{FULLWIDTH FULL STOP}\N{FULLWIDTH FULL STOP}\N{FULLWIDTH SOLIDUS}etc",
    "a\nb",
    "🗼",
    "東京の名所",
    ".hidden",
]


@pytest.mark.parametrize("topic", HOSTILE)
def test_no_topic_makes_a_name_that_leads_elsewhere(topic: str) -> None:
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", slug(topic))
    assert len(slug(topic)) <= SLUG_CHARACTERS


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        ("Paris attractions", "paris-attractions"),
        ("Crème brûlée & Straße", "creme-brulee-strasse"),
        ("東京", "topic"),
        ("  --  ", "topic"),
        ("a" * 39 + " bcd", "a" * 39),
    ],
)
def test_a_slug_reads_like_its_topic(topic: str, expected: str) -> None:
    assert slug(topic) == expected


def test_a_replaced_file_is_new_and_leaves_no_other(tmp_path: Path) -> None:
    folder = Folder.at(tmp_path)
    (tmp_path / ".a.json.tmp").write_text("left by a crash")

    folder.replace("a.json", [b"one", b"two"])
    folder.replace("a.json", [b"three"])

    assert (tmp_path / "a.json").read_bytes() == b"three"
    assert folder.names() == {"a.json"}
    folder.close()


def test_replacing_a_link_leaves_what_it_points_to(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("precious")
    folder = Folder.at(tmp_path / "in")
    for name in ("a.json", ".a.json.tmp"):
        (tmp_path / "in" / name).symlink_to(outside)

    folder.replace("a.json", [b"new"])

    assert outside.read_text() == "precious"
    assert (tmp_path / "in" / "a.json").read_bytes() == b"new"
    folder.close()


def test_a_link_is_never_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("precious")
    folder = Folder.at(tmp_path / "in")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "outside")
    (tmp_path / "in" / "file").symlink_to(tmp_path / "outside" / "file")

    with pytest.raises(OSError, match="link"):
        folder.subfolder("link")
    with pytest.raises(OSError, match="Too many levels"):
        folder.open("file", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    with pytest.raises(OSError, match="not a regular file"):
        folder.size("file")
    folder.close()


def test_a_lock_keeps_another_holder_out_until_it_is_closed(tmp_path: Path) -> None:
    first, second = Folder.at(tmp_path), Folder.at(tmp_path)

    assert first.lock()
    assert not second.lock()
    first.close()
    assert second.lock()
    second.close()
