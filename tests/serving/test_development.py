"""The development authority: made once, for this machine, renewed in time, and found by clients without being told."""

from __future__ import annotations

import asyncio
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from calque.v1 import volumes_pb2, volumes_pb2_grpc
from cryptography import x509
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.cli import reach
from services.core.errors import InvalidInput
from services.serving import development
from services.serving.server import Server
from services.serving.settings import Settings
from services.serving.tls import client_credentials, server_credentials
from tablet_client.link.connect import connect
from tablet_client.state.places import machine_authority
from tablet_client.state.preferences import Preferences
from tests.processes import Serving


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return development.folder()


def read(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_keys_are_their_owners_alone_and_stay(place: Path) -> None:
    certificate, key = development.server()
    assert [stat.S_IMODE(path.stat().st_mode) for path in sorted(place.glob("*.key"))] == [0o600, 0o600]
    before = [path.read_bytes() for path in sorted(place.iterdir())]
    development.server()
    assert [path.read_bytes() for path in sorted(place.iterdir())] == before
    names = read(certificate).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    key.chmod(0o644)
    with pytest.raises(InvalidInput, match="chmod 600"):
        development.server()


@pytest.mark.parametrize("days", ["SERVER", "AUTHORITY"])
def test_certificates_are_renewed_before_they_end(place: Path, monkeypatch: pytest.MonkeyPatch, days: str) -> None:
    """An authority that was renewed is the same to who trusted it before."""
    with monkeypatch.context() as earlier:
        earlier.setattr(development, f"{days}_DAYS", getattr(development, f"{days}_RENEWED_DAYS"))
        earlier.setattr(development, f"{days}_RENEWED_DAYS", 0)
        certificate, key = development.server()
        old = read(certificate), read(development.authority())
    kept = key.read_bytes()
    development.server()
    now = read(certificate), read(development.authority())
    renewed = [after != before for before, after in zip(old, now)]
    assert renewed == ([True, False] if days == "SERVER" else [False, True])
    assert all(one.not_valid_after_utc > datetime.now(UTC) + timedelta(days=31) for one in now)
    assert key.read_bytes() == kept
    now[0].verify_directly_issued_by(old[1])
    old[0].verify_directly_issued_by(now[1])


def test_the_authority_vouches_for_no_other_name(place: Path) -> None:
    """Who trusts it cannot be deceived about any other server, even by who has its key."""
    limits = read(development.authority()).extensions.get_extension_for_class(x509.NameConstraints)
    assert limits.critical
    assert [str(one.value) for one in limits.value.permitted_subtrees or []] == ["localhost"]


async def test_a_certificate_that_is_replaced_under_way_counts(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when it is renewed while the server runs."""
    monkeypatch.setattr(development, "SERVER_DAYS", -1)
    monkeypatch.setattr(development, "SERVER_RENEWED_DAYS", -1000)
    server = Server([], listen="127.0.0.1:0", credentials=server_credentials(Settings()))
    await server.start()
    try:
        monkeypatch.undo()
        monkeypatch.setenv("XDG_DATA_HOME", str(place.parent.parent))
        embedding = Settings(embedding=f"127.0.0.1:{server.port}")
        credentials = client_credentials(embedding)
        assert credentials is not None
        async with grpc.aio.secure_channel(embedding.embedding, credentials) as channel:
            await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=30)
    finally:
        await server.stop(0)


async def test_clients_find_it_without_being_told(tmp_path: Path) -> None:
    """By default: a server, a command and a tablet of one user. Who does not trust it or encrypt is not let in."""
    arguments = ("volumes", "--listen", "127.0.0.1:0", "--store", str(tmp_path / "store"))
    with Serving(tmp_path, *arguments, CALQUE_TLS="on") as serving:
        address = serving.address()
        assert machine_authority() == development.authority()
        client = reach.client(address)
        assert not client.volumes.ListVolumes(volumes_pb2.ListVolumesRequest(), timeout=30).volumes
        client.close()
        tablet = connect(Preferences(address))
        assert await tablet.list_volumes() == []
        tablet.close()
        with grpc.insecure_channel(address) as plain:
            await asyncio.to_thread(refused, plain)
        with grpc.secure_channel(address, grpc.ssl_channel_credentials()) as stranger:
            await asyncio.to_thread(refused, stranger)
        assert "not encrypted" not in serving.errors()


def refused(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError, match="UNAVAILABLE"):
        volumes_pb2_grpc.VolumesStub(channel).ListVolumes(volumes_pb2.ListVolumesRequest(), timeout=30)


def test_without_encryption_goes_only_where_it_is_said_and_on_loopback(tmp_path: Path) -> None:
    arguments = ("volumes", "--store", str(tmp_path / "store"), "--tls", "off")
    with Serving(tmp_path, *arguments, "--listen", "127.0.0.1:0") as serving:
        with grpc.insecure_channel(serving.address()) as channel:
            assert (
                not volumes_pb2_grpc.VolumesStub(channel).ListVolumes(volumes_pb2.ListVolumesRequest(), timeout=30).volumes
            )
        assert "connections are not encrypted" in serving.errors()
    with Serving(tmp_path, *arguments, "--listen", "0.0.0.0:0") as serving:
        assert serving.ended() == 2
        assert "Others reach 0.0.0.0:0" in serving.errors()
    assert not development.folder().exists()
    with pytest.raises(InvalidInput, match="leave one away"):
        server_credentials(Settings(tls="off", certificate=tmp_path, key=tmp_path))
    with pytest.raises(InvalidInput, match="loopback"):
        client_credentials(Settings(tls="off", embedding="embedding.example:1"))
