"""Slices that wait at once: which run together, in which order, what of that is kept, and what is not done at all."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import grpc
import numpy as np
import pytest
from calque.v1 import embedding_pb2, embedding_pb2_grpc

from services.embedding.answers import Answer
from services.embedding.encoder import Encoder
from services.embedding.held import Held
from services.embedding.kept import Kept, key_of
from services.embedding.network import Network
from services.embedding.servicer import EmbeddingServicer
from services.serving.metrics import REGISTRY
from tests.embedding.test_servicer import answers, image, refusal, request, serve
from tests.encoders import SEVERAL, small_model
from tests.served import SECONDS, eventually


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder.load(small_model(input_shape=SEVERAL).SerializeToString())


@asynccontextmanager
async def asking(encoder: Encoder, network: Network) -> AsyncIterator[Callable[..., asyncio.Task]]:
    """The service on loopback. Gives what asks it, each time with a stream of its own."""
    async with serve(EmbeddingServicer(Held(encoder), network)) as channel:

        async def ask(pixels: np.ndarray) -> embedding_pb2.EmbedResponse:
            (answer,) = await answers(channel, request(pixels))
            return answer

        yield lambda pixels: asyncio.create_task(ask(pixels))


@contextmanager
def at_work(network: Network) -> Iterator[None]:
    """The network's thread is at something else meanwhile."""
    free = threading.Event()
    network._thread.submit(free.wait, SECONDS)
    try:
        yield
    finally:
        free.set()


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def waiting(network: Network, number: int) -> None:
    """Until so many slices wait behind the run that was begun."""
    await eventually(lambda: len(network._waiting) == number)


async def begun(network: Network) -> None:
    """Until a run was begun, with all that waited."""
    await eventually(lambda: network._runs and not network._waiting)


def runs(asked: list[asyncio.Task]) -> list[int]:
    """The run that each was in, by its time, counted from 0 in the order of the first of each."""
    times = [task.result().elapsed_ms for task in asked]
    return [list(dict.fromkeys(times)).index(time) for time in times]


async def test_slices_of_a_size_that_wait_run_together_and_get_what_each_gets_alone(encoder) -> None:
    network = Network()
    async with asking(encoder, network) as ask:
        with at_work(network):
            asked = [ask(image(0))]
            await begun(network)
            sizes = [(13, 22), (9, 9), (13, 22), (9, 9), (9, 9)]
            for number, size in enumerate(sizes):
                asked.append(ask(image(1 + number, *size)))
                await waiting(network, 1 + number)
        await asyncio.gather(*asked)

    assert runs(asked) == [0, 1, 2, 1, 2, 2]
    for task, pixels in zip(asked[1:], [image(1 + n, *size) for n, size in enumerate(sizes)]):
        alone = Answer.of(encoder.digest, encoder.features(pixels[None])[0])
        assert task.result().features == alone.parts[0][2]


async def test_a_slice_of_another_size_is_passed_only_by_those_that_fill_a_run_before_it(encoder) -> None:
    network = Network(most_slices=2)
    async with asking(encoder, network) as ask:
        with at_work(network):
            asked = [ask(image(0))]
            await begun(network)
            for number, size in enumerate([(5, 5), (7, 7), (5, 5), (5, 5), (5, 5)]):
                asked.append(ask(image(1 + number, *size)))
                await waiting(network, 1 + number)
        order: list[int] = []
        for number, task in enumerate(asked):
            task.add_done_callback(lambda _, number=number: order.append(number))
        await asyncio.gather(*asked)

    assert runs(asked) == [0, 1, 2, 1, 3, 3]  # the lone one before those that came after it
    assert order.index(2) < min(order.index(4), order.index(5))


async def test_slices_run_one_by_one_where_the_model_takes_one_or_they_are_large() -> None:
    one = Encoder.load(small_model().SerializeToString())
    several = Encoder.load(small_model(input_shape=SEVERAL).SerializeToString())
    for encoder, side in ((one, 8), (several, 512)):
        network = Network()
        async with asking(encoder, network) as ask:
            with at_work(network):
                asked = [ask(image(0))]
                await begun(network)
                asked += [ask(image(number, side, side)) for number in (1, 2)]
                await waiting(network, 2)
            await asyncio.gather(*asked)
        assert len(set(runs(asked))) == 3


