"""What the scenes are played with: volumes with pictures, and files to import."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from calque.v1.volumes_pb2 import Volume
from numpy.typing import NDArray

from tablet_client.link.fake_volume import fake_volume

NAMES = (
    "Case 0417 T2 HASTE",
    "Case 0418",
    "Case 0402, T1 with a name that is far too long for its card",
    "Case 0399",
    "0395",
)
"""Of the volumes, the newest first; the first has thick slices, the fourth is a CT."""

LONG_NAME = f"A name {'that goes on ' * 14}.npy"


def volumes(voxels: NDArray[np.uint16]) -> list[tuple[Volume, NDArray[np.uint16]]]:
    """The volumes of `NAMES`, made of one, with thumbnails."""
    made = []
    for k, name in enumerate(NAMES):
        part = np.ascontiguousarray(voxels[k:][:: 4 if k == 0 else 1])
        message, kept = fake_volume(part, name, (4.0 if k == 0 else 1.0, 1.0, 1.0), imported_ms=1_795_000_000_000 - k)
        message.modality = "CT" if k == 3 else "MR"
        message.thumbnail = picture_of(kept[len(kept) // 2])
        made.append((message, kept))
    return made


def some_files(folder: Path) -> Path:
    """A folder with folders and files in it."""
    held = folder / "Hospital"
    (held / "2026-11 Neuro").mkdir(parents=True)
    for name, size in (("case 0417.nii.gz", 2_400_000), ("stack.tif", 900), (LONG_NAME, 41_000)):
        (held / name).write_bytes(bytes(size))
    return held


def several_series(folder: Path) -> Path:
    """A folder of several series: one with frames and a missing slice, a plain one, one of a long name, a broken one."""
    held = folder / "several"
    held.mkdir()
    times = np.ones((3, 8, 64, 64), dtype=np.uint16)
    times[:, 3] = 7  # a missing slice, for the server in memory
    np.save(held / "Dynamic, a slice missing.npy", times)
    np.save(held / "T2 HASTE coronal.npy", np.ones((30, 96, 96), dtype=np.uint16))
    np.save(held / LONG_NAME, np.ones((12, 96, 96), dtype=np.uint16))
    (held / "Broken copy.npy").write_bytes(b"nothing")
    return held


def picture_of(image: NDArray[np.uint16]) -> bytes:
    """A JPEG of a slice ``(rows, columns)``, by Kivy's own writer."""
    from kivy.core.image import Image
    from kivy.graphics.texture import Texture

    rows, columns = image.shape
    grey = (image / max(1, int(image.max())) * 255).astype(np.uint8)
    texture = Texture.create(size=(columns, rows), colorfmt="rgb")
    texture.blit_buffer(np.repeat(grey[:, :, None], 3, axis=2).tobytes(), colorfmt="rgb", bufferfmt="ubyte")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "picture.jpg"
        Image(texture).save(str(file), flipped=False)
        return file.read_bytes()


def head(shape: tuple[int, int, int] = (96, 180, 150)) -> NDArray[np.uint16]:
    """A drawn head: ellipsoids of different greys."""
    s, r, c = (np.linspace(-1, 1, n) for n in shape)
    place = np.stack(np.meshgrid(s, r, c, indexing="ij"))
    voxels = np.zeros(shape)
    for grey, size, middle in ((900, 0.9, 0.0), (600, 0.82, 0.0), (1400, 0.5, 0.1), (300, 0.2, -0.2)):
        voxels[((place - middle) ** 2).sum(0) < size**2] = grey
    return np.asarray(voxels + 40 * np.sin(9 * place.sum(0)) * (voxels > 0), dtype=np.uint16)
