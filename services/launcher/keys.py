"""The keys of a stack: one seed a role, and one file of public keys for the server."""

import os
import shutil
import stat
from pathlib import Path

from services.launcher.errors import StartError
from services.launcher.folder import PROJECT
from shared import nkey
from shared.bus import Access
from shared.roles import ORCHESTRATOR, ROLES

CONFIG = PROJECT / "deploy" / "nats"

SECURED = "secured.conf"
"""What the server is started with."""
PUBLIC = "public.conf"
"""Read by `permissions.conf`."""


def seed(folder: Path, role: str) -> Path:
    """Where a role's seed is."""
    return folder / f"{role}.nk"


def orchestrator_key(folder: Path) -> Path:
    """Where the key is by which the orchestrator's orders are known."""
    return folder / f"{ORCHESTRATOR}.pub"


def access(folder: Path | None, role: str, ca: str = "") -> Access:
    """How a role gets in with the keys of a folder; with None as on a NATS without keys."""
    return Access(role, str(seed(folder, role)), ca, str(orchestrator_key(folder))) if folder else Access(role, ca=ca)


def variables(folder: Path, role: str) -> dict[str, str]:
    """What a service of this role is started with: its own key, and no other."""
    return {"NATS_NKEY": str(seed(folder, role)), "ORCHESTRATOR_KEY": str(orchestrator_key(folder))}


def make(folder: Path, rotate: str = "") -> list[str]:
    """Make the keys that are not there, and one role's anew; returns the roles whose keys were made.

    Raises StartError when there is no such role, a key is open to others, or the folder cannot be written.
    """
    if rotate and rotate not in ROLES:
        raise StartError(f"There is no role {rotate!r}; choose from {', '.join(ROLES)}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        made = [role for role in ROLES if role == rotate or not seed(folder, role).exists()]
        for role in made:
            _write(seed(folder, role), _new_seed(), 0o600)
        public = {role: nkey.public_of(str(seed(folder, role))) for role in ROLES}
        lines = "".join(f'NKEY_{role.upper().replace("-", "_")}: "{key}"\n' for role, key in public.items())
        _write(folder / PUBLIC, f"# Written by `make keys`.\n{lines}".encode(), 0o644)
        _write(orchestrator_key(folder), f"{public[ORCHESTRATOR]}\n".encode(), 0o644)
    except (OSError, SystemExit) as error:
        raise StartError(f"No keys in {folder}: {error}") from error
    return made


def assemble(folder: Path, into: Path) -> Path:
    """Put what the server reads into one folder, since it finds its files only beside each other; returns the first to read."""
    into.mkdir(parents=True, exist_ok=True)
    for file in (*CONFIG.glob("*.conf"), folder / PUBLIC):
        shutil.copyfile(file, into / file.name)
    return into / SECURED


def _new_seed() -> bytes:
    import nkeys  # type: ignore[import-untyped]  # it has no types

    return bytes(nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)) + b"\n"


def _write(path: Path, content: bytes, mode: int) -> None:
    """Never a moment in which the file is there with less, or open to more, than it shall be."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode), "wb") as file:
        os.fchmod(file.fileno(), stat.S_IMODE(mode))  # whatever the umask
        file.write(content)
        os.fsync(file.fileno())
    temporary.replace(path)
