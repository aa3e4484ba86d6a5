"""Make the report: the paper's tables and figures on volumes at hand, each network trained where it is missing.

Figures of the paper (Lévy, Godard, Masson) stand beside ours where it has some: PSNR 30, 34 and 34 dB for its three
networks; whether a patch is of the fetus: forest 87 %, SVM 75 % from the latent, 61 % and 59 % from raw patches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from services.core.errors import InvalidInput
from services.core.volume import intensity_window, to_window
from trainer.backend import load
from trainer.config import Config
from trainer.data import Patches, find_patches
from trainer.export import export_encoder
from trainer.loop import Pace
from trainer.models import Networks, build
from trainer.report import pictures
from trainer.report.cells import SCALES, Cell, Scale, tables, trained
from trainer.report.measures import BIHARMONIC, CORRUPTED, Fill, Filling, as_corrupted, biharmonic, fillings, network
from trainer.report.page import Picture, Report, Table
from trainer.report.rebuild import corrupted_slice, feature_map, filled_slice
from trainer.report.speed import speed
from trainer.report.studied import Studied, of_run
from trainer.report.study import Accuracy, latent, pooled, raw, study, table_one
from trainer.report.targets import Targets, find_targets
from trainer.scans import Mask, Parts, Scan, split

PAPER_PSNR = {"naive": "30 dB", "final": "34 dB", "deeper": "34 dB"}
PAPER_RIGHT = {("latent", "forest"): "87 %", ("latent", "svm"): "75 %", ("raw", "forest"): "61 %", ("raw", "svm"): "59 %"}
TITLES = {
    "II": "Table II: how pixels are hidden",
    "III": "Table III: the size of a patch",
    "IV": "Table IV: network and data",
    "V": "Table V: how well patches are filled in",
    "options": "Beyond the paper: what is hidden, and what the loss weighs",
}
_FOLDS = 5

Told = Callable[[str], None]


class Maker:
    """One report in its folder.

    Args:
        folder: of the report; cells that are there are not trained again.
        scans: the volumes.
        masks: by the name of a target, of some of them, by number: ``(slices, rows, columns)`` bool, where the target is.
        scale: one of `SCALES`.
        base: what all cells have in common.
        say: told what is going on.
        run: folder of a finished run, whose network is studied in place of the cell ``final``.
        alone: no cell is trained, and the run's network alone is measured.

    Raises:
        CalqueError: no patient is left to measure on, or the run is none that can be studied.
    """

    def __init__(
        self,
        folder: Path,
        scans: Sequence[Scan],
        masks: dict[str, dict[int, Mask]],
        scale: str,
        base: Config,
        say: Told,
        run: Path | None = None,
        alone: bool = False,
    ) -> None:
        self._folder, self._scans, self._masks, self._say = folder, scans, masks, say
        self._scale: Scale = SCALES[scale]
        self._base = base
        self._parts: Parts = split(scans, base.split, base.seed)
        if not self._parts.test:
            raise InvalidInput(
                "A report measures on patients that were not trained on; give volumes of three patients or more."
            )
        self._run = None if run is None else of_run(run, base.patch)
        if alone and self._run is None:
            raise InvalidInput("Say which run is to be measured alone.")
        self._cells: dict[str, list[Cell]] = {} if alone else tables(self._scale, base)
        self._networks: dict[str, Networks] = {}
        self._measured: dict[str, dict[str, Filling]] = {}
        sizes = [len(part) for part in (self._parts.training, self._parts.validation, self._parts.test)]
        self.report = Report(
            f"One network alone: {self._run.label}." if alone and self._run else _scale_text(scale),
            f"{sizes[0]} volumes to train on, {sizes[1]} to validate, {sizes[2]} to test, divided by patient.",
        )

    def make(self) -> Path:
        """Do all of it. Returns: the page. Raises: CalqueError."""
        (self._folder / "figures").mkdir(parents=True, exist_ok=True)
        self._corruptions()
        for number, cells in self._cells.items():
            self._table(number, cells)
        if self._cells:
            self._curves(self._cells["IV"])
        else:
            self._table_alone()
        self._whole_slice(self._cells.get("V", []))
        for target in self._masks:
            self._study(target, self._cells.get("options", []))
        self._speed()
        self._space()
        self.report.numbers["volumes"] = self._parts.described()
        return self.report.write(self._folder)

    def _table(self, number: str, cells: list[Cell]) -> None:
        columns = ("", "PSNR", "over hidden pixels", "as corrupted", "SSIM", *_more_columns(number))
        text = (
            "Peak signal to noise ratio over whole patches of test patients, then over their hidden pixels; what doing "
            "nothing gives is beside it."
        )
        table = Table(TITLES[number], text, columns)
        for cell in cells:
            found = self._measure(cell)
            own, nothing = found[cell.name], found[CORRUPTED]
            told = (_db(own.psnr_db), _db(own.psnr_hidden_db), _db(nothing.psnr_db), f"{own.ssim:.3f}")
            table.rows.append((cell.label, *told, *self._more(number, cell)))
        if number == "V":
            slow = self._measure(cells[1])[BIHARMONIC]
            more = [(f"biharmonic, {slow.patches} patches", slow)]
            if self._run is not None:
                more.insert(0, (self._run.label, self._measure_run(self._run)))
            for label, one in more:
                table.rows.append((label, _db(one.psnr_db), _db(one.psnr_hidden_db), "", f"{one.ssim:.3f}", ""))
        self.report.parts.append(table)
        self.report.numbers[number] = {
            cell.label: {way: asdict(one) for way, one in self._measured[cell.name].items()} for cell in cells
        }

    def _table_alone(self) -> None:
        """Table V of the run's network, beside doing nothing and what needs no learning."""
        run = self._studied
        filled = self._measure_run(run)
        test = self._test(self._base)
        nothing = fillings({CORRUPTED: as_corrupted}, test, self._base, self._scale.measured)[CORRUPTED]
        slow = fillings({BIHARMONIC: biharmonic}, test, self._base, self._scale.slow)[BIHARMONIC]
        text = "Peak signal to noise ratio over whole patches of test patients, then over their hidden pixels."
        table = Table(TITLES["V"], text, ("", "PSNR", "over hidden pixels", "SSIM"))
        for label, one in (
            (run.label, filled),
            (CORRUPTED, nothing),
            (f"{BIHARMONIC}, {slow.patches} patches", slow),
        ):
            table.rows.append((label, _db(one.psnr_db), _db(one.psnr_hidden_db), f"{one.ssim:.3f}"))
        self.report.parts.append(table)
        self.report.numbers["V"] = {CORRUPTED: asdict(nothing), BIHARMONIC: asdict(slow)}

    def _more(self, number: str, cell: Cell) -> tuple[str, ...]:
        if number == "V":
            return (PAPER_PSNR[cell.label],)
        if number == "III":
            patches = len(self._training(cell.config))
            arrays = 2 * 4 * patches * cell.config.patch**2  # the patches and their corruption, float32
            return (
                f"{patches:,}",
                f"{arrays / 1e6:,.0f} MB",
                f"{sum(s.volume.voxels.nbytes for s in self._scans) / 1e6:,.0f} MB",
            )
        return ()

    def _training(self, config: Config) -> Patches:
        return find_patches([scan.volume for scan in self._parts.training], config).some(config.most_patches, config.seed)

    def _test(self, config: Config) -> Patches:
        return find_patches([scan.volume for scan in self._parts.test], config)

    def _measure(self, cell: Cell) -> dict[str, Filling]:
        if cell.name not in self._measured:
            test = self._test(cell.config)
            ways: dict[str, Fill] = {cell.name: network(self._trained(cell).model), CORRUPTED: as_corrupted}
            found = fillings(ways, test, cell.config, self._scale.measured)
            if cell.name == "final":
                found |= fillings({BIHARMONIC: biharmonic}, test, cell.config, self._scale.slow)
            self._measured[cell.name] = found
        return self._measured[cell.name]

    def _measure_run(self, run: Studied) -> Filling:
        ways: dict[str, Fill] = {run.label: network(run.networks.model)}
        found = fillings(ways, self._test(self._base), self._base, self._scale.measured)
        self.report.numbers["run"] = {run.label: asdict(found[run.label])}
        return found[run.label]

    @property
    def _studied(self) -> Studied:
        """The network whose latent is studied; that of the cell ``final`` after it was trained."""
        if self._run is not None:
            return self._run
        return Studied(self._networks["final"], "final", frozenset(scan.digest for scan in self._parts.training))

    def _trained(self, cell: Cell) -> Networks:
        def told(epoch: int, pace: Pace) -> None:
            if pace.step == pace.steps:
                self._say(f"{cell.name}: epoch {epoch} of {cell.config.epochs}, {pace.patches_per_s:.0f} patches a second")

        if cell.name not in self._networks:
            self._say(f"{cell.name} …")
            self._networks[cell.name] = trained(cell, self._scans, self._folder / "cells", told)
        return self._networks[cell.name]

    def _corruptions(self) -> None:
        pictures.corruptions(self._test(self._base), self._base.fraction, self._base.seed, self._figure("corruptions.png"))
        text = f"Patches of {self._base.patch} pixels with {self._base.fraction:.0%} of them hidden."
        self.report.parts.append(Picture("How pixels are hidden", text, "corruptions.png"))

    def _curves(self, cells: list[Cell]) -> None:
        pictures.curves({cell.label: self._folder / "cells" / cell.name for cell in cells}, self._figure("curves.png"))
        self.report.parts.append(Picture("Figure 7: curves", "Of the networks of Table IV.", "curves.png"))

    def _whole_slice(self, cells: list[Cell]) -> None:
        volume, config = self._parts.test[0].volume, self._base
        index = volume.shape[0] // 2
        truth, corrupted, hidden = corrupted_slice(
            volume, index, config.corruption, config.fraction, config.patch, config.seed
        )
        planes = [("slice", truth), ("corrupted", corrupted)]
        if self._run is not None:
            filled = filled_slice(network(self._run.networks.model), corrupted, hidden, config.patch)
            planes.append((self._run.label, filled))
        for cell in cells:
            planes.append((cell.label, filled_slice(network(self._trained(cell).model), corrupted, hidden, config.patch)))
        pictures.rebuilt(planes, self._figure("slice.png"))
        text = "A slice of a test patient, filled in by overlapping patches whose seams are blended."
        self.report.parts.append(Picture("Figure 8: a whole slice", text, "slice.png"))

    def _study(self, target: str, options: list[Cell]) -> None:
        """Table VI, on all patients with a mask and on those that no encoder saw; the options are trained by then."""
        studied = self._studied
        final = studied.networks.encoder
        load()[1].utils.set_random_seed(self._base.seed + 1)  # not the weights that training began with
        fresh = build("final", self._base.patch).encoder
        ways = {
            "raw": raw,
            "Table I": table_one,
            "latent": latent(final),
            "latent, random weights": latent(fresh),
            "latent, pooled": pooled(final),
            "latent, random weights, pooled": pooled(fresh),
        }
        for cell in options:
            if self._networks[cell.name] is not studied.networks:
                ways[f"latent, {cell.label}, pooled"] = pooled(self._networks[cell.name].encoder)
        every = list(self._masks[target])
        unseen = [number for number in every if self._scans[number].digest not in studied.seen]
        numbers: dict[str, Any] = {}
        for name, some in (("that the encoder never saw", unseen), ("in all", every)):
            targets = self._targets(target, some)
            if len(np.unique(targets.patients)) < 2 or (some == unseen and name == "in all"):
                continue
            rows = study(
                targets,
                ways,
                folds=_FOLDS,
                seed=self._base.seed,
                told=lambda what: self._say(f"Table VI, {target}: {what} …"),
            )
            one = len({self._scans[number].patient for number in some}) == 1
            whose = f"volumes of one patient {name} (optimistic)" if one else f"patients {name}"
            self.report.parts.append(_study_table(target, whose, targets, rows))
            numbers[name] = [asdict(row) for row in rows]
        self.report.numbers.setdefault("VI", {})[target] = numbers
        targets, file = self._targets(target, every), f"latent-{len(self.report.numbers['VI'])}.png"
        pictures.spread(latent(final)(targets.pixels()), targets.target, self._base.seed, self._figure(file))
        text = f"Latent vectors of the patches of Table VI, {target}."
        self.report.parts.append(Picture("The latent space in a plane", text, file))

    def _targets(self, target: str, some: list[int]) -> Targets:
        scans, masks = [self._scans[n] for n in some], [self._masks[target][n] for n in some]
        return find_targets(scans, masks, self._base, self._scale.targets, self._base.seed)

    def _speed(self) -> None:
        """One pass over a slice beside patch by patch, and ONNX Runtime beside Keras."""
        volume, encoder = self._parts.test[0].volume, self._studied.networks.encoder
        index = volume.shape[0] // 2
        image = to_window(volume.intensity(index), intensity_window(volume)) / np.float32(255.0)
        path = self._folder / "encoder.onnx"
        export_encoder(encoder, path)
        found = speed(encoder, path.read_bytes(), image, self._base.patch)
        text = (
            f"Features of a slice of {found.rows} × {found.columns} pixels on this machine's processor: once through the "
            f"encoder, and patch by patch around {found.patches} places. The two correlate with {found.correlation:.3f}."
        )
        table = Table("A slice at once", text, ("", "seconds", "times as long"))
        for name, seconds in (
            ("at once, ONNX Runtime", found.dense_s),
            ("at once, Keras", found.keras_s),
            ("patch by patch, ONNX Runtime", found.patches_s),
        ):
            table.rows.append((name, f"{seconds:.3f}", f"{seconds / found.dense_s:.1f}"))
        self.report.parts.append(table)
        self.report.numbers["speed"] = asdict(found)

    def _space(self) -> None:
        volume = self._parts.test[0].volume
        window = intensity_window(volume)
        images = np.stack([to_window(volume.intensity(k), window) for k in range(volume.shape[0])]) / np.float32(255.0)
        pictures.in_space(feature_map(self._studied.networks.encoder, volume), images, self._figure("space.png"))
        text = "Features of all slices of a test patient by their three principal components as red, green and blue."
        self.report.parts.append(Picture("Features in 3-D", text, "space.png"))

    def _figure(self, name: str) -> Path:
        return self._folder / "figures" / name


def _scale_text(name: str) -> str:
    scale = SCALES[name]
    epochs = "1 epoch" if scale.epochs == 1 else f"{scale.epochs} epochs"
    told = f"Scale “{name}”: each network saw {scale.visits:,} patches in {epochs}."
    return told + (" It shows that everything runs, and nothing else." if name == "tiny" else "")


def _more_columns(number: str) -> tuple[str, ...]:
    return {"V": ("the paper's",), "III": ("patches", "as arrays", "as streamed")}.get(number, ())


def _study_table(target: str, whose: str, targets: Targets, rows: list[Accuracy]) -> Table:
    text = (
        f"{len(targets)} patches with and without the target ({target}), of {len(np.unique(targets.patients))} {whose}: "
        "accuracy, with its 95 % interval over them."
    )
    table = Table(
        f"Table VI: what the latent knows of {target}", text, ("", "classifier", "accuracy", "interval", "the paper's")
    )
    for row in rows:
        interval = f"{row.low:.1%} – {row.high:.1%}"
        paper = PAPER_RIGHT.get((row.representation, row.classifier), "")
        table.rows.append((row.representation, row.classifier, f"{row.mean:.1%}", interval, paper))
    return table


def _db(value: float) -> str:
    return f"{value:.1f} dB"
