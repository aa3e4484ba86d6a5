"""What ``calque run`` opens: the user's files, or the sample."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from services.core.volume import Volume
from services.formats.read import read_volume
from services.formats.repair import NO_REPAIRS, Repairs
from services.formats.sample import sample_volume
from services.formats.source import SourceFile, source_files


@dataclass(frozen=True)
class Source:
    """Files to open as one volume.

    Attributes:
        path: a file or a folder; None: the sample MRI.
        series: which series, where the files hold several.
        frame: which image of a 4-D file, from 0; None: there is only one.
        repairs: of slices that are uneven or tilted.
    """

    path: Path | None
    series: str = ""
    frame: int | None = None
    repairs: Repairs = NO_REPAIRS

    @property
    def name(self) -> str:
        """For the library; empty: the services make one of the files."""
        return "" if self.path else "ICBM152 T1"

    def files(self) -> list[SourceFile]:
        """The files. Raises: InvalidInput (there are none), Unavailable (no sample)."""
        return source_files(self.path or sample_volume())

    def read(self) -> Volume:
        """The volume as the services read it. Raises: CalqueError."""
        return read_volume(self.files(), series=self.series, frame=self.frame, repairs=self.repairs)
