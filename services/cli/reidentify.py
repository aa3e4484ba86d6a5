"""``calque reidentify``: a segmentation of a de-identified series goes back to the original one, by the key."""

from __future__ import annotations

from pathlib import Path

from services.core.errors import InvalidInput, Reason
from services.formats.reidentify import reidentified
from services.formats.source import source_files
from services.formats.volume_file import refuse_existing, whole_file
from services.volumes.pseudonymkey import read_key


def reidentify(source: Path, series: Path, key: Path, target: Path, *, force: bool) -> list[str]:
    """Write ``target``: ``source`` with the UIDs, the patient and the study of the original ``series``.

    Returns:
        What was written, in sentences without patient data.

    Raises:
        CalqueError: as in `reidentified` and `read_key`, or ``target`` is there; nothing is left then.
    """
    if not force:
        refuse_existing(target)
    files = source_files(source)
    if len(files) != 1:
        raise InvalidInput("One file is given back at a time; name the file.", Reason.REQUEST_INVALID)
    data, images = reidentified(files[0], source_files(series), read_key(key))
    with whole_file(target, force) as out:
        out.write(data)
    return [
        f"Wrote {target.name}: it names the original study and patient, and {images} of the original images.",
        "It tells who the patient is: keep it where the originals are kept.",
    ]
