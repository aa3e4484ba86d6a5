"""``calque models``, ``calque store`` and ``calque audit``: what is done to a store without services."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Store = Annotated[str | None, typer.Option(help="Folder of the store, or s3://bucket; none: CALQUE_STORE, or the default.")]

models = typer.Typer(no_args_is_help=True, help="Encoders in a store: which there are, and which one counts.")


@models.command("add")
def models_add(
    run: Annotated[Path, typer.Argument(help="Folder of a finished training run.")],
    form: Annotated[
        Literal["float32", "float16", "live"],
        typer.Option(help="All features, with weights in either precision, or the few for the live segmentation."),
    ] = "live",
    store: Store = None,
) -> None:
    """Keep the encoder of a run; it counts if it was measured not to be worse than the one that counts now."""
    from services.cli.models import add_model

    add_model(store, run, form)


@models.command("list")
def models_list(store: Store = None) -> None:
    """List the models with their figures; an arrow marks the one that counts."""
    from services.cli.models import list_models

    list_models(store)


@models.command("promote")
def models_promote(
    digest: Annotated[str, typer.Argument(help="SHA-256 of the model, or its beginning.")], store: Store = None
) -> None:
    """Have a model count from now on, whatever was measured."""
    from services.cli.models import promote_model

    promote_model(store, digest)


@models.command("roll-back")
def models_roll_back(store: Store = None) -> None:
    """Have the model count again that did before."""
    from services.cli.models import roll_back

    roll_back(store)


store_commands = typer.Typer(no_args_is_help=True, help="Keeping a store.")


@store_commands.command("tidy")
def store_tidy(
    store: Store = None,
    days: Annotated[
        float | None, typer.Option(help="How long what nothing points to is kept; none: CALQUE_TIDY_DAYS.")
    ] = None,
) -> None:
    """Move old events into segments and remove what nothing points to, now; services do it once a day by themselves."""
    from services.cli.store import tidy_store

    tidy_store(store, days)


@store_commands.command("copy")
def store_copy(
    to: Annotated[str, typer.Option(help="Folder, made if it is missing, or s3://bucket on the same S3 server.")],
    store: Store = None,
) -> None:
    """Copy a store into another one, as a backup or back from one, while services run; again, it adds what is new."""
    from services.cli.store import copy_store

    copy_store(store, to)


audit = typer.Typer(no_args_is_help=True, help="What was done in a store, when, by whom and from where.")


@audit.command("verify")
def audit_verify(
    store: Store = None,
    noted: Annotated[str, typer.Option(help="Digest that was told before: that record must still be there.")] = "",
) -> None:
    """Walk the whole audit trail and name the first record that is not as it was (exit status 2)."""
    from services.cli.audit import verify

    verify(store, noted)


@audit.command("list")
def audit_list(store: Store = None) -> None:
    """Print the audit trail, a line a record, the oldest first."""
    from services.cli.audit import show

    show(store)


@audit.command("export")
def audit_export(
    dicom: Annotated[Path, typer.Option(help="File to write: DICOM audit messages, one a line.")],
    store: Store = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
) -> None:
    """Write the whole audit trail for another system, as DICOM PS3.15 has it."""
    from services.cli.audit import export

    export(store, dicom, force=force)
