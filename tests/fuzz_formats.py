"""Mutations of good files, read by the readers: ``python -m tests.fuzz_formats 20000 [seed]``.

Each mutation is a pure function of the seed and its number. A child process with a cap on its memory reads one after the
other; the parent notices when it dies or hangs, says at which number, and goes on behind it. A file must be read or be
refused with an error of the one tree. Where the truth is known, a volume that is read must be it:

- a file that was only cut off gives the volume that it gave whole, or a refusal;
- a file with a checksum over everything (gzip) gives that volume, or a refusal;
- in a plain file whose pixels alone were overwritten, the geometry is that of the whole file, and no more voxels differ
  than bytes were touched.
"""

from __future__ import annotations

import gzip
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import tifffile

from services.cli.children import peak_mib
from services.core.errors import CalqueError
from services.core.volume import Volume
from services.formats.read import read_volume, source_files
from tests.formats.bad_dicom import encoded, unsigned
from tests.phantoms import (
    enhanced_object,
    mosaic_object,
    save_dicom,
    write_dicom_series,
    write_metaimage,
    write_nifti,
    write_nrrd,
)

MEMORY = 3 << 30
SECONDS = 20.0
_NUMBERS = (0, 1, 2, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


@dataclass(frozen=True)
class Good:
    """A file, in its folder, that is read; ``pixels`` are the bytes of it that are voxels and nothing else."""

    name: str
    file: Path
    data: bytes
    volume: Volume
    pixels: tuple[int, int] | None


@dataclass
class Report:
    """What came of the mutations: counts of outcomes, what went wrong, and the largest memory of a child in MiB."""

    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    peak_mib: int = 0


def good_files(folder: Path) -> list[Good]:
    """One file of each kind."""
    phantom = unsigned()
    paths: dict[str, Path] = {}
    for name in ("RLE", "JPEG lossless", "JPEG-LS", "JPEG 2000", "HTJ2K", ""):
        write_dicom_series(phantom, folder / f"series {name}", change=encoded(name) if name else None)
        paths[f"DICOM {name}"] = folder / f"series {name}" / "IM0001"
    makers: dict[str, Callable[[Path], Any]] = {
        "enhanced.dcm": lambda p: save_dicom(enhanced_object(phantom), p),
        "mosaic.dcm": lambda p: save_dicom(mosaic_object(phantom), p),
        "plain.nii": lambda p: write_nifti(phantom, p),
        "packed.nii.gz": lambda p: write_nifti(phantom, p),
        "plain.nrrd": lambda p: write_nrrd(phantom, p, encoding="raw"),
        "packed.nrrd": lambda p: write_nrrd(phantom, p, encoding="gzip"),
        "bzip2.nrrd": lambda p: write_nrrd(phantom, p, encoding="bzip2"),
        "beside.nhdr": lambda p: write_nrrd(phantom, p, encoding="raw"),
        "plain.mha": lambda p: write_metaimage(phantom, p),
        "packed.mha": lambda p: write_metaimage(phantom, p, packed=True),
        "beside.mhd": lambda p: write_metaimage(phantom, p),
        "plain.tif": lambda p: tifffile.imwrite(p, phantom.voxels, photometric="minisblack"),
        "deflate.tif": lambda p: tifffile.imwrite(p, phantom.voxels, photometric="minisblack", compression="zlib"),
        "big.tif": lambda p: tifffile.imwrite(p, phantom.voxels, photometric="minisblack", bigtiff=True),
        "imagej.tif": lambda p: tifffile.imwrite(p, phantom.voxels, imagej=True, metadata={"axes": "ZYX", "unit": "mm"}),
        "ome.ome.tif": lambda p: tifffile.imwrite(p, phantom.voxels, ome=True, metadata={"axes": "ZYX"}),
    }
    for name, make in makers.items():
        (folder / name).mkdir()
        make(folder / name / name)
        paths[name] = folder / name / name
    packed = folder / "packed.dcm.gz"
    packed.mkdir()
    (packed / "packed.dcm.gz").write_bytes(gzip.compress(paths["enhanced.dcm"].read_bytes(), mtime=0))
    paths["packed.dcm.gz"] = packed / "packed.dcm.gz"
    return [
        Good(name, p, p.read_bytes(), read_volume(source_files(p.parent)), _pixels(name, p)) for name, p in paths.items()
    ]


def _pixels(name: str, path: Path) -> tuple[int, int] | None:
    data = path.read_bytes()
    if name in ("DICOM ", "enhanced.dcm", "mosaic.dcm"):
        pixels = pydicom.dcmread(path).PixelData
        start = data.rindex(pixels)
    elif name == "plain.nii":
        start, pixels = 352, data[352:]
    elif name in ("plain.nrrd", "plain.mha"):
        end = b"\n\n" if name == "plain.nrrd" else b"LOCAL\n"
        start = data.index(end) + len(end)
        pixels = data[start:]
    else:
        return None
    return start, start + len(pixels)


def mutated(good: Good, rng: np.random.Generator) -> tuple[bytes, str, int]:
    """Changed bytes, the kind of change, and how many bytes it touched."""
    data = bytearray(good.data)
    kind = str(rng.choice(["flip", "overwrite", "number", "cut", "remove", "insert", "repeat", "pixels"]))
    at = int(rng.integers(len(data) if rng.random() < 0.4 else min(len(data), 1500)))
    size = int(rng.integers(1, 33))
    if kind == "pixels" and good.pixels is None:
        kind = "overwrite"
    if kind == "flip":
        for place in rng.integers(len(data), size=int(rng.integers(1, 9))):
            data[place] ^= 1 << int(rng.integers(8))
    elif kind == "number":
        width = int(rng.choice([2, 4, 8]))
        number = int(rng.choice(_NUMBERS)) % (1 << 8 * width)
        data[at : at + width] = number.to_bytes(width, str(rng.choice(["little", "big"])))[: len(data) - at]  # type: ignore[arg-type]
    elif kind == "cut":
        del data[int(rng.integers(len(data))) :]
    elif kind == "remove":
        del data[at : at + size]
    elif kind == "insert":
        data[at:at] = rng.bytes(size)
    elif kind == "repeat":
        data[at:at] = data[at : at + 8 * size]
    else:
        start, end = good.pixels if kind == "pixels" and good.pixels else (0, len(data))
        at = int(rng.integers(start, end))
        size = min(size, end - at)
        data[at : at + size] = rng.bytes(size)
    return bytes(data), kind, size


def judge(good: Good, kind: str, touched: int, volume: Volume) -> str:
    """The outcome of a mutation that was read."""
    geometry = volume.shape == good.volume.shape and np.allclose(volume.affine, good.volume.affine, atol=1e-6)
    rescale = geometry and np.array_equal(volume.slope, good.volume.slope)
    same = rescale and np.array_equal(volume.voxels, good.volume.voxels)
    if same:
        return "read, the same"
    if kind == "cut" or good.name.endswith(".gz"):
        return f"WRONG: read as another volume after {kind}"
    if kind == "pixels":
        differ = int((volume.voxels != good.volume.voxels).sum()) if geometry else -1
        return "read, as many voxels changed" if 0 <= differ <= touched else "WRONG: other voxels than those overwritten"
    return "read, truth unknown"


def _child(told: Connection[Any, Any], folder: str, seed: int, first: int, last: int) -> None:
    files = good_files(Path(folder))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for number in range(first, last):
        rng = np.random.default_rng([seed, number])
        good = files[int(rng.integers(len(files)))]
        data, kind, touched = mutated(good, rng)
        told.send((number, f"{good.name}, {kind}", ""))
        good.file.write_bytes(data)
        try:
            outcome = judge(good, kind, touched, read_volume(source_files(good.file.parent)))
        except CalqueError as error:
            outcome = f"refused, {type(error).__name__}"
        except Exception as error:
            outcome = f"WRONG: {type(error).__name__} got out"
        finally:
            good.file.write_bytes(good.data)
        told.send((number, f"{good.name}, {kind}", outcome))
    told.send((last, "", str(peak_mib(os.getpid()) or 0)))


def fuzz(count: int, seed: int, first: int = 0) -> Report:
    """Read mutations ``first`` to ``first + count``."""
    report = Report()
    context = multiprocessing.get_context("spawn")
    end = first + count
    while first < end:
        ours, theirs = context.Pipe(duplex=False)
        with tempfile.TemporaryDirectory(prefix="calque-fuzz-") as folder:
            child = context.Process(target=_child, args=(theirs, folder, seed, first, end), daemon=True)
            child.start()
            theirs.close()
            first = _follow(ours, report, first, end)
            child.kill()
            child.join()
            ours.close()
    return report


def _follow(ours: Connection[Any, Any], report: Report, first: int, end: int) -> int:
    """Listen to a child until it is done, dies or hangs; the number to go on with."""
    at, what = first, "making the good files"
    patience = 6 * SECONDS  # to start
    while True:
        try:
            if not ours.poll(patience):
                report.wrong.append(f"{at}: hangs ({what})")
                return at + 1
            at, what, outcome = ours.recv()
        except (EOFError, OSError):
            report.wrong.append(f"{at}: crashes ({what})")
            return at + 1
        patience = SECONDS
        if at == end:
            report.peak_mib = max(report.peak_mib, int(outcome))
            return end
        if outcome:
            report.outcomes[outcome] += 1
            if outcome.startswith("WRONG"):
                report.wrong.append(f"{at}: {outcome} ({what})")


if __name__ == "__main__":
    wanted, chosen = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    start = time.monotonic()
    result = fuzz(wanted, chosen)
    for outcome, number in sorted(result.outcomes.items()):
        print(f"{number:7} {outcome}")
    print(f"{wanted} mutations of seed {chosen} in {time.monotonic() - start:.0f} s, peak memory {result.peak_mib} MiB")
    print(*result.wrong or ["nothing went wrong"], sep="\n")
    sys.exit(bool(result.wrong))
