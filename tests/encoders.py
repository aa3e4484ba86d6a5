"""Tiny ONNX models, written by hand, that keep or break the model contract."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WEIGHTS = np.array([[1.0, -2.0, 0.5]], np.float32)
STRIDE = 4
SEVERAL = ("slices", "rows", "columns", 1)
"""Shape of the input of a model that runs slices together."""


def small_model(
    *,
    weights: np.ndarray = WEIGHTS,
    stride: int = STRIDE,
    props: dict[str, str] | None = None,
    input_shape: tuple[Any, ...] = (1, "rows", "columns", 1),
    twice: bool = False,
    slow: bool = False,
    bounded: bool = False,
) -> onnx.ModelProto:
    """Mean of each ``stride × stride`` block (fewer pixels at the border) times ``weights`` ``(1, channels)``.

    A ``slow`` one takes a second or two, with the same answer, for an image that has a white pixel. A ``bounded`` one says
    that its features lie within 0–1.
    """
    channels = weights.shape[1]
    nodes = [
        helper.make_node("Transpose", ["slice"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node(
            "AveragePool", ["planes"], ["means"], kernel_shape=[stride, stride], strides=[stride, stride], ceil_mode=1
        ),
        helper.make_node("Transpose", ["means"], ["last"], perm=[0, 2, 3, 1]),
        helper.make_node("MatMul", ["last", "weights"], ["features"]),
    ]
    outputs = [helper.make_tensor_value_info("features", TensorProto.FLOAT, [input_shape[0], "r", "c", channels])]
    if twice:
        nodes.append(helper.make_node("Relu", ["features"], ["more"]))
        outputs.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [input_shape[0], "r", "c", channels]))
    if slow:
        nodes[-1].output[0] = "found"
        nodes += _rounds("found", "features")
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("slice", TensorProto.FLOAT, list(input_shape))],
        outputs,
        [numpy_helper.from_array(weights.astype(np.float32), "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    says = {"calque.stride": str(stride), "calque.name": "small"} | ({"calque.bounded": "1"} if bounded else {})
    helper.set_model_props(model, says if props is None else props)
    return model


def _rounds(came: str, goes: str) -> list[onnx.NodeProto]:
    """Nodes that hand a tensor on, after two million rounds of nothing where the slice has a value of 1."""
    keep = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Identity", ["was"], ["is"])],
        "round",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("was", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("is", TensorProto.FLOAT, None),
        ],
    )
    return [
        helper.make_node("ReduceMax", ["slice"], ["brightest"], keepdims=0),
        helper.make_node("Cast", ["brightest"], ["white"], to=TensorProto.INT64),  # rounds down
        helper.make_node("Constant", [], ["most"], value_int=2_000_000),
        helper.make_node("Mul", ["white", "most"], ["rounds"]),
        helper.make_node("Loop", ["rounds", "", came], [goes], body=keep),
    ]


def naive_features(image: np.ndarray, weights: np.ndarray = WEIGHTS, stride: int = STRIDE) -> np.ndarray:
    """What `small_model` answers, block by block in float64."""
    rows, columns = (-(-n // stride) for n in image.shape)
    blocks = np.array(
        [
            [image[r * stride : (r + 1) * stride, c * stride : (c + 1) * stride].mean() / 255.0 for c in range(columns)]
            for r in range(rows)
        ]
    )
    return blocks[..., None] * weights[0]
