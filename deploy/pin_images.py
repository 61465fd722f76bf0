#!/usr/bin/env python3
"""Adds to the images in deploy/images/images.env the digests that their tags stand for now, as their registries say.

    deploy/pin_images.py                                               asks anew, also where there is a digest already
    NATS_IMAGE=mirror.example/nats:2.15-alpine deploy/pin_images.py    takes this image from now on

A tag may be moved to another image at any time, a digest is the image. All are written, or none. It needs Python 3.11 and
nothing else; a registry that wants a password is not asked.
"""

import json
import os
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
from email.message import Message
from pathlib import Path
from typing import NamedTuple

FILE = Path(__file__).parent / "images" / "images.env"

PINNED = ("NATS_IMAGE", "PYTHON_IMAGE")

DOCKER_HUB = "registry-1.docker.io"
"""Where an image is whose name names no registry."""

TIMEOUT_SECONDS = 30.0
"""For each question: a registry answers it within a second."""

MAX_TOKEN_BYTES = 64 * 1024
"""Of an answer that holds a token: 3 KB at Docker Hub."""

MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",  # those of many platforms first: their digest holds on each
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)

IMAGE = re.compile(r"(?P<name>[a-zA-Z0-9][a-zA-Z0-9.:/_-]*?):(?P<tag>[\w][\w.-]{0,127})(@sha256:[0-9a-f]{64})?", re.ASCII)

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


class PinError(Exception):
    """Raised when a digest is not to be had; the text says of what, and why."""


class Image(NamedTuple):
    """An image by name and tag, and where it is asked for."""

    name: str
    tag: str
    registry: str
    repository: str


def parse(text: str) -> Image:
    """Read `[registry/]repository:tag`, with or without a digest. Raises PinError when it is none, or its tag is latest."""
    found = IMAGE.fullmatch(text)
    if not found or found["tag"] == "latest":
        raise PinError(f"{text!r} is no image with a tag of its own, such as nats:2.15-alpine")
    first, slash, rest = found["name"].partition("/")
    if not slash or not (first == "localhost" or "." in first or ":" in first):
        first, rest = DOCKER_HUB, found["name"] if slash else f"library/{found['name']}"
    if first == "docker.io":
        first, rest = DOCKER_HUB, rest if "/" in rest else f"library/{rest}"
    return Image(found["name"], found["tag"], first, rest)


def digest(image: Image) -> str:
    """What the tag stands for, by the registry. Raises PinError."""
    url = f"{base(image.registry)}/v2/{image.repository}/manifests/{image.tag}"
    headers = {"Accept": ", ".join(MANIFESTS)}
    try:
        try:
            answer = head(url, headers)
        except urllib.error.HTTPError as error:
            if error.code != 401:
                raise
            answer = head(url, {**headers, "Authorization": f"Bearer {token(error.headers.get('WWW-Authenticate', ''))}"})
    except urllib.error.HTTPError as error:
        raise PinError(
            f"{image.registry} does not give {image.name}:{image.tag}: it answers {error.code} {error.reason}"
        ) from error
    except OSError as error:  # no network, no such name, no trust in its certificate, no answer in time
        reason = getattr(error, "reason", error)
        raise PinError(f"{image.registry} cannot be asked for {image.name}:{image.tag}: {reason}") from error
    found = answer.get("Docker-Content-Digest", "")
    if not DIGEST.fullmatch(found):
        raise PinError(f"{image.registry} gives no digest of {image.name}:{image.tag}")
    return found


def base(registry: str) -> str:
    """Its address: by TLS, unless it is on this machine, as Docker has it."""
    host = urllib.parse.urlsplit(f"//{registry}").hostname or ""
    return f"{'http' if host == 'localhost' or host.startswith('127.') else 'https'}://{registry}"


def head(url: str, headers: dict[str, str]) -> Message:
    request = urllib.request.Request(url, headers=headers, method="HEAD")  # noqa: S310  # `base` gave the scheme
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310  # as above
        found: Message = answer.headers
        return found


def token(challenge: str) -> str:
    """What anybody is given who asks where the registry says. Raises PinError when it wants a password, and OSError."""
    scheme, _, rest = challenge.partition(" ")
    asked = dict(CHALLENGE.findall(rest))
    realm = urllib.parse.urlsplit(asked.pop("realm", ""))
    if scheme.lower() != "bearer" or f"{realm.scheme}://{realm.netloc}" != base(realm.netloc):
        raise PinError("The registry wants a password: pull the image yourself, and write its digest down by hand")
    url = urllib.parse.urlunsplit(realm._replace(query=urllib.parse.urlencode(asked)))
    with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310  # https, or this machine: see above
        try:
            found = json.loads(answer.read(MAX_TOKEN_BYTES))
            return str(found.get("token") or found["access_token"])
        except (ValueError, KeyError, AttributeError) as error:
            raise PinError(f"{realm.netloc} gives no token") from error


def pin(file: Path) -> list[str]:
    """Write the digests into the file; returns its lines with an image. Raises PinError and OSError before it writes."""
    lines = file.read_text().splitlines()
    pinned = []
    for number, line in enumerate(lines):
        name, _, value = line.partition("=")
        if name in PINNED:
            image = parse(os.environ.get(name) or value)
            lines[number] = f"{name}={image.name}:{image.tag}@{digest(image)}"
            pinned.append(lines[number])
    temporary = file.with_name(f".{file.name}.new")
    temporary.write_text("\n".join(lines) + "\n")
    temporary.replace(file)
    return pinned


def main() -> int:
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else FILE
    try:
        sys.stdout.write("".join(f"{line}\n" for line in pin(file)))
    except (PinError, OSError) as error:
        sys.stderr.write(f"{error}. {file} stays as it is.\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
