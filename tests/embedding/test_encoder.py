"""The encoder keeps to the model contract, and refuses every model that does not."""

from __future__ import annotations

import hashlib

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from services.core.errors import ChoiceNeeded, InvalidInput, Reason
from services.embedding.encoder import Encoder
from services.embedding.onnx_file import has_external_data
from tests.encoders import SEVERAL


@pytest.mark.parametrize("size", [(16, 16), (13, 22), (1, 1), (4, 257)])
def test_features_are_those_of_the_network(small_model, naive_features, size):
    encoder = Encoder.load(small_model().SerializeToString())
    image = np.random.default_rng(0).integers(0, 256, size).astype(np.uint8)

    features = encoder.features(image[None])[0]

    assert features.dtype == np.float16
    assert features.shape == (*encoder.grid(*size), 3)
    np.testing.assert_allclose(features, naive_features(image), rtol=2**-11, atol=1e-6)


@pytest.mark.parametrize("size", [(16, 16), (13, 22)])
def test_slices_of_one_size_get_in_one_run_what_each_gets_alone(small_model, size):
    model = small_model(input_shape=SEVERAL).SerializeToString()
    encoder = Encoder.load(model)
    images = np.random.default_rng(0).integers(0, 256, (5, *size)).astype(np.uint8)

    together = encoder.features(images)

    assert encoder.takes_several
    assert together.shape == (5, *encoder.grid(*size), 3)
    np.testing.assert_array_equal(together, np.concatenate([encoder.features(image[None]) for image in images]))


def test_a_model_that_says_it_takes_several_and_does_not_is_refused(small_model):
    model = small_model(input_shape=SEVERAL)
    shape = numpy_helper.from_array(np.array([1, -1, 1, 3]), "shape")
    model.graph.initializer.append(shape)
    model.graph.node[-1].output[0] = "found"
    model.graph.node.append(helper.make_node("Reshape", ["found", "shape"], ["features"]))
    with pytest.raises(ChoiceNeeded, match="shape"):
        Encoder.load(model.SerializeToString())


def test_a_model_is_known_by_the_bytes_of_its_file(small_model, tmp_path):
    data = small_model().SerializeToString()
    file = tmp_path / "encoder.onnx"
    file.write_bytes(data)

    encoder = Encoder.load(file, digest=hashlib.sha256(data).hexdigest().upper())

    assert (encoder.name, encoder.stride, encoder.channels, encoder.size_bytes) == ("small", 4, 3, len(data))
    assert encoder.digest == hashlib.sha256(data).hexdigest()
    assert not encoder.bounded


@pytest.mark.parametrize("said", ["1", "0", "yes", ""])
def test_a_model_says_that_its_features_are_within_0_to_1(small_model, said):
    props = {"calque.stride": "4", "calque.name": "small", "calque.bounded": said}
    assert Encoder.load(small_model(props=props).SerializeToString()).bounded == (said == "1")


def test_the_provider_is_the_one_that_the_session_runs_on(small_model):
    data = small_model().SerializeToString()
    encoder = Encoder.load(data, providers=("NoSuchProvider", "CPUExecutionProvider"))

    assert encoder.provider == "CPUExecutionProvider"
    with pytest.raises(ChoiceNeeded, match="NoSuchProvider") as refused:
        Encoder.load(data, providers=("NoSuchProvider",))
    assert refused.value.reason is Reason.MODEL_NOT_USABLE


@pytest.mark.item(54)
def test_another_model_than_asked_for_is_refused(small_model):
    with pytest.raises(ChoiceNeeded) as refused:
        Encoder.load(small_model().SerializeToString(), digest="0" * 64)
    assert refused.value.reason is Reason.MODEL_NOT_USABLE


def test_a_missing_file_is_refused_without_its_path(tmp_path):
    with pytest.raises(InvalidInput) as refused:
        Encoder.load(tmp_path / "nothing.onnx")
    assert refused.value.reason is Reason.MODEL_NOT_USABLE
    assert str(tmp_path) not in str(refused.value)


@pytest.mark.parametrize("weights", [np.array([[1.0, np.nan]]), np.array([[np.inf]]), np.array([[1e6]])])
@pytest.mark.item(53)
def test_a_model_that_answers_no_numbers_is_refused(small_model, weights):
    with pytest.raises(ChoiceNeeded, match="not numbers") as refused:
        Encoder.load(small_model(weights=weights).SerializeToString())
    assert refused.value.reason is Reason.MODEL_NOT_USABLE


