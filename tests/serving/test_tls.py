"""Encrypted connections: who is trusted, on both ends, and certificates that are renewed while the server runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import grpc
import numpy as np
import pytest
from calque.v1 import identity_pb2, identity_pb2_grpc, volumes_pb2, volumes_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.cli import reach
from services.core.errors import InvalidInput, Unavailable
from services.embedding.encoder import Encoder
from services.embedding.held import Held
from services.embedding.servicer import EmbeddingServicer
from services.segmentation.embedding_client import EmbeddingClient
from services.serving.caller import Role
from services.serving.identity.users import Users
from services.serving.server import Server
from services.serving.settings import Settings
from services.serving.tls import check_reach, client_credentials, is_loopback, server_credentials
from tablet_client.link.connect import connect
from tablet_client.link.port import LinkError
from tablet_client.state.preferences import Preferences
from tests.encoders import small_model
from tests.processes import Serving
from tests.serving.authority import Authority
from tests.serving.identity.asking import bearer

PASSWORD = "correct horse battery"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ours")


@asynccontextmanager
async def served(settings: Settings) -> AsyncIterator[int]:
    server = Server([], listen="127.0.0.1:0", credentials=server_credentials(settings))
    await server.start()
    try:
        yield server.port
    finally:
        await server.stop(0)


async def is_served(port: int, credentials: grpc.ChannelCredentials | None) -> bool:
    """Whether a new connection is made, and answered."""
    # Else it would share the connection of another channel to the same server.
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
    where = f"127.0.0.1:{port}"
    channel = (
        grpc.aio.secure_channel(where, credentials, options=options)
        if credentials
        else grpc.aio.insecure_channel(where, options=options)
    )
    async with channel:
        try:
            await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=30)
        except grpc.aio.AioRpcError as error:
            return error.code() is not grpc.StatusCode.UNAVAILABLE
    return True


def trusting(authority: Authority, pair: tuple[Path, Path] | None = None) -> grpc.ChannelCredentials:
    own = (pair[1].read_bytes(), pair[0].read_bytes()) if pair else (None, None)
    return grpc.ssl_channel_credentials(authority.trusted.read_bytes(), *own)


async def test_the_server_proves_itself_by_its_certificate(authority: Authority, tmp_path: Path) -> None:
    certificate, key = authority.certify("server")
    async with served(Settings(certificate=certificate, key=key)) as port:
        assert await is_served(port, trusting(authority))
        assert not await is_served(port, trusting(Authority(tmp_path / "another")))
        assert not await is_served(port, None)


async def test_clients_prove_themselves_where_an_authority_is_named(authority: Authority, tmp_path: Path) -> None:
    certificate, key = authority.certify("server")
    async with served(Settings(certificate=certificate, key=key, client_authority=authority.trusted)) as port:
        assert await is_served(port, trusting(authority, authority.certify("tablet")))
        assert not await is_served(port, trusting(authority))
        assert not await is_served(port, trusting(authority, authority.certify("old", days=-1)))
        assert not await is_served(port, trusting(authority, Authority(tmp_path / "another").certify("tablet")))


async def test_a_tablet_and_a_command_prove_themselves(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And are not let in without a certificate, or with one that a foreign authority vouches for."""
    certificate, key = authority.certify("server")
    own, foreign = authority.certify("tablet"), Authority(tmp_path / "another").certify("tablet")
    identities = {"own": own, "foreign": foreign}
    for name, pair in identities.items():
        (tmp_path / name).write_bytes(pair[0].read_bytes() + pair[1].read_bytes())
    async with served(Settings(certificate=certificate, key=key, client_authority=authority.trusted)) as port:
        address = f"127.0.0.1:{port}"

        async def answer(identity: str) -> str:
            link = connect(Preferences(address, str(authority.trusted)), identity=identity)
            with pytest.raises(LinkError) as refused:
                await link.list_volumes()
            link.close()
            return refused.value.status

        assert await answer(str(tmp_path / "own")) == "UNIMPLEMENTED"  # let in: there is health alone
        for identity in ("", str(tmp_path / "foreign")):
            assert await answer(identity) == "UNAVAILABLE"
        for pair, reached in ((own, True), (foreign, False)):
            monkeypatch.setenv("CALQUE_CERTIFICATE", str(pair[0]))
            monkeypatch.setenv("CALQUE_KEY", str(pair[1]))
            assert await is_served(port, reach.credentials_of(address, authority.trusted)) == reached


@pytest.mark.item(62)
async def test_a_renewed_certificate_counts_from_the_next_connection_on(authority: Authority) -> None:
    certificate, key = authority.certify("server", days=-1)
    async with served(Settings(certificate=certificate, key=key)) as port:
        assert not await is_served(port, trusting(authority))
        authority.certify("server")
        assert await is_served(port, trusting(authority))
        key.write_text("half a key")
        assert await is_served(port, trusting(authority))


