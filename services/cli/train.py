"""``calque train``: volumes in, a run folder with an encoder out. ``calque report``: what the paper tells of encoders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from services.core.errors import InvalidInput
from services.core.volume import Volume
from services.formats.manifest import read_volumes
from services.formats.masks import read_mask
from services.formats.read import read_volume
from services.formats.sample import sample_volume
from services.formats.source import source_files

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainer.config import Config
    from trainer.loop import Pace
    from trainer.scans import Mask, Scan


class _Volume(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    image: Path
    patient: str = Field(min_length=1)
    name: str = ""
    mask: Path | None = None
    label: int = Field(default=0, ge=0)
    target: str = Field(default="the target", min_length=1)
    part: Literal["", "training", "validation", "test"] = ""
    licence: str = ""


def train_encoder(
    run: Path,
    paths: list[Path],
    *,
    manifest: Path | None,
    store: str | None,
    config: Path | None,
    resume: bool,
    projects: list[str],
) -> None:
    """Train as the configuration says and leave the encoder in the run folder. Raises: CalqueError."""
    from services.serving.logs import configure
    from trainer.card import ENCODERS
    from trainer.config import Config, load_config
    from trainer.export import export_encoder
    from trainer.project import projected
    from trainer.runfolder import config_of
    from trainer.scans import split
    from trainer.train import train_and_evaluate

    configure("people")
    scans = _scans(paths, manifest, store, projects)
    if config is None and resume:
        settings = config_of(run)
    elif config is None:
        patients = {scan.patient for scan in scans}
        settings = Config(split=(1.0, 0.0, 0.0)) if len(patients) < 3 else Config()
    else:
        settings = load_config(config)
    with _progress(settings) as told:
        done = train_and_evaluate(settings, scans, run, resume=resume, told=told)
    few = projected(done.networks.encoder, split(scans, settings.split, settings.seed).training, seed=settings.seed)
    for form, name in ENCODERS.items():
        if form == "live":
            digest = export_encoder(few, run / name, "float16", bounded=True)
        else:
            digest = export_encoder(done.networks.encoder, run / name, form)
        print(f"The encoder ({form}) is {run / name}, SHA-256 {digest}.")


def report(
    folder: Path,
    *,
    manifest: Path | None,
    store: str | None,
    projects: list[str],
    scale: str,
    config: Path | None,
    run: Path | None,
    alone: bool,
) -> None:
    """Make the report of the paper's tables and figures. Raises: CalqueError."""
    from services.cli.store import store_at
    from services.serving.logs import configure
    from trainer.config import Config, load_config
    from trainer.report.make import Maker
    from trainer.scans import accepted_masks

    configure("people")
    console = Console(stderr=True, highlight=False)
    if (manifest is None) == (store is None):
        raise InvalidInput("Say a manifest or a store, one of them.")
    scans = _scans([], manifest, store, projects)
    masks = _masks(manifest, scans) if manifest is not None else accepted_masks(store_at(store or ""), scans)
    settings = load_config(config) if config else Config()
    maker = Maker(folder, scans, masks, scale, settings, lambda text: console.print(text, markup=False), run, alone)
    page = maker.make()
    print(f"The report is {page}.")


def _masks(manifest: Path, scans: Sequence[Scan]) -> dict[str, dict[int, Mask]]:
    """Of the manifest's volumes, by the name of their target."""
    masks: dict[str, dict[int, Mask]] = {}
    for number, (one, scan) in enumerate(zip(_read(manifest), scans)):
        if one.mask is not None:
            masks.setdefault(one.target, {})[number] = _mask(one.mask, scan.volume, one.label)
    return masks


def _mask(path: Path, volume: Volume, label: int) -> Mask:
    files = source_files(path)
    if len(files) != 1:
        raise InvalidInput(f"The mask {path.name} is not one file.")
    return read_mask(files[0], shape=volume.shape, affine=volume.affine, source_axes=volume.source_axes, label=label)


def _scans(paths: list[Path], manifest: Path | None, store: str | None, projects: Sequence[str] = ()) -> list[Scan]:
    from services.cli.store import store_at
    from trainer.scans import Scan, scans_of_store

    if sum(given is not None for given in (manifest, store, paths or None)) > 1:
        raise InvalidInput("Say volumes, a manifest or a store, one of them.")
    if projects and store is None:
        raise InvalidInput("A project is one of a store; name that with --store.")
    if store is not None:
        found = list(scans_of_store(store_at(store), projects))
        if not found:
            raise InvalidInput("The store holds no volumes, or none of these projects.")
        return found
    if manifest is not None:
        listed = _read(manifest)
    else:
        listed = [_Volume(image=path, patient=str(path.absolute())) for path in paths or [sample_volume()]]
    scans = []
    for number, one in enumerate(listed, 1):
        volume = read_volume(source_files(one.image))
        patient = volume.source.patient_id if manifest is None and volume.source else ""
        scans.append(Scan(volume, one.name or f"volume {number}", patient or one.patient, one.part, one.licence))
    return scans


def _read(path: Path) -> list[_Volume]:
    """The volumes of a TOML file; relative paths start at its folder. Raises: InvalidInput."""
    folder = path.parent
    return [
        volume.model_copy(update={"image": folder / volume.image, "mask": folder / volume.mask if volume.mask else None})
        for volume in read_volumes(path, _Volume)
    ]


@contextmanager
def _progress(settings: Config) -> Iterator[Callable[[int, Pace], None]]:
    """A bar for people: epoch, loss, patches a second, time left."""
    columns = (
        TextColumn("epoch {task.fields[epoch]} of {task.fields[epochs]}"),
        BarColumn(),
        TextColumn("loss {task.fields[loss]}, {task.fields[pace]} patches/s, left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None, epoch=1, epochs=settings.epochs, loss="–", pace="–")

        def told(epoch: int, pace: Pace) -> None:
            progress.update(
                task,
                total=settings.epochs * pace.steps,
                completed=(epoch - 1) * pace.steps + pace.step,
                epoch=epoch,
                loss=f"{pace.mean_loss:.5f}",
                pace=f"{pace.patches_per_s:.0f}",
            )

        yield told
