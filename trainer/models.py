"""Networks that fill in hidden pixels; their encoders give the features.

After the paper (Lévy, Godard, Masson, "Towards robust fetus segmentation from MRI imaging"): an encoder of five blocks,
each two 3×3 convolutions followed by batch normalisation and ReLU, and a decoder that mirrors it. Five poolings of 50
pixels do not give the paper's 7, so our reading pools after the first three blocks only, keeping odd borders: 50, 25, 13,
7. The decoder goes 7, 14 cropped to 13, 26 cropped to 25, 50.

``naive``
    16 filters in the last block of the encoder, and so at the bottleneck.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trainer.backend import load

STRIDE = 8  # three poolings of two
_POOLED = (32, 64, 128)
_UNPOOLED = 256
_BOTTLENECK = {"naive": 16}


@dataclass(frozen=True)
class Networks:
    """What is built together and shares its weights.

    Attributes:
        model: Keras model, corrupted patches ``(n, patch, patch, 1)`` → filled in patches of that shape, 0–1.
        encoder: Keras model, ``(n, rows, columns, 1)`` of any size → ``(n, ceil(rows / 8), ceil(columns / 8), channels)``.
    """

    model: Any
    encoder: Any


def build(name: str, patch: int) -> Networks:
    """A network with fresh weights.

    Args:
        name: which, see this module's head.
        patch: side of a patch, in pixels.
    """
    _, keras = load()
    encoder = _encoder(keras, name)
    corrupted = keras.Input((patch, patch, 1), name="corrupted")
    return Networks(
        keras.Model(corrupted, _decode(keras, encoder(corrupted), name, patch), name=f"{name}_inpainting"), encoder
    )


def _encoder(keras: Any, name: str) -> Any:
    image = keras.Input((None, None, 1), name="slice")
    x = image
    for filters in _POOLED:
        x = _block(keras, x, filters)
        x = keras.layers.MaxPooling2D(2, padding="same")(x)
    x = _block(keras, x, _UNPOOLED)
    return keras.Model(image, _block(keras, x, _BOTTLENECK[name]), name=name)


def _decode(keras: Any, latent: Any, name: str, patch: int) -> Any:
    x = _block(keras, latent, _BOTTLENECK[name])
    x = _block(keras, x, _UNPOOLED)
    sizes = [patch]
    for _ in _POOLED:
        sizes.append(-(-sizes[-1] // 2))
    for filters, coarse, fine in zip(reversed(_POOLED), reversed(sizes[1:]), reversed(sizes[:-1])):
        x = keras.layers.UpSampling2D(2)(x)
        x = keras.layers.Cropping2D(((0, 2 * coarse - fine), (0, 2 * coarse - fine)))(x)
        x = _block(keras, x, filters)
    # Intensities lie in 0–1, and so does a sigmoid.
    return keras.layers.Conv2D(1, 1, activation="sigmoid", name="filled")(x)


def _block(keras: Any, x: Any, filters: int) -> Any:
    """Two 3×3 convolutions, each followed by batch normalisation (whose offset serves as bias) and ReLU.

    Normalisation is over the whole batch, however many replicas share it, so that their number changes nothing.
    """
    for _ in range(2):
        x = keras.layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = keras.layers.BatchNormalization(synchronized=True)(x)
        x = keras.layers.ReLU()(x)
    return x
