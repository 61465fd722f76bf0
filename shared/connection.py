"""The connection to NATS: opened, watched, and closed."""

import asyncio
import contextlib
import dataclasses
import re
import ssl
from dataclasses import dataclass

import nats.errors
import structlog
from nats.aio.client import Client

from shared import metrics, nkey, roles, waits
from shared.bus_errors import Denied
from shared.signatures import Signer, Verifier

CREDENTIALS = re.compile(r"(^|,|//)[^/,]*@")
"""User and password of each address, up to its last @: they reach no log."""

log = structlog.get_logger()


MAX_DENIED = 1000
"""Refused subjects that are remembered: we have fewer kinds, but some end in names of runs."""

REFUSED = re.compile(r'permissions violation for (publish|subscription) to "([^"]+)"')
"""What the server says of what a role may not do; the client passes it on in small letters."""

LINE_SIGNS, HEADERS_SIGNS = len(": \r\n"), len("NATS/1.0\r\n\r\n")
"""Bytes of a header besides name and value, and of a message's headers besides these."""

NOT_LET_IN = re.compile(r"authorization violation|authentication (timeout|expired|revoked)", re.IGNORECASE)
"""What the server says to who has no key that it knows."""


@dataclass(frozen=True, slots=True)
class Access:
    """How one gets in, and whom one believes. All are files, and empty on a NATS without keys."""

    role: str = ""
    """By default the name of the connection. See `shared.roles`."""
    nkey: str = ""
    """The role's seed."""
    ca: str = ""
    """The authority that signed the server's certificate; TLS is then spoken from the first byte."""
    orchestrator_key: str = ""
    """The orchestrator's public key, for who takes its orders."""
    patient: bool = True
    """Whether who is not let in tries again until it is; else Denied is raised, for a person who waits for an answer."""

    def refused(self) -> str:
        """What is wrong with the key, and what to set, for who is not let in."""
        found = f"does not take the key in {self.nkey!r}" if self.nkey else "asks for a key"
        return (
            f"this NATS {found}: set NATS_NKEY to the file with the key of the role {self.role} (var/keys/{self.role}.nk of a "
            f"stack; make keys makes it), or NATS_KEYS to the folder of all keys when a whole stack is started"
        )


class Denials(set[str]):
    """Subjects that the server did not let us publish on, in small letters."""

    all = False
    """Whether we may not hear answers: whatever we ask is as good as denied."""

    def __contains__(self, subject: object) -> bool:
        return self.all or super().__contains__(subject)


class BusClient(Client):
    """The NATS client, with what it was refused and whom it believes."""

    def __init__(self, access: Access) -> None:
        super().__init__()
        self.denied = Denials()
        self.verifier = Verifier(access.orchestrator_key)
        self.signer = Signer(access.nkey) if access.nkey and access.role == roles.ORCHESTRATOR else None

    @staticmethod
    def _parse_header_lines(raw: bytes) -> dict[str, str]:
        """As the client's own, without asking of each character of each name whether it is a space: twice as many a second."""
        parts = (line.partition(":") for line in raw.decode(errors="replace").split("\r\n"))
        return {name.strip(): value.strip() for name, colon, value in parts if colon}

    async def publish(self, subject: str, payload: bytes = b"", reply: str = "", headers: dict[str, str] | None = None) -> None:
        """As the client's own, which counts the payload alone: who sends too much with the headers is disconnected for it."""
        lines = sum(len(name) + len(value.encode()) + LINE_SIGNS for name, value in (headers or {}).items())
        if headers and len(payload) + HEADERS_SIGNS + lines > self.max_payload:
            raise nats.errors.MaxPayloadError
        await super().publish(subject, payload, reply, headers)

    async def flush(self, timeout: int = 10) -> None:
        """Return when the server has all that was sent so far.

        The client's own question overtakes what is still in its buffer, such as a subscription. Asked twice, the second comes
        after it.
        """
        await super().flush(timeout)
        await super().flush(timeout)

    def give_up_waiting(self) -> None:
        """Fail what waits for an answer: over a connection that broke none comes, and each would wait its whole time."""
        for waiting in list(self._resp_map.values()):
            if not waiting.done():
                waiting.set_exception(nats.errors.ConnectionReconnectingError())


