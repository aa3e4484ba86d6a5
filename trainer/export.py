"""From a trained encoder to the ONNX file that the embedding service runs (contract: ``services.embedding.encoder``)."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np

from services.core.errors import ChoiceNeeded, Reason
from trainer.backend import load

# Largest difference between Keras and ONNX Runtime, as a part of the largest feature. Their sums run in different orders,
# which costs about 1e-6; float16 on the wire costs 5e-4.
EXPORT_BOUND = 1e-4
# With weights in float16, each is off by up to 2**-11 of itself; what that comes to after ten layers was measured as 3e-4.
HALF_BOUND = 4e-3
# A latent's components are scaled to 0–1, and what differs with them.
LIVE_BOUND = 3e-2
OPSET = 17
_TRIALS = ((1, 50, 50), (3, 61, 84), (1, 128, 33))  # slices, rows, columns


def export_encoder(model: Any, path: Path, weights: str = "float32", *, bounded: bool = False) -> str:
    """Write an encoder as ONNX, after comparing it with Keras on slices of several sizes.

    It computes in float32 whatever its weights are kept in: in float16 the file is half as large, and a session makes
    float32 of them once, when it is opened.

    Args:
        model: Keras model, ``(n, rows, columns, 1)`` float32 in 0–1 of any size → ``(n, r, c, channels)``; its name becomes
            the model's name. ``trainer.models.Networks.encoder`` is one.
        path: the file, put in place whole.
        weights: ``float32`` or ``float16``.
        bounded: all features lie within 0–1, and the file says so; what its last convolution is of is named ``latent``, so
            that ``onnx.utils.extract_model`` gets the whole latent ``(n, channels, r, c)`` back from the file.

    Returns:
        SHA-256 of the file, hexadecimal.

    Raises:
        ChoiceNeeded: the ONNX model's answers differ from Keras' by more than `EXPORT_BOUND`, with float16 `HALF_BOUND`,
            bounded `LIVE_BOUND`, or are not numbers.
    """
    import onnx

    converted = _convert(model)
    _name_anew(converted.graph)
    if bounded:
        _name_latent(converted.graph)
    if weights == "float16":
        _halve(converted.graph)
    about = {"calque.name": model.name, "calque.stride": str(_stride(model))} | ({"calque.bounded": "1"} if bounded else {})
    onnx.helper.set_model_props(converted, about)
    onnx.checker.check_model(converted, full_check=True)
    data = converted.SerializeToString(deterministic=True)
    difference = largest_difference(model, data)
    if not difference <= (LIVE_BOUND if bounded else HALF_BOUND if weights == "float16" else EXPORT_BOUND):
        raise ChoiceNeeded(
            f"The exported model's answers differ from the trained one's by {difference:.1e} of the largest feature.",
            Reason.MODEL_NOT_USABLE,
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(data)
    os.replace(partial, path)
    return hashlib.sha256(data).hexdigest()


def largest_difference(model: Any, data: bytes) -> float:
    """Largest difference between a Keras encoder and its ONNX bytes on noise, as a part of the largest feature."""
    import onnxruntime

    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    differences = []
    for trial in _TRIALS:
        images = rng.random((*trial, 1), np.float32)
        expected = np.asarray(model(images, training=False))
        (found,) = session.run(None, {session.get_inputs()[0].name: images})
        largest = max(float(np.abs(expected).max()), 1e-30)
        differences.append(float(np.abs(found - expected).max()) / largest)
    return float(np.max(differences))  # not the built-in max, which would pass over not-a-number


def _convert(model: Any) -> Any:
    """The ONNX model with the number of slices, rows and columns left open."""
    import tf2onnx

    tf, _ = load()
    signature = [tf.TensorSpec((None, None, None, 1), tf.float32, name="slice")]
    model(np.zeros((*_TRIALS[0], 1), np.float32), training=False)  # the conversion needs a model that was called
    inference = tf.function(
        lambda image: tf.identity(model(image, training=False), name="features"), input_signature=signature, autograph=False
    )
    converted, _ = tf2onnx.convert.from_function(inference, input_signature=signature, opset=OPSET)
    return converted


def _name_anew(graph: Any) -> None:
    """Names by order, so that the same weights give the same bytes: tf2onnx numbers on through the life of a process."""
    names = {graph.input[0].name: "slice", graph.output[0].name: "features", "": ""}
    del graph.value_info[:]
    graph.name, graph.doc_string = "encoder", ""
    for number, node in enumerate(graph.node):
        node.name, node.doc_string = f"{node.op_type}_{number}", ""
        for side in (node.input, node.output):
            side[:] = [names.setdefault(name, f"t{len(names)}") for name in side]
    for tensor in graph.initializer:
        tensor.name = names.setdefault(tensor.name, f"t{len(names)}")
    ordered = sorted(graph.initializer, key=lambda tensor: int(tensor.name[1:]))
    del graph.initializer[:]
    graph.initializer.extend(ordered)
    for end, rows, columns in ((graph.input[0], "rows", "columns"), (graph.output[0], "grid_rows", "grid_columns")):
        end.name = names[end.name]
        dims = end.type.tensor_type.shape.dim
        dims[0].dim_param, dims[1].dim_param, dims[2].dim_param = "slices", rows, columns


def _name_latent(graph: Any) -> None:
    latent = [node for node in graph.node if node.op_type == "Conv"][-1].input[0]
    for node in graph.node:
        for side in (node.input, node.output):
            side[:] = ["latent" if name == latent else name for name in side]


def _halve(graph: Any) -> None:
    """Keep the float32 weights as float16, each with a node that makes float32 of it."""
    import onnx

    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        name = tensor.name
        halved = onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor).astype(np.float16), f"{name}_half")
        tensor.CopyFrom(halved)
        casts.append(onnx.helper.make_node("Cast", [halved.name], [name], f"{name}_cast", to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _stride(model: Any) -> int:
    side = 4096
    return side // int(model.compute_output_shape((1, side, side, 1))[1])
