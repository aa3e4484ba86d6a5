"""The embedding service over a real connection: a grpc.aio server on loopback, the small hand-written model behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import numpy as np
import pytest
from calque import wire
from calque.v1 import common_pb2, embedding_pb2, embedding_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from services.embedding.encoder import Encoder
from services.embedding.held import Held
from services.embedding.providers import CPU
from services.embedding.servicer import EmbeddingServicer
from services.serving.server import MESSAGE_LIMIT_BYTES, Server
from services.serving.settings import Settings
from services.store.directory import DirectoryStore


@asynccontextmanager
async def serve(servicer: EmbeddingServicer) -> AsyncIterator[grpc.aio.Channel]:
    server = Server([servicer], listen="127.0.0.1:0")
    await server.start()
    try:
        options = [("grpc.max_receive_message_length", MESSAGE_LIMIT_BYTES)]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}", options=options) as channel:
            yield channel
    finally:
        await server.stop(0)


@pytest.fixture
def encoder(small_model) -> Encoder:
    return Encoder.load(small_model().SerializeToString(), providers=(CPU,))


def request(image: np.ndarray, request_id: int = 1, **fields: object) -> embedding_pb2.EmbedRequest:
    values = {"rows": image.shape[0], "columns": image.shape[1], "pixels": wire.pack(image, wire.LEVEL)} | fields
    return embedding_pb2.EmbedRequest(request_id=request_id, **values)


def image(seed: int, rows: int = 13, columns: int = 22) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (rows, columns)).astype(np.uint8)


def refusal(error: grpc.aio.AioRpcError) -> tuple[grpc.StatusCode, str]:
    info = common_pb2.ErrorInfo()
    assert rpc_status.from_call(error).details[0].Unpack(info)
    assert info.message
    return error.code(), common_pb2.Reason.Name(info.reason)


async def answers(channel: grpc.aio.Channel, *requests: embedding_pb2.EmbedRequest) -> list[embedding_pb2.EmbedResponse]:
    return [answer async for answer in embedding_pb2_grpc.EmbeddingStub(channel).Embed(iter(requests), timeout=20)]


async def test_every_slice_is_answered_once_in_order_with_its_features(encoder, naive_features):
    slices = [image(seed, 5 + seed, 40 - 3 * seed) for seed in range(8)]
    async with serve(EmbeddingServicer(Held(encoder))) as channel:
        got = await answers(channel, *(request(s, 100 - k) for k, s in enumerate(slices)))

    assert [answer.request_id for answer in got] == [100 - k for k in range(8)]
    for answer, pixels in zip(got, slices):
        shape = (answer.grid_rows, answer.grid_columns, answer.channels)
        features = wire.unpack(answer.features, wire.FEATURE, shape)
        np.testing.assert_allclose(features, naive_features(pixels), rtol=2**-11, atol=1e-6)
        assert answer.model_digest == encoder.digest
        assert answer.elapsed_ms > 0


async def test_a_dialogue_is_answered_before_the_stream_ends(encoder):
    async with serve(EmbeddingServicer(Held(encoder))) as channel:
        call = embedding_pb2_grpc.EmbeddingStub(channel).Embed(timeout=20)
        for number in (7, 8):
            await call.write(request(image(number), number, model_digest=encoder.digest))
            assert (await call.read()).request_id == number
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF


async def test_get_model_says_what_answers_and_where_it_runs(encoder, small_model):
    async with serve(EmbeddingServicer(Held(encoder))) as channel:
        model = await embedding_pb2_grpc.EmbeddingStub(channel).GetModel(embedding_pb2.GetModelRequest(), timeout=20)
        health = await health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(service=EmbeddingServicer.name), timeout=20
        )

    assert model == embedding_pb2.GetModelResponse(
        name="small",
        digest=encoder.digest,
        channels=3,
        stride=4,
        provider="CPUExecutionProvider",
        size_bytes=len(small_model().SerializeToString()),
    )
    assert health.status == health_pb2.HealthCheckResponse.SERVING


async def test_health_tells_which_provider_really_runs(encoder):
    async with serve(EmbeddingServicer(Held(encoder))) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check
        real = health_pb2.HealthCheckRequest(service=f"{EmbeddingServicer.name}/CPUExecutionProvider")
        assert (await check(real, timeout=20)).status == health_pb2.HealthCheckResponse.SERVING
        other = health_pb2.HealthCheckRequest(service=f"{EmbeddingServicer.name}/CUDAExecutionProvider")
        with pytest.raises(grpc.aio.AioRpcError) as unknown:
            await check(other, timeout=20)
    assert unknown.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("file", ["missing.onnx", "damaged.onnx"])
@pytest.mark.item(53)
async def test_without_a_usable_model_the_service_runs_and_says_so(tmp_path, file):
    (tmp_path / "damaged.onnx").write_bytes(b"not a model")
    servicer = EmbeddingServicer.configured(DirectoryStore(tmp_path / "store"), Settings(model=tmp_path / file))
    async with serve(servicer) as channel:
        health = await health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(service=EmbeddingServicer.name), timeout=20
        )
        with pytest.raises(grpc.aio.AioRpcError) as no_model:
            await embedding_pb2_grpc.EmbeddingStub(channel).GetModel(embedding_pb2.GetModelRequest(), timeout=20)
        with pytest.raises(grpc.aio.AioRpcError) as no_answer:
            await answers(channel, request(image(0)))

    assert health.status == health_pb2.HealthCheckResponse.NOT_SERVING
    for error in (no_model, no_answer):
        assert refusal(error.value) == (grpc.StatusCode.FAILED_PRECONDITION, "MODEL_NOT_USABLE")


async def test_the_configured_model_is_loaded_from_its_file(small_model, tmp_path):
    file = tmp_path / "encoder.onnx"
    file.write_bytes(small_model().SerializeToString())
    assert not EmbeddingServicer(Held.of_file(file, digest="0" * 64)).serving
    async with serve(EmbeddingServicer(Held.of_file(file))) as channel:
        assert len(await answers(channel, request(image(0)))) == 1


@pytest.mark.parametrize(
    ("wrong", "code", "reason"),
    [
        ({"rows": 0}, grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID"),
        ({"rows": 14}, grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID"),
        ({"rows": 12}, grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID"),
        ({"pixels": b"not zlib"}, grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID"),
        ({"rows": 2**32 - 1, "columns": 2**32 - 1}, grpc.StatusCode.RESOURCE_EXHAUSTED, "FILE_TOO_LARGE"),
        ({"model_digest": "ab" * 32}, grpc.StatusCode.FAILED_PRECONDITION, "MODEL_NOT_USABLE"),
    ],
)
async def test_a_wrong_slice_ends_the_stream_after_the_answers_before_it(encoder, wrong, code, reason):
    async with serve(EmbeddingServicer(Held(encoder))) as channel:
        call = embedding_pb2_grpc.EmbeddingStub(channel).Embed(
            iter([request(image(0), 1), request(image(1), 2, **wrong), request(image(2), 3)]), timeout=20
        )
        first = await call.read()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call.read()
        after = await answers(channel, request(image(3), 4))

    assert first.request_id == 1
    assert refusal(refused.value) == (code, reason)
    assert [answer.request_id for answer in after] == [4]


@pytest.fixture(scope="module")
def wide(small_model) -> Encoder:
    """As many channels as a real one, and its stride."""
    return Encoder.load(small_model(weights=np.random.default_rng(0).random((1, 512)), stride=8).SerializeToString())


async def test_an_answer_that_does_not_fit_a_message_comes_in_parts_before_the_next_one(wide):
    large, small = image(0, 8 * 90, 8 * 92 - 3), image(1, 8, 8)  # 8.5 MB of features, that zlib hardly shrinks
    async with serve(EmbeddingServicer(Held(wide))) as channel:
        got = await answers(channel, request(large, 1), request(small, 2))

    assert [(part.request_id, part.last) for part in got] == [(1, False), (1, False), (1, True), (2, True)]
    together = wire.Rows((90, 92, 512), wire.FEATURE)
    for part in got[:-1]:
        assert (part.grid_rows, part.grid_columns, part.channels) == (90, 92, 512)
        assert len(part.features) <= MESSAGE_LIMIT_BYTES // 2
        together.add(part.first_row, part.rows, part.features)
    np.testing.assert_array_equal(together.whole(), wide.features(large[None])[0])


async def test_the_largest_slice_is_answered_and_one_row_more_is_not(wide):
    largest = np.repeat(np.arange(2048, dtype=np.uint16) // 8, 2048).reshape(2048, 2048).astype(np.uint8)
    async with serve(EmbeddingServicer(Held(wide))) as channel:
        got = await answers(channel, request(largest))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await answers(channel, request(np.zeros((2049, 2048), np.uint8)))

    assert sum(part.rows for part in got) == 256
    last = wire.unpack(got[-1].features, wire.FEATURE, (got[-1].rows, 256, 512))
    np.testing.assert_allclose(last[-1, -1], wide.features(np.full((1, 8, 8), 255, np.uint8))[0, 0, 0], rtol=2**-10)
    assert refusal(refused.value) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "FILE_TOO_LARGE")


@pytest.mark.parametrize(("rows", "columns"), [(1024, 2048), (8, 8 * 8200)])
@pytest.mark.item(53)
async def test_features_beyond_the_memory_or_a_message_are_refused(wide, small_model, rows, columns):
    fine = Encoder.load(small_model(weights=np.ones((1, 17)), stride=1).SerializeToString())
    async with serve(EmbeddingServicer(Held(fine if rows > 8 else wide))) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await answers(channel, request(np.zeros((rows, columns), np.uint8)))
        assert len(await answers(channel, request(image(0)))) == 1
    assert refusal(refused.value) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "FILE_TOO_LARGE")


async def test_slices_beyond_the_memory_of_all_are_told_to_come_again(wide, monkeypatch):
    monkeypatch.setattr("services.embedding.servicer.AT_WORK_BYTES", 20_000)
    async with serve(EmbeddingServicer(Held(wide))) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await answers(channel, request(image(0, 40, 40)))
        for _ in range(3):  # what was answered makes room, also where it was refused
            assert len(await answers(channel, request(image(0, 8, 120)))) == 1
    assert refusal(refused.value) == (grpc.StatusCode.UNAVAILABLE, "SERVICE_UNAVAILABLE")


async def test_a_slice_that_the_model_answers_without_numbers_is_refused(small_model):
    encoder = Encoder.load(small_model(weights=np.array([[100_000.0]])).SerializeToString())
    async with serve(EmbeddingServicer(Held(encoder))) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await answers(channel, request(np.full((8, 8), 255, np.uint8)))
    assert refusal(refused.value) == (grpc.StatusCode.FAILED_PRECONDITION, "MODEL_NOT_USABLE")