class _Events:
    """Says in the log what befalls a connection."""

    def __init__(self, client: BusClient, url: str, access: Access, closed: asyncio.Event) -> None:
        self._client = client
        self._url = _without_credentials(url)
        self._access = access
        self._closed = closed
        self._waiting = False
        self._turned_away = False
        self.let_in = False
        """Whether it was connected once: who was goes on trying, since a key may be changed under it."""

    async def on_error(self, error: Exception) -> None:
        reason = str(error) or type(error).__name__
        if refused := REFUSED.search(reason):
            self._denied(*refused.groups())
        elif NOT_LET_IN.search(reason):
            self._not_let_in(reason)
        elif self._client.is_connected:
            log.warning("bus.error", error=reason)
        elif not self._waiting and not self._client.is_reconnecting:
            self._waiting = True  # say it once, not at every attempt
            hint = "start NATS or set NATS_URL; trying again until it answers"
            log.warning("bus.waiting", url=self._url, reason=reason, hint=hint)

    def _not_let_in(self, reason: str) -> None:
        if not self._access.patient and not self.let_in:
            raise Denied(self._access.refused())
        if not self._turned_away:
            self._turned_away = True  # say it once, not at every attempt
            hint = f"{self._access.refused()}; trying again until it is taken"
            log.warning("bus.waiting", url=self._url, reason=reason, hint=hint)

    def _denied(self, action: str, subject: str) -> None:
        if action == "publish" and len(self._client.denied) < MAX_DENIED:
            self._client.denied.add(subject)
        if action == "subscription" and subject.startswith(roles.inbox(self._access.role).lower()):
            self._client.denied.all = True  # the key is of another role
        role, hint = self._access.role, "see deploy/nats/permissions.conf"
        log.error("bus.denied", action=action, subject=subject, role=role, reason="permissions violation", hint=hint)

    async def on_closed(self) -> None:
        self._closed.set()

    async def on_disconnected(self) -> None:
        self._client.give_up_waiting()
        if not self._client.is_closed:
            log.warning("bus.disconnected", url=self._url)

    async def on_reconnected(self) -> None:
        self._turned_away = False
        metrics.RECONNECTS.add()
        log.info("bus.reconnected", url=self._url)


async def open_client(url: str, name: str, closed: asyncio.Event, access: Access) -> BusClient:
    """Connect to NATS, waiting for as long as it takes and saying so once; `closed` is set when it is lost for good.

    Exits with one sentence when a key file cannot be used, or `url` is no address. Raises Denied when a key is not taken and
    `access` is not patient.
    """
    access = dataclasses.replace(access, role=access.role or name)
    if access.nkey:
        nkey.check(access.nkey)
    trusted = _trust(access.ca) if access.ca else None
    client = BusClient(access)
    events = _Events(client, url, access, closed)
    try:
        await client.connect(
            [server.strip() for server in url.split(",")],
            name=name,
            inbox_prefix=roles.inbox(access.role),
            nkeys_seed=access.nkey or None,
            tls=trusted,
            tls_handshake_first=bool(access.ca),
            connect_timeout=2,
            max_reconnect_attempts=-1,
            reconnect_time_wait=waits.RECONNECT_SECONDS,  # type: ignore[arg-type]  # annotated int, used as any number of seconds
            ping_interval=10,
            max_outstanding_pings=2,
            error_cb=events.on_error,
            closed_cb=events.on_closed,
            disconnected_cb=events.on_disconnected,
            reconnected_cb=events.on_reconnected,
        )
    except nats.errors.Error as error:  # what the network or the server says is tried again, and never arrives here
        raise SystemExit(f"NATS_URL is {_without_credentials(url)!r}, which is no address of a NATS: {error}.") from error
    except BaseException:  # told to stop meanwhile: the half-made connection would stay open for ever
        await close_client(client)
        raise
    events.let_in = True
    return client


def _without_credentials(url: str) -> str:
    return CREDENTIALS.sub(r"\1…@", url)


def _trust(ca: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise SystemExit(f"The certificate file {ca!r} cannot be used: {error.strerror or error}. NATS_CA names it.") from error


async def close_client(client: Client) -> None:
    """Send what is buffered and close the connection.

    Not the client's `drain`: it waits for ever on a subscription whose reader was cancelled.
    """
    with contextlib.suppress(nats.errors.Error, TimeoutError):
        if client.is_connected:
            await client.flush(timeout=2)
    # In a task of its own: when the server has just been killed, what the client waits for is cancelled, and not we are.
    closing = asyncio.ensure_future(client.close())
    await asyncio.wait({closing}, timeout=2)
    closing.cancel()
    # With a bound: the client loses a cancellation that meets one of its own waits, and a service would never end.
    await asyncio.wait({closing}, timeout=1)
    closing.add_done_callback(lambda done: done.cancelled() or done.exception())  # a failure to close is nobody's loss