@pytest.mark.item(53)
def test_not_a_number_is_refused_when_only_some_slices_give_it(small_model):
    encoder = Encoder.load(small_model(weights=np.array([[100_000.0]])).SerializeToString())  # 128 / 255 of it still fits
    assert encoder.features(np.full((1, 8, 8), 100, np.uint8)).max() > 30_000
    with pytest.raises(ChoiceNeeded, match="not numbers"):
        encoder.features(np.full((1, 8, 8), 255, np.uint8))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"props": {}}, "calque"),
        ({"props": {"calque.stride": "4"}}, "calque.name"),
        ({"props": {"calque.stride": "0", "calque.name": "small"}}, "calque.stride"),
        ({"props": {"calque.stride": "²", "calque.name": "small"}}, "calque.stride"),
        ({"props": {"calque.stride": "4", "calque.name": "two\nlines"}}, "calque.name"),
        ({"input_shape": (1, 50, 50, 1)}, "left open"),
        ({"input_shape": (1, "rows", "columns", 3), "weights": np.ones((3, 2))}, "left open"),
        ({"input_shape": (8, "rows", "columns", 1)}, "left open"),
        ({"twice": True}, "2 outputs"),
    ],
)
def test_a_model_with_other_ends_is_refused(small_model, change, sentence):
    with pytest.raises(InvalidInput, match=sentence) as refused:
        Encoder.load(small_model(**change).SerializeToString())
    assert refused.value.reason is Reason.MODEL_NOT_USABLE


def test_a_model_of_another_stride_than_it_says_is_refused(small_model):
    with pytest.raises(ChoiceNeeded, match="shape"):
        Encoder.load(small_model(props={"calque.stride": "8", "calque.name": "small"}).SerializeToString())


@pytest.mark.item(51)
def test_bytes_that_are_no_model_are_refused(small_model):
    whole = small_model().SerializeToString()
    for bytes_ in (b"", b"GIF89a", b"\xff" * 64, whole[: len(whole) // 2], b"\x0a" + b"\xff" * 9 + b"\x01"):
        with pytest.raises(InvalidInput) as refused:
            Encoder.load(bytes_)
        assert refused.value.reason is Reason.MODEL_NOT_USABLE


def external(model: onnx.ModelProto, tmp_path) -> bytes:
    onnx.save_model(
        model, tmp_path / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0, convert_attribute=True
    )
    return (tmp_path / "m.onnx").read_bytes()


@pytest.mark.item(52)
def test_a_model_with_external_data_is_refused_though_the_data_is_there(small_model, tmp_path, monkeypatch):
    data = external(small_model(), tmp_path)
    monkeypatch.chdir(tmp_path)
    onnxruntime.InferenceSession(tmp_path / "m.onnx")  # the runtime itself would follow the reference

    for model in (data, tmp_path / "m.onnx"):
        with pytest.raises(InvalidInput, match="other files") as refused:
            Encoder.load(model)
        assert refused.value.reason is Reason.MODEL_NOT_USABLE


@pytest.mark.item(52)
def test_external_data_is_found_wherever_a_tensor_can_be(small_model):
    tensor = numpy_helper.from_array(np.zeros(3, np.float32), "t")
    outside = onnx.TensorProto(name="t", dims=[3], data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    inner = helper.make_graph([], "inner", [], [], [outside])
    sparse = onnx.SparseTensorProto(values=tensor, indices=outside, dims=[9])
    places = {
        "constant": [helper.make_attribute("value", outside)],
        "branch": [helper.make_attribute("then_branch", inner)],
        "list": [helper.make_attribute("values", [tensor, outside])],
        "sparse": [helper.make_attribute("sparse_value", sparse)],
    }
    assert not has_external_data(small_model().SerializeToString())
    for place, attributes in places.items():
        model = small_model()
        node = model.graph.node.add(op_type="Constant", output=["x"])
        node.attribute.extend(attributes)
        assert has_external_data(model.SerializeToString()), place
    in_function = small_model()
    in_function.functions.add(name="f").node.add(op_type="Constant").attribute.extend(places["constant"])
    assert has_external_data(in_function.SerializeToString())
    in_training = small_model()
    in_training.training_info.add().algorithm.CopyFrom(inner)
    assert has_external_data(in_training.SerializeToString())
