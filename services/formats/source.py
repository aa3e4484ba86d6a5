"""What the readers share: files as the user has them, limits, and the turning of foreign exceptions into our errors."""

from __future__ import annotations

import io
import logging
import os
import shutil
import unicodedata
import warnings
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path, PurePosixPath
from typing import Any

from services.core.errors import CalqueError, Choice, InvalidInput, Reason, TooLarge
from services.core.scratch import scratch_folder

MAX_VOXELS = 2**31
MAX_SLICES = 20_000
MAX_FILES = 50_000
MAX_CHOICES = 1_000
# What packs better than this is no image; only asked above a size that does no harm.
MAX_RATIO, SMALL_BYTES = 200, 1 << 28
# Length in mm of the units that files name.
UNIT_MM = {
    "m": 1000.0, "meter": 1000.0, "metre": 1000.0, "cm": 10.0, "centimeter": 10.0, "mm": 1.0, "millimeter": 1.0,
    "millimetre": 1.0, "um": 1e-3, "µm": 1e-3, "μm": 1e-3, "micron": 1e-3, "microns": 1e-3, "micrometer": 1e-3,
    "nm": 1e-6, "nanometer": 1e-6, "inch": 25.4, "in": 25.4,
}  # fmt: skip
_MAX_NAME = 1024
# Controls, surrogates, and the marks that turn the direction of writing: a name with them is not what it looks like.
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

Progress = Callable[[int, int], None]

# The libraries' own messages quote what files contain; nothing of that may reach a log.
for _name in ("pydicom", "highdicom", "nibabel", "nibabel.global", "tifffile", "imagecodecs"):
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)


@dataclass(frozen=True)
class SourceFile:
    """One file of an import.

    Attributes:
        name: the user's name for it, folders parted by ``/``; only shown, never opened.
        path: where its bytes lie. They decide the format; neither name nor path does.
        more: where they go on, when they lie in several parts; see `joined`.
    """

    name: str
    path: Path
    more: tuple[Path, ...] = ()

    @property
    def size_bytes(self) -> int:
        """Size of the file."""
        return sum(part.stat().st_size for part in (self.path, *self.more))

    def open(self) -> io.BufferedReader:
        """The bytes, from the first part to the last."""
        return io.BufferedReader(_Parts((self.path, *self.more))) if self.more else self.path.open("rb")


