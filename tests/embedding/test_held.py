"""Another model comes to count while the service runs: it answers from then on, and what is not usable changes nothing."""

from __future__ import annotations

import asyncio
import json

import grpc
import numpy as np
import pytest
from calque import wire
from calque.v1 import embedding_pb2, embedding_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.core.errors import ChoiceNeeded, Unavailable
from services.embedding.held import SHIPPED, Held
from services.embedding.servicer import EmbeddingServicer
from services.serving.server import Server
from services.store.directory import DirectoryStore
from services.store.models import Models


@pytest.fixture
def models(tmp_path) -> Models:
    return Models(DirectoryStore(tmp_path / "store"))


def put(models: Models, data: bytes) -> str:
    digest = models.add(data, {})
    models.promote(digest, why="", set_ms=0)
    return digest


def test_the_model_that_counts_is_taken_once_and_the_next_one_after_it(models, small_model) -> None:
    held = Held(models=models)
    assert not held.look()
    with pytest.raises(ChoiceNeeded, match="none that counts"):
        _ = held.usable
    first = put(models, small_model().SerializeToString())
    assert held.look()
    assert held.usable.digest == first
    assert not held.look()
    second = put(models, small_model(weights=np.ones((1, 5), np.float32)).SerializeToString())
    assert held.look()
    assert (held.usable.digest, held.usable.channels) == (second, 5)
    models.roll_back(set_ms=1)
    assert held.look()
    assert held.usable.digest == first


def test_the_shipped_model_answers_until_one_counts(models, small_model) -> None:
    held = Held.of_store(models)
    shipped = held.usable
    card = json.loads(SHIPPED.with_name("card.json").read_text("utf-8"))
    assert shipped.digest == card["sha256"]
    assert (shipped.stride, shipped.channels, shipped.bounded) == (8, 8, True)
    assert SHIPPED.stat().st_size <= 12_000_000
    assert not held.look()
    first = put(models, small_model().SerializeToString())
    assert held.look()
    assert held.usable.digest == first
    assert Held.of_store(models).usable.digest == first


def test_the_shipped_model_sees_a_slice(models) -> None:
    """Its features differ from place to place, and are the same for the same pixels."""
    image = np.random.default_rng(0).integers(0, 256, (1, 64, 48), dtype=np.uint8)
    image[:, 20:40, 10:30] //= 4
    encoder = Held.of_store(models).usable
    features = encoder.features(image)
    assert features.shape == (1, 8, 6, 8)
    assert features.min() >= 0
    assert features.max() <= 1
    assert features.std(axis=(0, 1, 2)).max() > 0.05
    assert (features == encoder.features(image)).all()


def test_the_same_model_promoted_again_is_not_loaded_again(models, small_model) -> None:
    digest = put(models, small_model().SerializeToString())
    held = Held(models=models)
    assert held.look()
    before = held.usable
    models.promote(digest, why="again", set_ms=1)
    assert not held.look()
    assert held.usable is before


@pytest.mark.parametrize("bad", [b"no model", "nan"])
@pytest.mark.item(53)
def test_a_model_that_is_not_usable_leaves_the_one_before(models, small_model, bad) -> None:
    first = put(models, small_model().SerializeToString())
    held = Held(models=models)
    assert held.look()
    data = bad if isinstance(bad, bytes) else small_model(weights=np.full((1, 3), np.nan)).SerializeToString()
    put(models, data)
    assert not held.look()
    assert held.usable.digest == first
    alone = Held(models=models)
    assert not alone.look()
    with pytest.raises(ChoiceNeeded) as refused:
        _ = alone.usable
    assert "none that counts" not in str(refused.value)


def test_a_store_that_was_away_is_asked_again(models, small_model, monkeypatch) -> None:
    digest = put(models, small_model().SerializeToString())
    held = Held(models=models)

    def away(_: str) -> bytes:
        raise Unavailable("The store does not answer.")

    with monkeypatch.context() as broken:
        broken.setattr(models, "read", away)
        assert not held.look()
    assert held.look()
    assert held.usable.digest == digest


@pytest.mark.item(54)
def test_a_damaged_file_in_the_store_is_refused(models, small_model) -> None:
    digest = put(models, small_model().SerializeToString())
    store = models._store
    data = bytearray(store.read(f"models/files/{digest}"))
    data[-1] ^= 1
    store.delete(f"models/files/{digest}")
    store.create(f"models/files/{digest}", bytes(data))
    held = Held(models=models)
    assert not held.look()
    with pytest.raises(ChoiceNeeded, match="damaged"):
        _ = held.usable


async def test_health_and_answers_follow_the_store_while_the_service_runs(models, small_model) -> None:
    servicer = EmbeddingServicer(Held(models=models), look_s=0.01)
    server = Server([servicer], listen="127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            stub, health = embedding_pb2_grpc.EmbeddingStub(channel), health_pb2_grpc.HealthStub(channel)
            watched = health.Watch(health_pb2.HealthCheckRequest(service=servicer.name), timeout=30)
            states = health_pb2.HealthCheckResponse
            assert (await watched.read()).status == states.NOT_SERVING
            with pytest.raises(grpc.aio.AioRpcError):
                await stub.GetModel(embedding_pb2.GetModelRequest(), timeout=20)

            digest = await asyncio.to_thread(put, models, small_model().SerializeToString())
            assert (await watched.read()).status == states.SERVING
            assert (await stub.GetModel(embedding_pb2.GetModelRequest(), timeout=20)).digest == digest
            image = np.full((9, 9), 100, np.uint8)
            request = embedding_pb2.EmbedRequest(
                rows=9, columns=9, pixels=wire.pack(image, wire.LEVEL), model_digest=digest
            )
            (answer,) = [one async for one in stub.Embed(iter([request]), timeout=20)]
            assert answer.model_digest == digest
            on = await health.Check(
                health_pb2.HealthCheckRequest(service=f"{servicer.name}/CPUExecutionProvider"), timeout=20
            )
            assert on.status == states.SERVING
    finally:
        await server.stop(0)