async def test_a_slice_that_fails_fails_alone() -> None:
    encoder = Encoder.load(small_model(weights=np.array([[100_000.0]]), input_shape=SEVERAL).SerializeToString())
    network = Network()
    async with asking(encoder, network) as ask:
        with at_work(network):
            first = ask(np.full((4, 4), 100, np.uint8))
            await begun(network)
            asked = [ask(np.full((8, 8), value, np.uint8)) for value in (100, 255, 50)]
            await waiting(network, 3)
        good, bad, dark, _ = await asyncio.gather(*asked, first, return_exceptions=True)
    assert isinstance(good, embedding_pb2.EmbedResponse)
    assert isinstance(dark, embedding_pb2.EmbedResponse)
    assert refusal(bad) == (grpc.StatusCode.FAILED_PRECONDITION, "MODEL_NOT_USABLE")


async def test_the_same_slice_again_gets_the_same_bytes_without_the_network(encoder) -> None:
    network = Network()
    before = {source: counted("calque_embedded_slices_total", source=source) for source in ("network", "kept")}
    async with asking(encoder, network) as ask:
        first, turned = await ask(image(0, 6, 8)), await ask(image(0, 6, 8).reshape(8, 6))
        again = await ask(image(0, 6, 8))
    assert (first.elapsed_ms > 0, turned.elapsed_ms > 0, again.elapsed_ms) == (True, True, 0)
    assert again.features == first.features
    assert (turned.grid_rows, turned.grid_columns) == (2, 2)
    assert network._kept.size_bytes == len(first.features) + len(turned.features)
    assert counted("calque_embedding_bytes") == network._kept.size_bytes
    after = {source: counted("calque_embedded_slices_total", source=source) - before[source] for source in before}
    assert after == {"network": 2, "kept": 1}


async def test_another_model_does_not_get_what_was_kept_of_the_one_before(encoder) -> None:
    held, network = Held(encoder), Network()
    async with serve(EmbeddingServicer(held, network)) as channel:
        (first,) = await answers(channel, request(image(0)))
        held.encoder = Encoder.load(small_model(weights=np.ones((1, 3))).SerializeToString())
        (second,) = await answers(channel, request(image(0)))
    assert second.model_digest == held.encoder.digest != first.model_digest
    assert second.elapsed_ms > 0
    assert second.features != first.features


async def test_one_slice_asked_for_twice_at_once_runs_once(encoder) -> None:
    network = Network(kept_bytes=0)
    before = counted("calque_embedding_run_slices_sum")
    async with asking(encoder, network) as ask:
        with at_work(network):
            asked = [ask(image(0)), ask(image(0))]
            await eventually(lambda: sum(len(one.waiting) for one in network._asked.values()) == 2)
        one, two = await asyncio.gather(*asked)
    assert one == two
    assert counted("calque_embedding_run_slices_sum") == before + 1


async def test_what_nobody_waits_for_any_more_is_not_begun_and_what_was_begun_is_kept(encoder) -> None:
    network = Network()
    before = counted("calque_embedding_run_slices_sum")
    async with serve(EmbeddingServicer(Held(encoder), network)) as channel:
        stub = embedding_pb2_grpc.EmbeddingStub(channel)
        with at_work(network):
            first = stub.Embed(iter([request(image(0))]))
            await begun(network)
            second = stub.Embed(iter([request(image(1))]))
            await waiting(network, 1)
            first.cancel()
            second.cancel()
            await eventually(lambda: not any(one.wanted for one in network._asked.values()))
        await eventually(lambda: not network._asked)
        assert counted("calque_embedding_run_slices_sum") == before + 1
        (answer,) = await answers(channel, request(image(0)))
        assert answer.elapsed_ms == 0


def test_what_was_asked_for_longest_ago_makes_room() -> None:
    kept = Kept(100)
    keys = [key_of("model", image(number)) for number in range(4)]
    for key, size in zip(keys[:3], (40, 30, 30)):
        kept.put(key, answer_of(size))
    assert kept.get(keys[0]) is not None
    kept.put(keys[3], answer_of(40))
    assert [kept.get(key) is not None for key in keys] == [True, False, False, True]
    assert kept.size_bytes == 80
    kept.put(keys[1], answer_of(101))
    assert kept.get(keys[1]) is None
    assert kept.size_bytes == 80


def answer_of(size_bytes: int) -> Answer:
    return Answer("model", (2, 1, 1), ((0, 1, bytes(10)), (1, 1, bytes(size_bytes - 10))))
