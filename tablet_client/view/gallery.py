"""Pictures of all screens, for looking at: ``python -m tablet_client.view.gallery FOLDER``.

The hand tours the real application over a server in memory (see `tablet_client.hand.scenes`), in each language, and leaves
every screen as ``FOLDER/LANGUAGE/WIDTHxHEIGHT/NAME.png`` in each of the sizes. ``--voxels FILE.npy`` shows other axial
slices ``(slices, rows, columns)`` than a drawn head, ``--sizes 1280x800 800x1280`` and ``--languages fr`` fewer pictures.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from tablet_client.hand.scenes import SIZES, Size, opened, tour
from tablet_client.main import settle_kivy, window_size
from tablet_client.state.words import LANGUAGES


def main(argv: list[str]) -> int:
    """Leave the pictures in a folder. Returns: 0, or 1 when a tour failed."""
    parser = argparse.ArgumentParser(prog="python -m tablet_client.view.gallery")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--voxels", type=Path)
    parser.add_argument("--sizes", type=window_size, nargs="+", default=SIZES)
    parser.add_argument("--languages", choices=LANGUAGES, nargs="+", default=list(LANGUAGES))
    options = parser.parse_args(argv)
    if len(options.languages) > 1:  # a process has one window, and an application ends with it
        alone = [sys.executable, "-m", "tablet_client.view.gallery", *argv, "--languages"]
        return max(subprocess.run([*alone, language], check=False).returncode for language in options.languages)
    settle_kivy(SIZES[0])
    asyncio.run(_pictures(options.folder, options.languages[0], options.sizes, options.voxels))
    return 0


async def _pictures(folder: Path, language: str, sizes: list[Size], voxels: Path | None) -> None:
    with tempfile.TemporaryDirectory(prefix="calque-gallery-") as held:
        async with opened(Path(held), language, None if voxels is None else np.load(voxels)) as world:
            async for scene in tour(world):
                for size in sizes:
                    await world.resize(size)
                    await world.hand.picture(str(folder / language / f"{size[0]}x{size[1]}" / f"{scene.name}.png"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
