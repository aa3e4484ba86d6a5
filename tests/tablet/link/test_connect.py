"""Links as the preferences say: encrypted for the server that a certificate vouches for, and for no other."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from grpclib.server import Server

from tablet_client.link.connect import CertificateError, NoLink, connect, trusting
from tablet_client.link.grpc_link import GrpcLink
from tablet_client.link.port import Link, LinkError
from tablet_client.state.places import machine_authority
from tablet_client.state.preferences import Preferences
from tests.tablet.link.grpc_services import MESSAGE, Volumes

HERE = Path(__file__).parent / "certificates"


@pytest_asyncio.fixture
async def address() -> AsyncIterator[str]:
    """Services that speak TLS alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(HERE / "server.pem")
    context.set_alpn_protocols(["h2"])
    server = Server([Volumes()])
    await server.start("0.0.0.0", 0, ssl=context)
    port = server._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    yield f"127.0.0.1:{port}"
    server.close()
    await server.wait_closed()


async def test_the_server_that_the_certificate_vouches_for_is_trusted(address: str) -> None:
    link = connect(Preferences(address, str(HERE / "ca.pem")))
    assert await link.list_volumes() == [MESSAGE]
    link.close()


@pytest.mark.parametrize(("authority", "name"), [("other.pem", "127.0.0.1"), ("ca.pem", "127.0.0.2")])
async def test_no_other_is(address: str, authority: str, name: str) -> None:
    """One for whom a foreign authority would have to vouch, and one under another name than was certified."""
    link = connect(Preferences(address.replace("127.0.0.1", name), str(HERE / authority)))
    with pytest.raises(LinkError) as refused:
        await link.list_volumes()
    assert (refused.value.reason, refused.value.retry) == ("SERVER_NOT_TRUSTED", True)
    link.close()


async def refusal(link: Link) -> str:
    """Why a link is of no use."""
    with pytest.raises(LinkError) as refused:
        await link.list_volumes()
    link.close()
    return refused.value.reason


async def test_on_this_machine_the_authority_that_its_services_made_is_trusted(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert await refusal(connect(Preferences(address))) == "SERVICE_UNAVAILABLE"  # without one nothing is encrypted
    machine_authority().parent.mkdir(parents=True)
    machine_authority().write_bytes((HERE / "other.pem").read_bytes())
    assert await refusal(connect(Preferences(address))) == "SERVER_NOT_TRUSTED"
    machine_authority().write_bytes((HERE / "ca.pem").read_bytes())
    link = connect(Preferences(address))
    assert await link.list_volumes() == [MESSAGE]
    link.close()
    assert await refusal(connect(Preferences(address), plain=True)) == "SERVICE_UNAVAILABLE"


async def test_elsewhere_nothing_goes_without_encryption() -> None:
    """A name of this machine that is not known as such."""
    link = connect(Preferences("machine.example:1"))
    assert isinstance(link, GrpcLink)
    assert link._channel._ssl is not None
    link.close()


async def test_without_an_address_everything_says_so() -> None:
    link = connect(Preferences())
    assert isinstance(link, NoLink)
    with pytest.raises(LinkError) as refused:
        await link.list_volumes()
    assert refused.value.reason == "NO_SERVER"
    link.close()


@pytest.mark.parametrize("content", [None, b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_what_is_no_certificate_is_refused(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    for path in (str(file), str(tmp_path), "a\0b"):
        with pytest.raises(CertificateError):
            trusting(path)
