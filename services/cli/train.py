"""``calque train``: volumes in, a run folder with an encoder out."""

from __future__ import annotations

from pathlib import Path

from services.formats.read import read_volume
from services.formats.sample import sample_volume
from services.formats.source import source_files


def train_encoder(run: Path, paths: list[Path], config: Path | None) -> None:
    """Train as the configuration says and leave ``encoder.onnx`` in the run folder. Raises: CalqueError."""
    from services.serving.logs import configure
    from trainer.config import Config, load_config
    from trainer.export import export_encoder
    from trainer.train import train_and_evaluate

    configure("people")
    settings = load_config(config) if config else Config(split=(1.0, 0.0, 0.0)) if len(paths) < 3 else Config()
    volumes = [read_volume(source_files(path)) for path in paths or [sample_volume()]]
    done = train_and_evaluate(settings, volumes, run)
    digest = export_encoder(done.networks.encoder, run / "encoder.onnx")
    print(f"The encoder is {run / 'encoder.onnx'}, SHA-256 {digest}.")
