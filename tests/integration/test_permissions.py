"""Each cell of the table in `deploy/nats/README.md`, tried on a real server with the real configuration."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from nats.aio.client import Client

from services.launcher.folder import PROJECT
from shared import roles
from shared.providers import PROVIDERS
from tests.integration.secured_server import SecuredServer

README = PROJECT / "deploy" / "nats" / "README.md"

PRODUCER = "producer-<provider>"

ROW = re.compile(r"^\| `([^`]+)` \|(.*)\|$")


def table() -> tuple[list[str], dict[str, list[str]]]:
    """The columns, one a role, and by subject what each role may: `w`rite, `r`ead, both, or nothing."""
    lines = README.read_text().splitlines()
    head = next(number for number, line in enumerate(lines) if line.startswith("| subject |"))
    rows = [found for line in lines[head:] if (found := ROW.match(line))]
    names = [cell.strip() for cell in lines[head].strip("|").split("|")[1:]]
    return names, {row[1]: [cell.strip() for cell in row[2].split("|")] for row in rows}


def concrete(subject: str, role: str) -> str:
    """A subject of this row, as one who plays `role` would try it."""
    own = role.removeprefix("producer-") if role.startswith("producer-") else "random"
    other = next(provider for provider in PROVIDERS if provider != own)
    another_role = roles.GATEWAY if role != roles.GATEWAY else roles.RECORDER
    known = {"<provider>": own, "<other>": other, "<role>": role, "<another>": another_role}
    for placeholder, value in known.items():
        subject = subject.replace(placeholder, value)
    return re.sub(r"<[a-z ]+>", "x1", subject)


class Probe:
    """A bare client in one role that notes what it is refused."""

    def __init__(self) -> None:
        self.client = Client()
        self.refused: list[str] = []

    async def connect(self, server: SecuredServer, role: str) -> None:
        async def on_error(error: Exception) -> None:
            self.refused.append(str(error))

        seed = server.access(role).nkey
        await self.client.connect(server.url, nkeys_seed=seed, inbox_prefix=roles.inbox(role), error_cb=on_error)

    async def may_write(self, subject: str) -> bool:
        return await self._allowed(subject, "publish")

    async def may_read(self, subject: str) -> bool:
        return await self._allowed(subject, "subscription")

    async def _allowed(self, subject: str, action: str) -> bool:
        self.refused.clear()
        if action == "publish":
            await self.client.publish(subject, b"?")
            await self._answered()
        else:
            subscription = await self.client.subscribe(subject)
            await self._answered()
            await subscription.unsubscribe()
        expected = f'permissions violation for {action} to "{subject.lower()}"'
        assert all(expected in text for text in self.refused), self.refused
        return not self.refused

    async def _answered(self) -> None:
        """Wait for what the server has to say. Twice: the client may send its ping before what it has buffered."""
        for _ in range(2):
            await self.client.flush()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredServer]:
    """Without streams, so that nothing is lost by those who may delete them."""
    it = SecuredServer(tmp_path_factory.mktemp("secured"))
    it.start()
    yield it
    it.stop()


@pytest.mark.parametrize("role", roles.ROLES)
async def test_each_role_may_do_what_the_table_says_and_nothing_else(server: SecuredServer, role: str) -> None:
    names, rows = table()
    column = names.index(PRODUCER if role.startswith("producer-") else role)
    probe = Probe()
    await probe.connect(server, role)
    found: dict[str, str] = {}
    try:
        for row in rows:
            subject = concrete(row, role)
            found[row] = ("r" if await probe.may_read(subject) else "") + ("w" if await probe.may_write(subject) else "")
        everything = await probe.may_read(">")
    finally:
        await probe.client.close()

    assert found == {row: cells[column] for row, cells in rows.items()}
    assert not everything


def test_the_table_names_every_role_and_enough_subjects() -> None:
    names, rows = table()

    assert {*names} == {PRODUCER} | {role for role in roles.ROLES if not role.startswith("producer-")}
    assert all(len(cells) == len(names) for cells in rows.values())
    assert 2 * len(names) * len(rows) >= 500


def test_the_producers_differ_in_nothing_but_their_provider() -> None:
    text = (PROJECT / "deploy" / "nats" / "permissions.conf").read_text()
    blocks = {provider: _block(text, provider) for provider in PROVIDERS}

    assert len(set(blocks.values())) == 1


def _block(text: str, provider: str) -> str:
    start = text.index(f"nkey: $NKEY_PRODUCER_{provider.upper()}")
    block = text[start : text.index("        }\n", start)]
    return block.replace(provider.upper(), "").replace(provider, "")


def test_no_key_is_under_version_control() -> None:
    assert "var/" in (PROJECT / ".gitignore").read_text().splitlines()
    assert not [*Path(PROJECT / "deploy").rglob("*.nk")]
