"""Networks that fill in hidden pixels; their encoders give the features.

After the paper (Lévy, Godard, Masson, "Towards robust fetus segmentation from MRI imaging"): an encoder of five blocks,
each two 3×3 convolutions followed by batch normalisation and ReLU, and a decoder that mirrors it. Five poolings of 50
pixels do not give the paper's 7, so our reading pools after the first three blocks only, keeping odd borders: 50, 25, 13,
7. The decoder goes 7, 14 cropped to 13, 26 cropped to 25, 50.

``naive``
    16 filters in the last block of the encoder, and so at the bottleneck.
``final``
    512 of them: 7×7×512 for a patch of 50.
``deeper``
    As ``final``, then one convolution as wide as its grid to 1×1×1024, from which a transposed one begins the decoder.

The critic, which is not in the paper, tells true patches from filled ones (Pathak and others, "Context encoders: feature
learning by inpainting", 2016): convolutions that halve the patch until few pixels are left. The projector, which is not
in it either, stands between a latent and the contrastive loss (`trainer.contrast`), and is thrown away after training.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from trainer.backend import load

STRIDE = 8  # three poolings of two
_POOLED = (32, 64, 128)
_UNPOOLED = 256
_LAST = {"naive": 16, "final": 512, "deeper": 512}
_POINT = {"deeper": 1024}  # filters of a bottleneck that has one place for a patch
_CRITIC = (32, 64, 128)
_PROJECTED = (256, 64)


@dataclass(frozen=True)
class Networks:
    """What is built together and shares its weights.

    Attributes:
        model: Keras model, corrupted patches ``(n, patch, patch, 1)`` → filled in patches of that shape, float32, 0–1.
        encoder: Keras model, ``(n, rows, columns, 1)`` of any size → ``(n, ceil(rows / 8), ceil(columns / 8), channels)``.
        both: Keras model, what ``model`` takes → what it gives, and what ``encoder`` gives for it.
    """

    model: Any
    encoder: Any
    both: Any


def build(name: str, patch: int, precision: str = "float32") -> Networks:
    """A network with fresh weights.

    Args:
        name: which, see this module's head.
        patch: side of a patch, in pixels.
        precision: of its computation, ``float32`` or ``bfloat16``; weights and answers are float32 with both.
    """
    _, keras = load()
    with _computing(keras, precision):
        grid = -(-patch // STRIDE)
        encoder = _encoder(keras, name, grid)
        corrupted = keras.Input((patch, patch, 1), name="corrupted")
        latent = coded = encoder(corrupted)
        if name in _POINT:  # of the grid's places, the one whose convolution sees all of the patch and nothing else
            sides = (grid - 1) // 2, grid // 2
            latent = keras.layers.Cropping2D((sides, sides))(latent)
            latent = _block(keras, keras.layers.Conv2DTranspose(_LAST[name], grid), latent)
        filled = _decode(keras, latent, name, patch)
        model = keras.Model(corrupted, filled, name=f"{name}_inpainting")
        return Networks(model, encoder, keras.Model(corrupted, [filled, coded]))


def in_float32(networks: Networks, name: str, patch: int) -> Networks:
    """The same weights in networks that compute in float32: ONNX knows no convolution in bfloat16."""
    exact = build(name, patch)
    exact.model.set_weights(networks.model.get_weights())
    return exact


def build_critic(patch: int, precision: str = "float32") -> Any:
    """Keras model, patches ``(n, patch, patch, 1)`` → ``(n, 1)`` float32, the higher the truer they look."""
    _, keras = load()
    with _computing(keras, precision):
        patches = keras.Input((patch, patch, 1), name="patches")
        x = patches
        for filters in _CRITIC:
            x = keras.layers.Conv2D(filters, 4, strides=2, padding="same")(x)
            x = keras.layers.LeakyReLU(0.2)(x)
        x = keras.layers.Dense(1, dtype="float32")(keras.layers.Flatten()(x))
        return keras.Model(patches, x, name="critic")


def build_projector(channels: int, precision: str = "float32") -> Any:
    """Keras model, latents ``(n, r, c, channels)`` → ``(n, 64)`` float32, where the contrastive loss compares them."""
    _, keras = load()
    with _computing(keras, precision):
        latent = keras.Input((None, None, channels), name="latent")
        x = keras.layers.GlobalAveragePooling2D()(latent)
        x = keras.layers.Dense(_PROJECTED[0], activation="relu")(x)
        return keras.Model(latent, keras.layers.Dense(_PROJECTED[1], dtype="float32")(x), name="projector")


@contextmanager
def _computing(keras: Any, precision: str) -> Iterator[None]:
    """Layers made here compute in this precision."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _encoder(keras: Any, name: str, grid: int) -> Any:
    image = keras.Input((None, None, 1), name="slice")
    x = image
    for filters in _POOLED:
        x = _double_block(keras, x, filters)
        x = keras.layers.MaxPooling2D(2, padding="same")(x)
    x = _double_block(keras, x, _UNPOOLED)
    x = _double_block(keras, x, _LAST[name])
    if name in _POINT:
        x = _block(keras, keras.layers.Conv2D(_POINT[name], grid, padding="same", use_bias=False), x)
    return keras.Model(image, keras.layers.Activation("linear", dtype="float32")(x), name=name)


def _decode(keras: Any, latent: Any, name: str, patch: int) -> Any:
    x = _double_block(keras, latent, _LAST[name])
    x = _double_block(keras, x, _UNPOOLED)
    sizes = [patch]
    for _ in _POOLED:
        sizes.append(-(-sizes[-1] // 2))
    for filters, coarse, fine in zip(reversed(_POOLED), reversed(sizes[1:]), reversed(sizes[:-1])):
        x = keras.layers.UpSampling2D(2)(x)
        x = keras.layers.Cropping2D(((0, 2 * coarse - fine), (0, 2 * coarse - fine)))(x)
        x = _double_block(keras, x, filters)
    # Intensities lie in 0–1, and so does a sigmoid.
    return keras.layers.Conv2D(1, 1, activation="sigmoid", dtype="float32", name="filled")(x)


def _double_block(keras: Any, x: Any, filters: int) -> Any:
    """Two 3×3 convolutions, each followed by batch normalisation (whose offset serves as bias) and ReLU."""
    for _ in range(2):
        x = _block(keras, keras.layers.Conv2D(filters, 3, padding="same", use_bias=False), x)
    return x


def _block(keras: Any, convolution: Any, x: Any) -> Any:
    """A convolution with normalisation and ReLU.

    Normalisation is over the whole batch, however many replicas share it, so that their number changes nothing. Its running
    averages follow within tens of steps (Keras' own 0.99 takes hundreds): a short run would else be judged by old ones.
    """
    return keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9, synchronized=True)(convolution(x)))
