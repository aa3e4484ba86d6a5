"""An encoder's features in the live segmentation: the services over real connections, a real model behind them."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import threading
import time
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from calque.v1 import common_pb2
from calque.v1 import segmentation_pb2 as pb

from services.core import pipeline
from services.core.errors import CalqueError, ChoiceNeeded, Unavailable
from services.core.labels import replay
from services.core.latent import Latent, quantised
from services.core.volume import Volume, intensity_window
from services.embedding.encoder import Encoder
from services.embedding.held import Held
from services.segmentation import encoding
from services.segmentation.embedding_client import EmbeddingClient
from services.segmentation.encoding import Embedding
from services.segmentation.events import to_action
from services.segmentation.features import Budget
from tests.encoders import small_model
from tests.segmentation.test_calque import AROUND, BELOW, INSIDE, LATER, finished
from tests.segmentation.test_computing import cut, planes_of
from tests.segmentation.test_embedding_client import cut as breaking
from tests.segmentation.test_embedding_client import embedding
from tests.served import SECONDS, Served, Tablet, begin, image, serve, stroke

FEW = np.array([[1.0, 0.5]], np.float32)
# Object and background in different slices: only looks count.
APART = (stroke(1, 3, [26, 35], [13, 13], label=1), stroke(1, 5, [18, 43], [24, 24], label=2))
ASKED = {"preset": pb.PRESET_CALQUE, "live": True, "latent_features": True}


def held(weights: np.ndarray = FEW, *, bounded: bool = True) -> Held:
    return Held(Encoder.load(small_model(weights=weights, bounded=bounded).SerializeToString()))


@asynccontextmanager
async def serving(folder: Path, port: int) -> AsyncIterator[Served]:
    """The segmentation, told of an embedding service on this port."""
    async with serve(folder / "store", compute_threads=2, embedding=f"127.0.0.1:{port}", tls="off") as served:
        yield served


def latent_of(volume: Volume, encoder: Encoder | None) -> Latent:
    """What the encoder says of a volume, without any service."""
    assert encoder is not None
    window = intensity_window(volume)
    images = [pipeline.image_levels(volume, window, index) for index in range(volume.shape[0])]
    return Latent(
        encoder.digest, encoder.stride, np.concatenate([quantised(encoder.features(one[None])) for one in images])
    )


def expected(
    served: Served, annotation_id: str, volume: Volume, latent: Latent | None, *bodies: pb.EventBody
) -> np.ndarray:
    """The whole probability by the flow on one page."""
    planes = served.workspace(annotation_id).planes
    actions = [to_action(body, planes, volume.shape, None) for body in bodies]
    labels = replay(volume.shape, [action for action in actions if action is not None]).array
    return finished(pipeline.segment_by_shape(volume, labels, latent=latent).levels, labels)


async def whole(served: Served, annotation_id: str, tablet: Tablet, digest: str) -> np.ndarray:
    """The whole probability with all that was drawn, once it goes by this encoder, or, with "", by none."""
    workspace = served.workspace(annotation_id)
    computation = workspace.computation

    def there(_: Tablet) -> bool:
        done = [one for one in tablet.all("histogram") if one.complete and one.generation == computation.generation]
        newest = workspace.schedule.fitted_length >= workspace.log.last_event
        return bool(done) and newest and computation.complete and computation.latent_model == digest

    await tablet.until(there)
    return computation.levels.copy()


async def save(served: Served, annotation_id: str) -> pb.Mask:
    request = pb.SaveMaskRequest(annotation_id=annotation_id, threshold=128)
    return [one async for one in served.segmentation.SaveMask(request)][-1].mask


async def missing(tablet: Tablet) -> Any:
    """Why there are no features."""
    return (await tablet.until(lambda t: [one for one in t.all("latent_features") if one.HasField("missing")]))[-1].missing


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """While it is not set, the first slice to be asked about waits."""
    opened, ask = threading.Event(), EmbeddingClient.embed

    def wait(*arguments: Any) -> np.ndarray:
        assert opened.wait(SECONDS)
        return ask(*arguments)

    monkeypatch.setattr(EmbeddingClient, "embed", wait)
    return opened


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """What came of slices, one after the other."""
    came, ask = [], EmbeddingClient.embed

    def note(*arguments: Any) -> np.ndarray:
        came.append(ask(*arguments))
        return came[-1]

    monkeypatch.setattr(EmbeddingClient, "embed", note)
    return came


async def test_features_that_come_late_begin_a_generation_and_a_replay_gives_the_same_bytes(
    tmp_path: Path, phantom: Volume, gate: threading.Event
) -> None:
    here = held()
    latent = latent_of(phantom, here.encoder)
    async with embedding(here) as port:
        async with serving(tmp_path, port) as served:
            annotation_id = await begin(served, phantom)
            async with Tablet(served.segmentation, annotation_id) as tablet:
                await tablet.settings(**ASKED)
                await tablet.look(1, 3)
                await tablet.draw(INSIDE, AROUND, BELOW)
                before = await whole(served, annotation_id, tablet, "")
                strokes = INSIDE, AROUND, BELOW
                np.testing.assert_array_equal(before, expected(served, annotation_id, phantom, None, *strokes))
                assert (await save(served, annotation_id)).latent_model == ""
                assert not tablet.all("latent_features")
                last = tablet.all("probability")[-1]
                assert (last.latent_model, last.log_length) == ("", 4)

                gate.set()
                after = await whole(served, annotation_id, tablet, latent.digest)
                np.testing.assert_array_equal(after, expected(served, annotation_id, phantom, latent, *strokes))
                assert not np.array_equal(after, before)
                (told,) = tablet.all("latent_features")
                assert told == pb.LatentFeatures(model_digest=latent.digest)
                found = await tablet.until(lambda t: [one for one in t.all("probability") if one.latent_model])
                assert found[0].generation > last.generation
                assert (found[0].latent_model, found[0].log_length) == (latent.digest, 4)
                saved = await save(served, annotation_id)
                assert saved.latent_model == latent.digest

                await tablet.settings(**{**ASKED, "latent_features": False})
                np.testing.assert_array_equal(await whole(served, annotation_id, tablet, ""), before)
        async with serving(tmp_path, port) as served, Tablet(served.segmentation, annotation_id) as tablet:
            await tablet.settings(**ASKED)
            np.testing.assert_array_equal(await whole(served, annotation_id, tablet, latent.digest), after)
            again = await save(served, annotation_id)
            assert (again.digest, again.latent_model) == (saved.digest, saved.latent_model)
            assert [one["latent_model"] for one in await provenance(served, annotation_id)] == [latent.digest] * 2


async def provenance(served: Served, annotation_id: str) -> list[dict[str, Any]]:
    """What made the newest mask, and the probability, as their exports tell it."""
    told = []
    for kind in (pb.EXPORT_KIND_MASK, pb.EXPORT_KIND_PROBABILITY):
        request = pb.ExportRequest(annotation_id=annotation_id, kind=kind, format=pb.EXPORT_FORMAT_ZIP)
        data = b"".join([part.data async for part in served.segmentation.Export(request)])
        with zipfile.ZipFile(io.BytesIO(data)) as files:
            told.append(json.loads(files.read("provenance.json"))["made_by"])
    return told


@pytest.mark.parametrize(("plane", "index"), [(1, 4), (2, 13), (3, 30)])
async def test_where_only_looks_count_every_plane_goes_by_them(
    tmp_path: Path, phantom: Volume, plane: int, index: int
) -> None:
    here = held()
    latent = latent_of(phantom, here.encoder)
    async with embedding(here) as port, serving(tmp_path, port) as served:
        annotation_id = await begin(served, phantom)
        async with Tablet(served.segmentation, annotation_id) as tablet:
            await tablet.settings(**ASKED, connected=False, fill_holes=False)
            await tablet.until(lambda t: t.all("latent_features"))
            await tablet.look(plane, index)
            await tablet.draw(*APART)
            found = await tablet.until(lambda t: [one for one in t.all("probability") if one.log_length == 3])
            geometry = (await planes_of(served, annotation_id))[plane - 1]
            actions = [to_action(body, served.workspace(annotation_id).planes, phantom.shape, None) for body in APART]
            labels = replay(phantom.shape, [action for action in actions if action is not None]).array
            levels = pipeline.segment(phantom, labels, latent=latent).levels
            np.testing.assert_array_equal(image(found[0], geometry), cut(levels, geometry, index))
            np.testing.assert_array_equal(await whole(served, annotation_id, tablet, latent.digest), levels)
            assert not np.array_equal(levels, pipeline.segment(phantom, labels).levels)


async def test_the_preset_paper_has_its_own_features_always(tmp_path: Path, phantom: Volume) -> None:
    here = held()
    async with embedding(here) as port, serving(tmp_path, port) as served:
        annotation_id = await begin(served, phantom)
        async with Tablet(served.segmentation, annotation_id) as tablet:
            await tablet.settings(**ASKED)
            await tablet.draw(*APART)
            await whole(served, annotation_id, tablet, latent_of(phantom, here.encoder).digest)
            await tablet.settings(**{**ASKED, "preset": pb.PRESET_PAPER})
            levels = await whole(served, annotation_id, tablet, "")
            actions = [to_action(body, served.workspace(annotation_id).planes, phantom.shape, None) for body in APART]
            labels = replay(phantom.shape, [action for action in actions if action is not None]).array
            np.testing.assert_array_equal(levels, pipeline.segment(phantom, labels).levels)
            saved = await save(served, annotation_id)
            assert (saved.preset, saved.latent_model) == (pb.PRESET_PAPER, "")


@pytest.mark.item(61)
async def test_without_the_service_it_goes_on_and_says_so_until_it_comes(
    tmp_path: Path, phantom: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setattr(encoding, "AGAIN_SECONDS", 0.05)
    async with serving(tmp_path, port) as served:
        annotation_id = await begin(served, phantom)
        async with Tablet(served.segmentation, annotation_id) as tablet:
            await tablet.settings(**ASKED)
            await tablet.draw(INSIDE, AROUND, BELOW)
            why = await missing(tablet)
            assert why.reason == common_pb2.SERVICE_UNAVAILABLE
            assert "does not answer" in why.message
            strokes = [INSIDE, AROUND, BELOW]
            levels = await whole(served, annotation_id, tablet, "")
            np.testing.assert_array_equal(levels, expected(served, annotation_id, phantom, None, *strokes))
            assert (await save(served, annotation_id)).latent_model == ""
            here = held()
            async with embedding(here, port):
                latent = latent_of(phantom, here.encoder)
                await whole(served, annotation_id, tablet, latent.digest)
            await tablet.draw(LATER)  # what came once stays
            strokes.append(LATER)
            levels = await whole(served, annotation_id, tablet, latent.digest)
            np.testing.assert_array_equal(levels, expected(served, annotation_id, phantom, latent, *strokes))
            assert tablet.all("latent_features")[-1] == pb.LatentFeatures(model_digest=latent.digest)


@pytest.mark.item(61)
async def test_a_service_that_dies_in_mid_way_leaves_nothing_behind(
    tmp_path: Path, phantom: Volume, answered: list[np.ndarray]
) -> None:
    here = held()
    latent = latent_of(phantom, here.encoder)
    # Some slices come, then the connection breaks; the next one holds.
    async with embedding(here) as there, breaking(there, after_bytes=3_000) as port, serving(tmp_path, port) as served:
        annotation_id = await begin(served, phantom)
        async with Tablet(served.segmentation, annotation_id) as tablet:
            await tablet.settings(**ASKED)
            await tablet.draw(INSIDE, AROUND, BELOW)
            assert "does not answer" in (await missing(tablet)).message
            assert 0 < len(answered) < phantom.shape[0]
            levels = await whole(served, annotation_id, tablet, "")
            np.testing.assert_array_equal(levels, expected(served, annotation_id, phantom, None, INSIDE, AROUND, BELOW))
            assert served.workspace(annotation_id).computation.features.latent is None
            for fields in ({**ASKED, "latent_features": False}, ASKED):  # switched off and on it is asked again
                seen = len(tablet.all("latent_features"))
                await tablet.settings(**fields)
                await tablet.until(lambda t, n=seen: t.all("latent_features")[n:])
            levels = await whole(served, annotation_id, tablet, latent.digest)
            np.testing.assert_array_equal(levels, expected(served, annotation_id, phantom, latent, INSIDE, AROUND, BELOW))


async def test_who_opens_an_annotation_has_the_encoder_asked_again_and_annotations_share_what_it_says(
    tmp_path: Path, phantom: Volume, answered: list[np.ndarray]
) -> None:
    here, first, second = Held(), held(), held(FEW[:, :1])
    async with embedding(here) as port, serving(tmp_path, port) as served:
        annotation_id = await begin(served, phantom)
        request = pb.CreateAnnotationRequest(volume_id=annotation_id.partition("-")[0])
        other_id = (await served.segmentation.CreateAnnotation(request)).annotation.annotation_id
        async with Tablet(served.segmentation, annotation_id) as tablet:
            await tablet.settings(**ASKED)
            await tablet.draw(*APART)
            why = await missing(tablet)
            assert (why.reason, "No model" in why.message) == (common_pb2.MODEL_NOT_USABLE, True)
        here.encoder = first.encoder
        async with Tablet(served.segmentation, annotation_id) as tablet:
            latent = latent_of(phantom, first.encoder)
            await whole(served, annotation_id, tablet, latent.digest)
            async with Tablet(served.segmentation, other_id) as other:
                await other.settings(**ASKED)
                await other.until(lambda t: t.all("latent_features"))
            assert len(answered) == phantom.shape[0]
            features = served.workspace(other_id).computation.features
            assert served.workspace(annotation_id).schedule.latents.found is features.latent
            assert features.latent is not None
            np.testing.assert_array_equal(features.latent.grids, latent.grids)
            without = len(features.kept) * features.slice_bytes + phantom.voxels.nbytes
            assert features.size_bytes == without + latent.grids.nbytes
        here.encoder = second.encoder
        async with Tablet(served.segmentation, annotation_id) as tablet:
            await whole(served, annotation_id, tablet, latent_of(phantom, second.encoder).digest)
        here.encoder = held(bounded=False).encoder  # what was there before goes on
        async with Tablet(served.segmentation, annotation_id) as tablet:
            await served.servicer.embedding.of(features)
            await whole(served, annotation_id, tablet, latent_of(phantom, second.encoder).digest)
            assert not [one for one in tablet.all("latent_features") if one.HasField("missing")]


@pytest.mark.parametrize(
    ("model", "limits", "error", "words"),
    [
        (lambda: held(bounded=False), {}, ChoiceNeeded, "not one for drawing"),
        (lambda: held(np.full((1, 17), 0.5)), {}, ChoiceNeeded, "too many"),
        (Held, {}, ChoiceNeeded, "No model"),
        (held, {"VOLUME_SECONDS": 0.0}, Unavailable, "in time"),
        (held, {"SLICE_SECONDS": -1.0}, Unavailable, "in time"),
    ],
)
async def test_what_keeps_the_features_away_is_told(
    phantom: Volume, monkeypatch: pytest.MonkeyPatch, model: Any, limits: dict[str, float], error: Any, words: str
) -> None:
    for name, value in limits.items():
        monkeypatch.setattr(encoding, name, value)
    features = Budget(0).open("a", lambda: (phantom, intensity_window(phantom)))
    async with embedding(model()) as port:
        with closing(Embedding(f"127.0.0.1:{port}")) as asking, pytest.raises(error, match=words):
            await asking.of(features)
    assert features.latent is None


async def test_nobody_is_asked_for_a_volume_that_was_closed_nor_where_nobody_is_named(phantom: Volume) -> None:
    features = Budget(0).open("a", lambda: (phantom, intensity_window(phantom)))
    with closing(Embedding()) as asking, pytest.raises(Unavailable, match="configured"):
        await asking.of(features)
    features.close()
    async with embedding(held()) as port:
        with closing(Embedding()) as asking:
            asking.connect(f"127.0.0.1:{port}")
            asking.connect("127.0.0.1:1")  # somebody is named already
            with pytest.raises(Unavailable, match="closed"):
                await asking.of(features)


async def test_a_service_that_never_answers_holds_up_neither_strokes_nor_the_end(tmp_path: Path, phantom: Volume) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        async with serving(tmp_path, silent.getsockname()[1]) as served:
            annotation_id = await begin(served, phantom)
            async with Tablet(served.segmentation, annotation_id) as tablet:
                await tablet.settings(**ASKED)
                await tablet.draw(INSIDE, AROUND, BELOW)
                await whole(served, annotation_id, tablet, "")
                asking = asyncio.ensure_future(
                    served.servicer.embedding.of(served.workspace(annotation_id).computation.features)
                )
            ended = time.monotonic()
        assert time.monotonic() - ended < 1.5
        with pytest.raises(CalqueError):
            await asking
