"""What makes faults of the disk, and enters what came of them."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.figures import PROPERTY


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Enter a figure: what was done, and what came of it."""

    def enter(what: str, came: str) -> None:
        request.node.user_properties.append((PROPERTY, (what, came)))

    return enter


@pytest.fixture
def mounts() -> Iterator[Callable[..., Path]]:
    """Mounts file systems, and unmounts them in the end. Skips where that is not allowed, unless REQUIRE_FAULTS is set."""
    mounted: list[Path] = []

    def mount(at: Path, *arguments: str) -> Path:
        at.mkdir(parents=True, exist_ok=True)
        tried = subprocess.run(["mount", *arguments, str(at)], capture_output=True, text=True, check=False)  # noqa: S607  # the system's
        if tried.returncode:
            unavailable(f"mount {' '.join(arguments)}: {tried.stderr.strip()}")
        mounted.append(at)
        return at

    yield mount
    for at in reversed(mounted):
        subprocess.run(["umount", "--lazy", str(at)], check=False)  # noqa: S607  # the system's


@pytest.fixture
def tool() -> Callable[[str], str]:
    """Finds a program of the system; skips where it is not installed, unless REQUIRE_FAULTS is set."""

    def find(name: str) -> str:
        found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
        if not found:
            unavailable(f"{name} is not installed")
        return found or ""

    return find


def unavailable(reason: str) -> None:
    """This machine cannot make the fault."""
    if os.environ.get("REQUIRE_FAULTS"):
        pytest.fail(reason)
    pytest.skip(reason)
