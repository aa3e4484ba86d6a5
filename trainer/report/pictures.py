"""The report's figures, each written as a PNG."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from sklearn.manifold import TSNE

from trainer.corrupt import KINDS, corrupt
from trainer.data import Patches

Numbers = NDArray[np.float32]
_TARGET, _OTHER = "#c8553d", "#0b6e4f"
_SHOWN = 6
_DPI = 110


def corruptions(patches: Patches, fraction: float, seed: int, path: Path) -> None:
    """Some patches, as they are and with each corruption."""
    some = patches.some(_SHOWN, seed)
    figure = Figure(figsize=(1.5 * len(some), 1.6 * (1 + len(KINDS))), layout="constrained")
    axes = figure.subplots(1 + len(KINDS), len(some), squeeze=False)
    for column in range(len(some)):
        _show(axes[0, column], some[column], "as it is" if column == 0 else "")
        for row, kind in enumerate(KINDS, 1):
            _show(axes[row, column], corrupt(some[column], kind, fraction, (seed, column))[0], kind if column == 0 else "")
    figure.savefig(path, dpi=_DPI)


def curves(folders: dict[str, Path], path: Path) -> None:
    """Training loss and validation error of each run by epoch (the paper's Figure 7)."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for label, folder in folders.items():
        rows = list(csv.DictReader((folder / "curve.csv").read_text("utf-8").splitlines()))
        epochs = [int(row["epoch"]) for row in rows]
        left.plot(epochs, [float(row["train_loss"]) for row in rows], marker=".", label=label)
        if rows and rows[0]["validation_mse"]:
            right.plot(epochs, [float(row["validation_mse"]) for row in rows], marker=".", label=label)
    for axes, title in ((left, "training loss"), (right, "validation, mean squared error")):
        axes.set(title=title, xlabel="epoch", yscale="log")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
    left.legend()
    figure.savefig(path, dpi=_DPI)


def rebuilt(planes: Sequence[tuple[str, Numbers]], path: Path) -> None:
    """A slice, its corruption, and what was made of it, side by side (the paper's Figure 8)."""
    figure = Figure(figsize=(3.2 * len(planes), 3.4), layout="constrained")
    for axes, (name, plane) in zip(figure.subplots(1, len(planes), squeeze=False)[0], planes):
        _show(axes, plane, "")
        axes.set_title(fill(name, 20), fontsize=16)
    figure.savefig(path, dpi=_DPI)


def spread(latent: Numbers, target: NDArray[np.bool_], seed: int, path: Path) -> None:
    """The latent vectors in a plane, by t-SNE (as the paper) and by UMAP (for which it had no time)."""
    from umap import UMAP  # loads TensorFlow, which takes seconds

    near = max(2, min(30, len(latent) // 4))
    planes = {
        "t-SNE": TSNE(perplexity=near, init="pca", random_state=seed).fit_transform(latent),
        "UMAP": UMAP(n_neighbors=near, init="random", random_state=seed, n_jobs=1).fit_transform(latent),
    }
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    for axes, (name, places) in zip(figure.subplots(1, 2), planes.items()):
        for kind, colour, label in ((False, _OTHER, "without the target"), (True, _TARGET, "with the target")):
            axes.scatter(*places[target == kind].T, s=6, c=colour, alpha=0.6, label=label)
        axes.set(title=name, xticks=[], yticks=[])
        axes.legend(fontsize=8)
    figure.savefig(path, dpi=_DPI)


def in_space(features: Numbers, images: Numbers, path: Path) -> None:
    """Features of all slices as colours, in the acquisition plane and in one across it, each below its image.

    Args:
        features: ``(slices, grid rows, grid columns, 3)``, 0–1.
        images: ``(slices, rows, columns)``, 0–1.
        path: of the PNG.
    """
    middle = len(images) // 2
    shown = (
        ("image", images[middle]),
        ("across", images[:, images.shape[1] // 2]),
        ("features", features[middle]),
        ("features, across", features[:, features.shape[1] // 2]),
    )
    figure = Figure(figsize=(7, 7), layout="constrained")
    for axes, (name, plane) in zip(figure.subplots(2, 2).ravel(), shown):
        axes.imshow(plane, cmap="grey", vmin=0.0, vmax=1.0, aspect="auto" if "across" in name else "equal")
        axes.set(title=name, xticks=[], yticks=[])
    figure.savefig(path, dpi=_DPI)


def _show(axes: Axes, plane: Numbers, name: str) -> None:
    axes.imshow(plane, cmap="grey", vmin=0.0, vmax=1.0)
    axes.set(xticks=[], yticks=[])
    axes.set_ylabel(name)
