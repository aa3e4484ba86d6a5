"""The network behind the embedding service: an ONNX model, run by ONNX Runtime.

The model contract, which ``trainer.export`` meets and any other trainer may meet:

file
    One self-contained ONNX file, no external data, standard operators only. It is known by the SHA-256 of its bytes.
input
    One, float32 ``(slices, rows, columns, 1)``, rows and columns dynamic: slices over the volume's intensity window, scaled
    to 0–1 (the 8-bit values of the request divided by 255). Slices are dynamic too, or 1: then each is run alone.
output
    One, float32 ``(slices, ceil(rows / stride), ceil(columns / stride), channels)``, channels fixed, always finite and
    within float16. Grid point ``(r, c)`` describes the pixels around ``(r, c) × stride + (stride - 1) / 2``.
metadata_props
    ``calque.stride``, pixels between grid points, 1–256; ``calque.name``, for people; ``calque.bounded``, "1" where all
    features lie within 0–1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from services.core.errors import CalqueError, ChoiceNeeded, InvalidInput, Reason
from services.embedding.onnx_file import has_external_data
from services.embedding.providers import PREFERRED, sessions

STRIDE_KEY = "calque.stride"
NAME_KEY = "calque.name"
BOUNDED_KEY = "calque.bounded"
LARGEST_STRIDE = 256

log = structlog.get_logger()


@dataclass(frozen=True)
class Encoder:
    """A loaded model. Safe to call from several threads.

    Attributes:
        name: for people, from the model's metadata.
        digest: SHA-256 of the ONNX file, hexadecimal.
        size_bytes: size of the ONNX file.
        channels: features at a grid point.
        stride: pixels between grid points.
        bounded: all features lie within 0–1.
        takes_several: whether slices of one size can be run together.
        provider: the ONNX Runtime execution provider that really runs, see `services.embedding.providers`.
    """

    name: str
    digest: str
    size_bytes: int
    channels: int
    stride: int
    bounded: bool
    takes_several: bool
    provider: str
    _session: Any

    @classmethod
    def load(
        cls, model: Path | bytes, *, digest: str = "", providers: Sequence[str] = PREFERRED, threads: int = 0
    ) -> Encoder:
        """Read a model, check it against the contract and run it once, on the first provider that does it.

        Args:
            model: the ONNX file or its bytes.
            digest: SHA-256 that it must have, hexadecimal; empty: any.
            providers: execution providers in order of preference; those that this machine lacks are passed over.
            threads: threads of one run; 0 leaves the number to ONNX Runtime.

        Raises:
            InvalidInput: the file cannot be read, is no ONNX model, refers to other files, or breaks the contract.
            ChoiceNeeded: it is another model than the digest says, it answers not-a-number, or no provider is here.
        """
        data = model if isinstance(model, bytes) else _read(model)
        found = hashlib.sha256(data).hexdigest()
        if digest and found != digest.lower():
            raise ChoiceNeeded(
                f"The model is another one than was asked for: its SHA-256 begins with {found[:12]}, not {digest[:12]}.",
                Reason.MODEL_NOT_USABLE,
            )
        if has_external_data(data):
            raise _unusable("The model refers to other files; it must be one self-contained ONNX file.")
        failed: CalqueError | None = None
        for provider, session in sessions(data, providers, threads):
            metadata = session.get_modelmeta().custom_metadata_map
            encoder = cls(
                name=_name(metadata),
                digest=found,
                size_bytes=len(data),
                channels=_channels(session),
                stride=_stride(metadata),
                bounded=metadata.get(BOUNDED_KEY) == "1",
                takes_several=session.get_inputs()[0].shape[0] != 1,
                provider=provider,
                _session=session,
            )
            try:
                encoder.try_out()
            except ChoiceNeeded as error:
                log.warning("model failed its trial", provider=provider)
                failed = error
                continue
            return encoder
        assert failed is not None  # there was a session, or an error
        raise failed

    def try_out(self) -> None:
        """Run once, on two slices where it takes several. Raises: ChoiceNeeded, as `features`."""
        slices = 2 if self.takes_several else 1
        self.features(np.full((slices, 2 * self.stride + 1, 3 * self.stride), 128, np.uint8))

    def grid(self, rows: int, columns: int) -> tuple[int, int]:
        """Rows and columns of the grid that an image of this size gets."""
        return -(-rows // self.stride), -(-columns // self.stride)

    def features(self, images: NDArray[np.uint8]) -> NDArray[np.float16]:
        """Dense features of slices of one size, in one run.

        Args:
            images: ``(slices, rows, columns)`` uint8, the volume's intensity window as 0–255; only one where the model
                does not take several.

        Returns:
            ``(slices, grid_rows, grid_columns, channels)`` float16, see `grid`.

        Raises:
            ChoiceNeeded: the model failed, answered another shape than its contract says, or not-a-number.
        """
        slices, rows, columns = images.shape
        scaled = (images.astype(np.float32) / np.float32(255.0))[..., None]
        try:
            (answer,) = self._session.run(None, {self._session.get_inputs()[0].name: scaled})
        except Exception as error:  # ONNX Runtime's errors have no common base but Exception
            raise ChoiceNeeded(f"The model “{self.name}” failed on this slice.", Reason.MODEL_NOT_USABLE) from error
        expected = (slices, *self.grid(rows, columns), self.channels)
        if answer.shape != expected:
            raise ChoiceNeeded(
                f"The model “{self.name}” answers the shape {answer.shape} instead of {expected}.", Reason.MODEL_NOT_USABLE
            )
        with np.errstate(over="ignore", invalid="ignore"):  # both are refused in the next line
            features: NDArray[np.float16] = answer.astype(np.float16)
        if not np.isfinite(features).all():
            raise ChoiceNeeded(
                f"The model “{self.name}” answers values that are not numbers, or too large for 16 bits.",
                Reason.MODEL_NOT_USABLE,
            )
        return features


def _unusable(message: str) -> CalqueError:
    return InvalidInput(message, Reason.MODEL_NOT_USABLE)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unusable(f"The model's file cannot be read ({error.strerror}).") from error


def _channels(session: Any) -> int:
    """The width of the one output, after input and output were checked against the contract."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(outputs) != 1:
        raise _unusable(f"The model has {len(inputs)} inputs and {len(outputs)} outputs instead of one each.")
    for end in (inputs[0], outputs[0]):
        if end.type != "tensor(float)" or len(end.shape) != 4:
            raise _unusable(f"The model's “{end.name}” is not a float32 tensor of four dimensions.")
    batch, rows, columns, grey = inputs[0].shape
    if (isinstance(batch, int) and batch != 1) or grey != 1 or isinstance(rows, int) or isinstance(columns, int):
        raise _unusable("The model's input is not (slices, rows, columns, 1) with rows and columns left open.")
    channels = outputs[0].shape[3]
    if not isinstance(channels, int) or channels < 1:
        raise _unusable("The model does not say how many features it answers.")
    return channels


def _stride(metadata: dict[str, str]) -> int:
    text = metadata.get(STRIDE_KEY, "")
    # isascii: str.isdigit accepts digits that int() reads and nobody writes
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= LARGEST_STRIDE):
        raise _unusable(f"The model's metadata lacks {STRIDE_KEY}, a number from 1 to {LARGEST_STRIDE}.")
    return int(text)


def _name(metadata: dict[str, str]) -> str:
    name = metadata.get(NAME_KEY, "").strip()
    if not name or len(name) > 200 or not name.isprintable():
        raise _unusable(f"The model's metadata lacks {NAME_KEY}, a name of one line.")
    return name
