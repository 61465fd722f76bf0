"""TLS from the first byte, with a certificate that `deploy/certificates` made."""

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.launcher.folder import PROJECT
from shared import roles
from shared.bus import connect
from tests.integration.secured_server import SecuredServer

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


def make_certificate(folder: Path) -> None:
    subprocess.run([str(PROJECT / "deploy" / "certificates"), str(folder)], check=True, capture_output=True)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SecuredServer]:
    make_certificate(tmp_path)
    files = f'cert_file: "{tmp_path}/certificates/server.pem"\n key_file: "{tmp_path}/certificates/server-key.pem"'
    it = SecuredServer(tmp_path, f"tls {{\n {files}\n handshake_first: true\n}}\n")
    it.start()
    yield it
    it.stop()


async def test_a_role_gets_in_by_tls_and_knows_the_server(server: SecuredServer, tmp_path: Path) -> None:
    access = server.access(roles.PROVISION, str(tmp_path / "certificates" / "ca.pem"))
    async with asyncio.timeout(10):
        bus = await connect(server.url, roles.PROVISION, access)
    try:
        await bus.provision()
        assert (await bus.head("RESULTS")).last == 0
    finally:
        await bus.close()


async def test_nobody_gets_in_without_tls(server: SecuredServer) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(connect(server.url, roles.PROVISION, server.access(roles.PROVISION)), 1)


async def test_a_server_with_another_certificate_is_not_believed(server: SecuredServer, tmp_path: Path) -> None:
    (tmp_path / "another").mkdir()
    make_certificate(tmp_path / "another")
    access = server.access(roles.PROVISION, str(tmp_path / "another" / "certificates" / "ca.pem"))

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(connect(server.url, roles.PROVISION, access), 1)


async def test_an_authority_that_cannot_be_read_is_told_in_one_line(server: SecuredServer, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"nowhere\.pem.*NATS_CA"):
        await connect(server.url, roles.PROVISION, server.access(roles.PROVISION, str(tmp_path / "nowhere.pem")))
