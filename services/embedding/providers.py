"""On what a model runs: the first of ONNX Runtime's execution providers, in order of preference, that really runs it.

ONNX Runtime lists what it was built with. Whether the libraries and the device of a provider are there shows only when a
session is opened: one that cannot load raises, or is left out of the session without a word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import onnxruntime
import structlog

from services.core.errors import CalqueError, ChoiceNeeded, InvalidInput, Reason

log = structlog.get_logger()

TENSORRT = "TensorrtExecutionProvider"
CUDA = "CUDAExecutionProvider"
OPENVINO = "OpenVINOExecutionProvider"
CPU = "CPUExecutionProvider"
PREFERRED = (TENSORRT, CUDA, OPENVINO, CPU)
ON_GRAPHICS_CARDS = (TENSORRT, CUDA)

_SETTINGS = {"tensorrt": TENSORRT, "cuda": CUDA, "openvino": OPENVINO, "cpu": CPU}
_OPTIONS: dict[str, dict[str, str]] = {
    CUDA: {"use_tf32": "0"},  # TensorFloat-32 would cost the answers half of float16's digits
    OPENVINO: {"precision": "ACCURACY"},  # as the model says: where the device has 16 bits, it would take these
}
# What a provider leaves of a model to others.
_REST = {TENSORRT: (CUDA, CPU), CUDA: (CPU,), OPENVINO: (CPU,), CPU: ()}


def named(setting: str) -> tuple[str, ...]:
    """The providers of a setting such as ``cuda,cpu``, in its order. Raises: InvalidInput, it has another word."""
    words = [word.strip().lower() for word in setting.split(",")]
    if unknown := [word for word in words if word not in _SETTINGS]:
        raise InvalidInput(f"The encoder runs on {', '.join(_SETTINGS)}; not on “{unknown[0]}”.")
    return tuple(_SETTINGS[word] for word in words)


def sessions(data: bytes, providers: Sequence[str], threads: int) -> Iterator[tuple[str, Any]]:
    """A provider with a session of the model that it runs, then the same of the next one, for who finds that it fails.

    Args:
        data: ONNX model.
        providers: in order of preference; those that this build of ONNX Runtime lacks are passed over.
        threads: of one run; 0 leaves the number to ONNX Runtime.

    Raises:
        ChoiceNeeded: the build has none of them.
        InvalidInput: the last of them cannot load the model.
    """
    listed = onnxruntime.get_available_providers()
    here = [provider for provider in providers if provider in listed]
    if not here:
        raise ChoiceNeeded(
            f"None of {', '.join(providers)} is on this machine, which has {', '.join(listed)}.", Reason.MODEL_NOT_USABLE
        )
    for provider in here:
        try:
            session = _open(data, provider, threads)
        except CalqueError:
            if provider == here[-1]:
                raise
            log.warning("provider not usable", provider=provider)
            continue
        yield provider, session


def _open(data: bytes, provider: str, threads: int) -> Any:
    """Raises: InvalidInput, the provider cannot load the model, or is not there in truth."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors come as exceptions; warnings here speak of graph optimisation
    listed = onnxruntime.get_available_providers()
    wanted = [(name, _OPTIONS.get(name, {})) for name in (provider, *_REST[provider]) if name in listed]
    try:
        # Its own fallback would print on standard output, and leave out the providers in between.
        session = onnxruntime.InferenceSession(data, options, providers=wanted, enable_fallback=0)
    except Exception as error:  # ONNX Runtime's errors have no common base but Exception
        raise InvalidInput(
            "ONNX Runtime cannot load the model: it is damaged, or uses operators that are not standard.",
            Reason.MODEL_NOT_USABLE,
        ) from error
    if session.get_providers()[0] != provider:
        raise InvalidInput(f"ONNX Runtime cannot load {provider}.", Reason.MODEL_NOT_USABLE)
    return session