async def test_services_prove_themselves_to_each_other(authority: Authority, tmp_path: Path) -> None:
    """Not so on a socket within one process's own folder."""
    certificate, key = authority.certify("server")
    settings = Settings(
        certificate=certificate,
        key=key,
        client_authority=authority.trusted,
        embedding="127.0.0.1:1",
        embedding_authority=authority.trusted,
    )
    embedding = EmbeddingServicer(Held(Encoder.load(small_model().SerializeToString())), look_s=60)
    server = Server([embedding], listen="127.0.0.1:0", credentials=server_credentials(settings))
    port, within = f"127.0.0.1:{server.port}", f"unix:{tmp_path}/embedding"
    server.answer_on(within)
    await server.start()

    def ask(address: str, credentials: grpc.ChannelCredentials | None = None) -> int:
        with closing(EmbeddingClient(address, "", credentials)) as client:
            return client.embed(np.zeros((8, 8), np.uint8), client.model(), 30).size

    try:
        assert await asyncio.to_thread(ask, port, client_credentials(settings)) > 0
        assert await asyncio.to_thread(ask, within, client_credentials(Settings())) > 0
        with pytest.raises(Unavailable):
            await asyncio.to_thread(ask, port)
    finally:
        await server.stop(0)


def test_files_that_cannot_be_are_named(authority: Authority, tmp_path: Path) -> None:
    certificate, key = authority.certify("server")
    other = Authority(tmp_path / "another").certify("other")
    with pytest.raises(InvalidInput, match="CALQUE_KEY"):
        server_credentials(Settings(certificate=certificate))
    with pytest.raises(InvalidInput, match="CALQUE_CERTIFICATE"):
        server_credentials(Settings(client_authority=authority.trusted))
    with pytest.raises(InvalidInput, match="belong together"):
        server_credentials(Settings(certificate=certificate, key=other[1]))
    with pytest.raises(InvalidInput, match="no certificates"):
        server_credentials(Settings(certificate=certificate, key=key, client_authority=key))
    with pytest.raises(InvalidInput, match="no certificates"):
        client_credentials(Settings(embedding="127.0.0.1:1", embedding_authority=tmp_path / "missing"))
    key.chmod(0o644)
    with pytest.raises(InvalidInput, match="chmod 600"):
        server_credentials(Settings(certificate=certificate, key=key))


@pytest.mark.parametrize(
    ("listen", "alone"),
    [
        ("127.0.0.1:0", True),
        ("127.8.0.1:1", True),
        ("localhost:1", True),
        ("[::1]:1", True),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("192.0.2.1:1", False),
        ("calque.example:1", False),
        ("localhost.example:1", False),
    ],
)
def test_what_others_reach_is_known(listen: str, alone: bool) -> None:
    assert is_loopback(listen) == alone


@pytest.mark.parametrize(("encrypted", "asked"), [(False, False), (True, False), (False, True)])
def test_who_is_open_to_others_needs_both(encrypted: bool, asked: bool) -> None:
    with pytest.raises(InvalidInput, match="CALQUE_CERTIFICATE"):
        check_reach("0.0.0.0:1", encrypted=encrypted, asked=asked)
    check_reach("127.0.0.1:1", encrypted=encrypted, asked=asked)
    check_reach("0.0.0.0:1", encrypted=True, asked=True)


def test_calque_serve_is_open_to_others_only_with_certificate_and_users(authority: Authority, tmp_path: Path) -> None:
    certificate, key = authority.certify("server")
    encrypted = {"CALQUE_CERTIFICATE": str(certificate), "CALQUE_KEY": str(key)}
    arguments = ("--listen", "0.0.0.0:0", "--store", str(tmp_path / "store"))
    with Serving(tmp_path, *arguments, **encrypted) as serving:
        assert serving.ended() == 2
        assert "calque: Others reach 0.0.0.0:0" in serving.errors()
    Users(tmp_path / "keys" / "users.json").add("ada", Role.VIEWER, PASSWORD)
    with Serving(tmp_path, *arguments, **encrypted) as serving:
        address = f"localhost:{serving.address().rpartition(':')[2]}"
        with grpc.secure_channel(address, trusting(authority)) as channel:
            request = identity_pb2.SignInRequest(user="ada", password=PASSWORD)
            token = identity_pb2_grpc.IdentityStub(channel).SignIn(request, timeout=30).token.token
            volumes = volumes_pb2_grpc.VolumesStub(channel)
            assert not volumes.ListVolumes(volumes_pb2.ListVolumesRequest(), timeout=30, metadata=bearer(token)).volumes
