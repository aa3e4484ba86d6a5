"""TIFF files → what can be chosen among them: which files make a volume together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from services.core.errors import CalqueError
from services.formats.offer import Offer, tried
from services.formats.repair import Repairs
from services.formats.source import SourceFile
from services.formats.tiff import Stack, choose_frame, kept, natural_key, opened


@dataclass(frozen=True)
class TiffGroup:
    """Files that make one volume: a stack, or the single pages of a folder. ``key`` is what to ask for."""

    key: str
    files: tuple[SourceFile, ...]
    stacks: tuple[Stack, ...]  # of the files that can be read
    error: CalqueError | None  # of the first that cannot

    def offer(self) -> Offer:
        """What it holds, by its headers."""

        def plan(frame: int | None, repairs: Repairs) -> Stack:
            if self.error is not None:
                raise self.error
            choose_frame(self.files[0], self.stacks[0], frame)
            return self.stacks[0]

        return tried(Offer(key=self.key, place=self.key.rstrip("/")), plan, self._described)

    def _described(self, offer: Offer, stack: Stack) -> Offer:
        slice_mm, row_mm, column_mm = stack.spacing_mm
        slices = stack.slices if len(self.files) == 1 else len(self.files)
        rows, columns = stack.shape
        return replace(offer, columns=columns, rows=rows, slices=slices, spacing_mm=(column_mm, row_mm, slice_mm))


def tiff_groups(files: Sequence[SourceFile]) -> list[TiffGroup]:
    """Which files make a volume together: the single pages of one folder, where all have the same size and type; a page
    that cannot be read is one of them. Every other file is a volume itself."""
    folders: dict[str, list[SourceFile]] = {}
    for file in files:
        folders.setdefault(str(PurePosixPath(file.name).parent), []).append(file)
    return [group for folder, held in folders.items() for group in _groups_of_folder(folder, held)]


def _groups_of_folder(folder: str, files: Sequence[SourceFile]) -> list[TiffGroup]:
    pages: list[tuple[SourceFile, Stack | CalqueError]] = []
    alone: list[tuple[SourceFile, Stack | CalqueError]] = []
    for file in sorted(files, key=lambda f: natural_key(f.name)):
        try:
            with opened(file) as (_, _, stack):
                (pages if stack.slices == 1 else alone).append((file, stack))
        except CalqueError as error:
            pages.append((file, error))
    alike = {(stack.shape, kept(stack.dtype), len(stack.pages_of)) for _, stack in pages if isinstance(stack, Stack)}
    if len(alike) == 1 and len(pages) > 1:
        return [_group(f"{folder}/", pages), *(_group(one[0].name, [one]) for one in alone)]
    return [_group(one[0].name, [one]) for one in [*pages, *alone]]


def _group(key: str, read: Sequence[tuple[SourceFile, Stack | CalqueError]]) -> TiffGroup:
    return TiffGroup(
        key,
        tuple(file for file, _ in read),
        tuple(stack for _, stack in read if isinstance(stack, Stack)),
        next((error for _, error in read if isinstance(error, CalqueError)), None),
    )
