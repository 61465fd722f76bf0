"""Sends lies at an even pace, as each of some producers with its own key, and says how many of each kind.

    python -m tests.faults.fuzz_bus.sender HOST PORT KEYS MESSAGES RATE SEED PROVIDER…

It makes them all first, says "ready", and begins once a line comes on its standard input; so its own work costs little then.
"""

import base64
import json
import select
import socket
import sys
import time
from collections import Counter
from itertools import cycle
from pathlib import Path

from shared import nkey
from tests.faults.fuzz_bus.messages import Liar, line

BEAT_SECONDS = 0.01
"""Between two handfuls."""


class Connection:
    """A connection to the server in one role, which takes no notice of what it is told."""

    def __init__(self, host: str, port: int, seed: Path) -> None:
        self._socket = socket.create_connection((host, port))
        self._socket.settimeout(60)
        info = json.loads(self._until(b"\r\n").partition(b" ")[2])
        signature = base64.urlsafe_b64encode(nkey.read_seed(str(seed)).sign(info["nonce"].encode())).rstrip(b"=").decode()
        about = {"verbose": False, "pedantic": False, "lang": "x", "version": "1", "protocol": 1, "headers": True}
        connect = about | {"no_responders": False, "nkey": nkey.public_of(str(seed)), "sig": signature}
        self._socket.sendall(b"CONNECT " + json.dumps(connect).encode() + b"\r\nPING\r\n")
        told = self._until(b"\r\n")
        if not told.startswith(b"PONG"):
            raise SystemExit(f"not let in: {told!r}")

    def _until(self, mark: bytes) -> bytes:
        found = b""
        while mark not in found:
            found += self._socket.recv(4096)
        return found

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)
        while select.select([self._socket], [], [], 0)[0]:
            told = self._socket.recv(65536)
            if not told:
                raise SystemExit("the server closed the connection")
            if b"PING\r\n" in told:
                self._socket.sendall(b"PONG\r\n")

    def flush(self) -> None:
        """Return once the server has read all there was."""
        self._socket.sendall(b"PING\r\n")
        while b"PONG\r\n" not in self._until(b"\r\n"):
            pass


def main() -> None:
    host, port, keys, messages, rate, seed, *providers = sys.argv[1:]
    kinds: Counter[str] = Counter()
    lines: list[tuple[str, bytes]] = []
    liars = {provider: Liar(provider, int(seed)).lies() for provider in providers}
    for provider, _ in zip(cycle(providers), range(int(messages)), strict=False):
        kind, subject, payload, reply, headers = next(liars[provider])
        kinds[kind] += 1
        lines.append((provider, line(subject, payload, reply, headers)))
    connections = {p: Connection(host, int(port), Path(keys) / f"producer-{p}.nk") for p in providers}
    print("ready", flush=True)  # noqa: T201  # to whoever started it
    sys.stdin.readline()
    began, sent = time.monotonic(), 0
    while sent < len(lines):
        due = min(len(lines), int((time.monotonic() - began) * int(rate)) + 1)
        for provider in providers:
            data = b"".join(data for owner, data in lines[sent:due] if owner == provider)
            if data:
                connections[provider].send(data)
        sent = max(sent, due)
        time.sleep(BEAT_SECONDS)
    for connection in connections.values():
        connection.flush()
    print(json.dumps({"kinds": kinds, "seconds": time.monotonic() - began}), flush=True)  # noqa: T201  # as above


if __name__ == "__main__":
    main()