class _Parts(io.RawIOBase):
    """Files that follow one another, read as one."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._ends = list(accumulate(path.stat().st_size for path in paths))
        self._at = 0
        # One at a time: there may be more parts than files that a process may open.
        self._open = 0, paths[0].open("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        number = bisect_right(self._ends, self._at)
        if number == len(self._paths):
            return 0
        if number != self._open[0]:
            self._open[1].close()
            self._open = number, self._paths[number].open("rb", buffering=0)
        self._open[1].seek(self._at - (self._ends[number - 1] if number else 0))
        got = self._open[1].readinto(buffer)
        self._at += got
        return got

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._ends[-1]}[whence]
        return self._at

    def close(self) -> None:
        self._open[1].close()
        super().close()


@contextmanager
def joined(files: Sequence[SourceFile], in_parts: Callable[[SourceFile], bool]) -> Iterator[list[SourceFile]]:
    """The files, as long as the context lasts, each in one piece but those that can be read ``in_parts``."""
    if not any(file.more for file in files):
        yield list(files)
        return
    with scratch_folder() as folder:
        whole = []
        for number, file in enumerate(files):
            if file.more and not in_parts(file):
                path = folder / f"{number:06d}"
                with file.open() as parts, path.open("wb") as out:
                    shutil.copyfileobj(parts, out, 1 << 20)
                file = SourceFile(file.name, path)
            whole.append(file)
        yield whole


def source_files(path: Path) -> list[SourceFile]:
    """The files of an import: ``path`` itself, all files of the folder and the folders in it, sorted by name, or, where
    ``path`` is the DICOMDIR of a disc or a header without its voxels, the files that it names.

    Hidden files and folders are left out, links to folders are not followed. Names start with the folder's own name.

    Raises:
        InvalidInput: there is nothing, or nothing that can be opened.
        TooLarge: more than `MAX_FILES` files.
    """
    path = Path(path)
    if path.is_file() and path.name.upper() == "DICOMDIR":
        from services.formats.dicomdir import disc_files  # needs pydicom, which who reads only masks does not have

        return disc_files(path)
    if path.is_file() and path.suffix.lower() in (".nhdr", ".mhd"):
        from services.formats.detached import with_voxels

        return with_voxels(path)
    if path.is_file():
        return [SourceFile(path.name, path)]
    if not path.is_dir():
        raise InvalidInput(f"There is no file or folder “{path.name}”.", Reason.FILE_NOT_READABLE)
    root = path.resolve()
    found: list[SourceFile] = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for name in names:
            file = Path(folder, name)
            if not name.startswith(".") and file.is_file():
                found.append(SourceFile((PurePosixPath(root.name) / file.relative_to(root).as_posix()).as_posix(), file))
        if len(found) > MAX_FILES:
            raise TooLarge(f"The folder “{root.name}” holds more than {MAX_FILES} files; choose one series.")
    if not found:
        raise InvalidInput(f"The folder “{root.name}” holds no files.", Reason.FILE_NOT_AN_IMAGE)
    return sorted(found, key=lambda file: file.name)


def check_names(files: list[SourceFile]) -> None:
    """Refuse names that cannot be shown safely or that climb out of their folder. Raises: InvalidInput."""
    for file in files:
        name = file.name
        if not 0 < len(name) <= _MAX_NAME:
            raise InvalidInput(f"The file name {_harmless(name)} is empty or longer than {_MAX_NAME} characters.")
        if any(map(_unshowable, name)):
            raise InvalidInput(
                f"The name of the file {_harmless(name)} has characters that cannot be shown; rename the file."
            )
        if name.startswith("/") or ".." in PurePosixPath(name.replace("\\", "/")).parts:
            raise InvalidInput(f"The file name {_harmless(name)} leads out of its folder; rename the file.")


def _unshowable(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cs") or character in _TURNING


def _harmless(name: str) -> str:
    """A name in quotes that may be anything: what cannot be shown is replaced."""
    return short_name("".join("\N{REPLACEMENT CHARACTER}" if _unshowable(c) else c for c in name[-60:]))


def short_name(name: str) -> str:
    """A name in quotes, cut from the left to what fits into a sentence: its end tells most."""
    return f"“{name if len(name) <= 60 else '…' + name[-59:]}”"


def one_line(value: object, most: int) -> str:
    """Text of a header as one printable line of at most so many characters."""
    return "".join(c for c in str(value or "") if c.isprintable()).strip()[:most]


@contextmanager
def refusing(name: str) -> Iterator[None]:
    """Turn whatever a library raises about the file ``name`` into one sentence of our tree.

    The original exception is dropped on purpose: its text may quote the file, and files hold patient data.
    """
    shown = short_name(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except CalqueError:
            raise
        except (MemoryError, RecursionError):
            raise TooLarge(f"The file {shown} needs more memory than is allowed.") from None
        except EOFError:
            raise truncated(name) from None
        except Exception:
            raise InvalidInput(f"The file {shown} is damaged and could not be read.", Reason.FILE_NOT_READABLE) from None


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Let what a `Volume` finds wrong with its parts say that it is about the file ``name``."""
    try:
        yield
    except InvalidInput as error:
        told = str(error)
        raise InvalidInput(
            f"The file {short_name(name)} cannot be used: {told[0].lower()}{told[1:]}", error.reason
        ) from None


def frame_choices(texts: Sequence[str]) -> tuple[Choice, ...]:
    """One of some frames is to be chosen, by its number from 1; ``texts`` say what each is."""
    return tuple(Choice(str(number), text) for number, text in enumerate(texts[:MAX_CHOICES], 1))


def truncated(name: str) -> InvalidInput:
    """The error for a file that ends too early."""
    return InvalidInput(
        f"The file {short_name(name)} ends before its image does; copy it again from its source.", Reason.FILE_TRUNCATED
    )


def bad_header(name: str, what: str) -> InvalidInput:
    """The error for a header that cannot be right; ``what`` continues “The file …”."""
    return InvalidInput(f"The file {short_name(name)} {what}.", Reason.FILE_HEADER_INVALID)


def check_size(name: str, slices: int, rows: int, columns: int) -> None:
    """Refuse sizes that are not positive or above `MAX_VOXELS`. Raises: InvalidInput, TooLarge."""
    if min(slices, rows, columns) < 1:
        raise bad_header(name, "says that its image has no size")
    if slices > MAX_SLICES or slices * rows * columns > MAX_VOXELS:
        raise TooLarge(
            f"The file {short_name(name)} says that its volume has {columns} × {rows} × {slices} voxels; "
            f"at most {MAX_VOXELS} voxels and {MAX_SLICES} slices are read."
        )


def check_packing(file: SourceFile, unpacked_bytes: int) -> None:
    """Refuse a packed file whose header announces more than such a file can hold. Raises: TooLarge."""
    if unpacked_bytes > SMALL_BYTES and unpacked_bytes > file.size_bytes * MAX_RATIO:
        raise TooLarge(
            f"The compressed file {short_name(file.name)} says that its image is more than {MAX_RATIO} times as large "
            "as the file; it is not unpacked."
        )
