"""What the settings make of it: the services' own secret, and `calque serve` with an issuer."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path

import grpc
import numpy as np
import pytest
from calque.v1 import volumes_pb2, volumes_pb2_grpc

from services.core.errors import InvalidInput, Unavailable
from services.embedding.encoder import Encoder
from services.embedding.held import Held
from services.embedding.servicer import EmbeddingServicer
from services.segmentation.embedding_client import EmbeddingClient
from services.serving.identity.authentication import access, service_secret
from services.serving.server import Server
from services.serving.settings import Settings
from tests.encoders import small_model
from tests.processes import Serving
from tests.served import refusal
from tests.serving.identity.asking import bearer
from tests.serving.identity.issuer import issuer

SECRET = "s" * 40


def secret_file(folder: Path, text: str = SECRET, mode: int = 0o600) -> Path:
    path = folder / "secret"
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", ""])
async def test_a_service_knows_another_by_their_secret(tmp_path: Path, address: str) -> None:
    """The issuer is not asked: there is none at this address. Without one, and without users, services alone may call."""
    secret = secret_file(tmp_path, f"{SECRET}\n")
    settings = Settings(store=tmp_path / "store", oidc_issuer=address, service_secret=secret)
    embedding = EmbeddingServicer(Held(Encoder.load(small_model().SerializeToString())), look_s=60)
    authenticate = access(settings, service_secret(settings)).authenticate
    server = Server([embedding], listen="127.0.0.1:0", authenticate=authenticate)
    await server.start()

    def ask(secret: str) -> int:
        with closing(EmbeddingClient(f"127.0.0.1:{server.port}", secret)) as client:
            return client.embed(np.zeros((8, 8), np.uint8), client.model(), 30).size

    try:
        assert await asyncio.to_thread(ask, SECRET) > 0
        for wrong in ("", "x", SECRET[:-1]):
            with pytest.raises(Unavailable, match=r"sign|services"):
                await asyncio.to_thread(ask, wrong)
    finally:
        await server.stop(0)


def test_without_a_file_each_process_has_a_secret_of_its_own() -> None:
    assert service_secret(Settings()) != service_secret(Settings())
    assert len(service_secret(Settings())) >= 32


@pytest.mark.parametrize(("text", "mode"), [("short", 0o600), ("a b" * 20, 0o600), ("é" * 40, 0o600), (SECRET, 0o604)])
def test_a_secret_that_is_none_is_refused(tmp_path: Path, text: str, mode: int) -> None:
    with pytest.raises(InvalidInput) as refused:
        service_secret(Settings(service_secret=secret_file(tmp_path, text, mode)))
    assert text not in str(refused.value)


def test_a_secret_that_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="No such file"):
        service_secret(Settings(service_secret=tmp_path / "none"))


def test_calque_serve_lets_in_who_the_issuer_vouches_for(tmp_path: Path) -> None:
    with issuer() as one:
        one.add("first", "RS256")
        listen = ("--listen", "127.0.0.1:0", "--store", str(tmp_path / "store"), "--oidc-issuer", one.address)
        with (
            Serving(tmp_path, "volumes", *listen) as serving,
            grpc.insecure_channel(serving.address()) as channel,
        ):
            volumes = volumes_pb2_grpc.VolumesStub(channel)
            request = volumes_pb2.ListVolumesRequest()
            with pytest.raises(grpc.RpcError) as refused:
                volumes.ListVolumes(request, timeout=30)
            assert refusal(refused.value)[0] == "UNAUTHENTICATED"  # type: ignore[arg-type]
            token = one.token("first")
            assert not volumes.ListVolumes(request, timeout=30, metadata=bearer(token)).volumes
            assert token not in serving.errors()


def test_calque_serve_does_not_start_with_an_issuer_that_anybody_could_be(tmp_path: Path) -> None:
    with Serving(tmp_path, "volumes", "--listen", "127.0.0.1:0", CALQUE_OIDC_ISSUER="http://issuer.example") as serving:
        assert serving.ended() == 2
        assert "calque: The issuer (CALQUE_OIDC_ISSUER) must be" in serving.errors()
        assert "Traceback" not in serving.errors()
