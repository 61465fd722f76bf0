"""Key files: seeds that nobody else may read, and public keys (NATS nkeys: Ed25519 in base32 with a prefix and a checksum)."""

import base64
import os
import stat
from pathlib import Path
from typing import Any

PUBLIC_LENGTH = 32


def check(path: str) -> None:
    """Exit with one sentence when a seed cannot be read, is none, or is open to others than its owner. Never quotes it."""
    read_seed(path)


def read_seed(path: str) -> Any:
    """The key pair of a seed file. Exits like `check`."""
    import nkeys  # type: ignore[import-untyped]  # it has no types

    file = Path(path)
    try:
        about = file.stat()
        # A container's secret may be root's, with the service's group to read it: the service could not change that.
        loose = stat.S_IMODE(about.st_mode) & (0o077 if about.st_uid == os.geteuid() else 0o037)
        seed = bytearray(file.read_bytes().strip())
    except OSError as error:
        raise SystemExit(
            f"The key file {path!r} cannot be read: {error.strerror}. NATS_NKEY names it; make keys makes it."
        ) from error
    if loose:
        raise SystemExit(f"The key file {path!r} is open to others: make it private with chmod 600.")
    try:
        pair = nkeys.from_seed(seed)
        pair.public_key  # noqa: B018  # computed when asked for, and only then checked
    except Exception:  # the library raises many kinds, and some quote the seed
        raise SystemExit(f"The key file {path!r} holds no seed of an nkey.") from None
    return pair


def public_of(path: str) -> str:
    """The public key of a seed file."""
    return bytes(read_seed(path).public_key).decode()


def read_public(path: str) -> bytes:
    """The 32 bytes of a public key in a file. Exits with one sentence when there is none."""
    try:
        raw = base64.b32decode(Path(path).read_text().strip())
    except (OSError, ValueError) as error:
        raise SystemExit(
            f"The public key in {path!r} cannot be read: {type(error).__name__}. ORCHESTRATOR_KEY names it."
        ) from error
    if len(raw) != 1 + PUBLIC_LENGTH + 2:  # prefix, key, checksum
        raise SystemExit(f"The file {path!r} holds no public key.")
    return raw[1 : 1 + PUBLIC_LENGTH]
