"""What the encoder runs on: the first of the preferred providers that is there in truth, whatever ONNX Runtime lists."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from calque.v1 import embedding_pb2, embedding_pb2_grpc
from structlog.testing import capture_logs

from services.core.errors import ChoiceNeeded, InvalidInput, Reason
from services.embedding.encoder import Encoder
from services.embedding.held import Held
from services.embedding.providers import CPU, CUDA, OPENVINO, PREFERRED, TENSORRT, named
from services.embedding.servicer import EmbeddingServicer
from services.serving.settings import Settings
from services.store.directory import DirectoryStore
from tests.embedding.test_servicer import serve
from tests.encoders import small_model

MODEL = small_model().SerializeToString()
NOT_HERE = {TENSORRT, CUDA, OPENVINO} - set(onnxruntime.get_available_providers())


def test_the_order_is_that_of_the_setting() -> None:
    assert named(Settings().embedding_providers) == PREFERRED == (TENSORRT, CUDA, OPENVINO, CPU)
    assert named("cpu, CUDA") == (CPU, CUDA)


@pytest.mark.parametrize("setting", ["", "cuda,", "cuda,gpu", "CPUExecutionProvider"])
def test_a_setting_with_another_word_is_refused(tmp_path, setting) -> None:
    with pytest.raises(InvalidInput, match="tensorrt, cuda, openvino, cpu"):
        EmbeddingServicer.configured(DirectoryStore(tmp_path), Settings(embedding_providers=setting))


def test_what_is_asked_for_is_asked_for_in_order_and_the_last_is_the_processor(monkeypatch) -> None:
    opened = []
    real = onnxruntime.InferenceSession

    def session(data, options, providers, **switches):
        opened.append(providers[0][0])
        if providers[0][0] != CPU:
            raise RuntimeError("no such device")
        return real(data, options, providers=providers, **switches)

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU, OPENVINO, CUDA, "Other", TENSORRT])
    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    with capture_logs() as logs:
        encoder = Encoder.load(MODEL)

    assert opened == list(PREFERRED)
    assert encoder.provider == CPU
    assert [entry["provider"] for entry in logs] == [TENSORRT, CUDA, OPENVINO]


@pytest.mark.filterwarnings("ignore:Specified provider")
async def test_a_provider_that_is_listed_and_cannot_load_is_named_nowhere(monkeypatch, capfd) -> None:
    listed = onnxruntime.get_available_providers()
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [*NOT_HERE, *listed])
    with capture_logs() as logs:
        held = Held(Encoder.load(MODEL, providers=(*NOT_HERE, CPU)))
    assert {entry["provider"] for entry in logs} == NOT_HERE
    servicer = EmbeddingServicer(held)
    async with serve(servicer) as channel:
        model = await embedding_pb2_grpc.EmbeddingStub(channel).GetModel(embedding_pb2.GetModelRequest(), timeout=20)
    assert model.provider == servicer.runs_on == CPU
    assert capfd.readouterr().out == ""  # where whoever started the service reads its address


def test_a_model_that_fails_its_trial_is_tried_on_the_next_provider() -> None:
    bad = small_model(weights=np.array([[np.nan]])).SerializeToString()
    with capture_logs() as logs, pytest.raises(ChoiceNeeded, match="not numbers"):
        Encoder.load(bad, providers=(CPU, CPU))
    assert [entry["provider"] for entry in logs] == [CPU, CPU]


def test_where_none_of_the_chosen_ones_is_there_the_service_says_so(tmp_path) -> None:
    file = tmp_path / "encoder.onnx"
    file.write_bytes(MODEL)
    missing = next(word for word in ("tensorrt", "cuda", "openvino") if named(word)[0] in NOT_HERE)
    servicer = EmbeddingServicer.configured(
        DirectoryStore(tmp_path / "store"), Settings(model=file, embedding_providers=missing)
    )
    assert not servicer.serving
    with pytest.raises(ChoiceNeeded, match="on this machine") as refused:
        _ = servicer._held.usable
    assert refused.value.reason is Reason.MODEL_NOT_USABLE
