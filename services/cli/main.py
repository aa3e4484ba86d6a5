"""The command ``calque``. The one place that may import every room, each only where it is needed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from services.cli.health import health
from services.cli.keeping import audit, models, store_commands
from services.cli.signin import sign_in, sign_out
from services.cli.users import users as users_commands

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Segment a medical image volume from a few pen strokes. Research software, not a medical device.",
)

Resample = Annotated[bool, typer.Option("--resample", help="Fill missing and even out uneven slices; flagged for ever.")]
Shear = Annotated[bool, typer.Option("--shear", help="Straighten tilted slices (gantry tilt); flagged for ever.")]


def main() -> None:
    """Entry point. An error of ours is one sentence and exit status 2, never a traceback."""
    from services.core.errors import CalqueError

    try:
        app()
    except CalqueError as error:
        from services.cli.words import printable

        print(f"calque: {printable(str(error))}", file=sys.stderr)
        sys.exit(2)


@app.command()
def serve(
    services: Annotated[list[str] | None, typer.Argument(help="volumes, segmentation, embedding; none: all.")] = None,
    listen: Annotated[str | None, typer.Option(help="Address and port; port 0 takes a free one.")] = None,
    store: Annotated[str | None, typer.Option(help="Folder of the store, or s3://bucket.")] = None,
    s3_endpoint: Annotated[str | None, typer.Option(help="Address of the S3 server, https://host:port.")] = None,
    s3_region: Annotated[str | None, typer.Option(help="Region of the bucket.")] = None,
    s3_credentials: Annotated[Path | None, typer.Option(help="File of the S3 store's keys.")] = None,
    s3_authority: Annotated[Path | None, typer.Option(help="PEM file of the S3 server's authority.")] = None,
    tls: Annotated[Literal["on", "off"] | None, typer.Option(help="Whether connections are encrypted.")] = None,
    certificate: Annotated[Path | None, typer.Option(help="PEM file of the server's certificate.")] = None,
    key: Annotated[Path | None, typer.Option(help="PEM file of the certificate's key.")] = None,
    client_authority: Annotated[Path | None, typer.Option(help="PEM file of who vouches for clients.")] = None,
    oidc_issuer: Annotated[str | None, typer.Option(help="Address of the issuer of access tokens.")] = None,
    oidc_audience: Annotated[str | None, typer.Option(help="Audience that access tokens must be made for.")] = None,
    oidc_client_id: Annotated[str | None, typer.Option(help="Who the issuer knows clients as.")] = None,
    oidc_scope: Annotated[str | None, typer.Option(help="What clients ask of the issuer.")] = None,
    oidc_roles_claim: Annotated[str | None, typer.Option(help="Where access tokens list the user's roles.")] = None,
    oidc_leeway_seconds: Annotated[float | None, typer.Option(help="By how much clocks may differ.")] = None,
    users: Annotated[Path | None, typer.Option(help="File of this server's own users.")] = None,
    service_secret: Annotated[Path | None, typer.Option(help="File of the secret that services share.")] = None,
    log: Annotated[Literal["people", "json"] | None, typer.Option(help="Form of the log lines.")] = None,
    metrics: Annotated[str | None, typer.Option(help="Address and port for Prometheus, or a port on loopback.")] = None,
    deidentify: Annotated[Literal["on", "off"] | None, typer.Option(help="Whether volumes are de-identified.")] = None,
    pseudonym_key: Annotated[Path | None, typer.Option(help="File of the pseudonyms' key.")] = None,
    new_pseudonym_key: Annotated[bool | None, typer.Option(help="Go on with another key than before.")] = None,
    audit_spool: Annotated[Path | None, typer.Option(help="Folder for records while the store is away.")] = None,
    upload_hours: Annotated[float | None, typer.Option(help="How long an upload is kept that nobody imports.")] = None,
    tidy_days: Annotated[float | None, typer.Option(help="How long what nothing points to is kept.")] = None,
    upload_limit_bytes: Annotated[int | None, typer.Option(help="Largest upload.")] = None,
    parser_memory_bytes: Annotated[int | None, typer.Option(help="Most memory for reading a file.")] = None,
    parser_seconds: Annotated[int | None, typer.Option(help="Longest time for reading the files of an import.")] = None,
    compute_threads: Annotated[int | None, typer.Option(help="Threads that compute; 0: one a core.")] = None,
    workspaces: Annotated[int | None, typer.Option(help="Annotations kept warm when nobody works on them.")] = None,
    features_memory_bytes: Annotated[int | None, typer.Option(help="Most memory for features of volumes.")] = None,
    model: Annotated[Path | None, typer.Option(help="ONNX file of the encoder.")] = None,
    model_sha256: Annotated[str | None, typer.Option(help="Digest that the encoder's file must have.")] = None,
    embedding_providers: Annotated[str | None, typer.Option(help="What the encoder may run on, in order.")] = None,
    embedding_memory_bytes: Annotated[int | None, typer.Option(help="Most memory for the encoder's answers.")] = None,
    embedding_batch: Annotated[int | None, typer.Option(help="Most slices in a run of the encoder.")] = None,
    embedding: Annotated[str | None, typer.Option(help="Address of the embedding service that segmentation asks.")] = None,
    embedding_authority: Annotated[Path | None, typer.Option(help="PEM file of who vouches for it.")] = None,
    with_parent: Annotated[bool, typer.Option(hidden=True, help="End when standard input closes.")] = False,
) -> None:
    """Run services, all of them or the named ones, until interrupted."""
    from services.cli.serve import SERVICES, load_settings, run_services

    flags = {
        "listen": listen,
        "store": store,
        "s3_endpoint": s3_endpoint,
        "s3_region": s3_region,
        "s3_credentials": s3_credentials,
        "s3_authority": s3_authority,
        "tls": tls,
        "certificate": certificate,
        "key": key,
        "client_authority": client_authority,
        "oidc_issuer": oidc_issuer,
        "oidc_audience": oidc_audience,
        "oidc_client_id": oidc_client_id,
        "oidc_scope": oidc_scope,
        "oidc_roles_claim": oidc_roles_claim,
        "oidc_leeway_seconds": oidc_leeway_seconds,
        "users": users,
        "service_secret": service_secret,
        "log": log,
        "metrics": metrics,
        "deidentify": deidentify,
        "pseudonym_key": pseudonym_key,
        "new_pseudonym_key": new_pseudonym_key,
        "audit_spool": audit_spool,
        "upload_hours": upload_hours,
        "tidy_days": tidy_days,
        "upload_limit_bytes": upload_limit_bytes,
        "parser_memory_bytes": parser_memory_bytes,
        "parser_seconds": parser_seconds,
        "compute_threads": compute_threads,
        "workspaces": workspaces,
        "features_memory_bytes": features_memory_bytes,
        "model": model,
        "model_sha256": model_sha256,
        "embedding_providers": embedding_providers,
        "embedding_memory_bytes": embedding_memory_bytes,
        "embedding_batch": embedding_batch,
        "embedding": embedding,
        "embedding_authority": embedding_authority,
    }
    settings = load_settings(**{name: value for name, value in flags.items() if value is not None})
    unknown = sorted(set(services or ()) - set(SERVICES))
    if unknown:
        raise typer.BadParameter(f"{', '.join(unknown)}: the services are {', '.join(SERVICES)}.")
    chosen = tuple(name for name in SERVICES if not services or name in services)
    run_services(settings, chosen, with_parent=with_parent)


@app.command("warm-up")
def warm_up() -> None:
    """Compile the loops of the engine for this machine and keep them, as for an image: services then start at once."""
    from services.cli.words import tell
    from services.core.compiled import cache_folder
    from services.core.pipeline import warm_up as compile_loops

    compile_loops()
    folder = cache_folder()
    tell([f"Compiled, and kept in {folder}." if folder else "Compiled, but there is no folder to keep it in."])


@app.command()
def run(
    volume: Annotated[
        Path | None, typer.Argument(help="DICOM folder, NIfTI, NRRD, MetaImage or TIFF; none: a sample MRI.")
    ] = None,
    series: Annotated[str, typer.Option(help="Which series, where the files hold several.")] = "",
    frame: Annotated[int | None, typer.Option(min=1, help="Which image of a 4-D file, from 1.")] = None,
    resample: Resample = False,
    shear: Shear = False,
    reference: Annotated[Path | None, typer.Option(help="Mask of the object, to compare with, in scripted runs.")] = None,
    out: Annotated[Path, typer.Option(help="Where a scripted run leaves its files.")] = Path("out"),
    store: Annotated[Path | None, typer.Option(help="Folder of the store; scripted runs use a temporary one.")] = None,
    scripted: Annotated[
        bool | None, typer.Option(help="Let the scripted hand work; the default where there is no display.")
    ] = None,
    size: Annotated[str, typer.Option(help="Size of the tablet's window.")] = "1280x800",
) -> None:
    """Start the services and the tablet on this machine, with a volume or a sample MRI."""
    from services.cli.run import Options, run_all
    from services.cli.source import Source
    from services.formats.repair import Repairs

    number = None if frame is None else frame - 1
    source = Source(path=volume, series=series, frame=number, repairs=Repairs(resample, shear))
    run_all(Options(source=source, reference=reference, out=out, store=store, scripted=scripted, size=size))


@app.command()
def tablet(
    server: Annotated[str, typer.Option(help="Address and port of the services; none: as in the tablet's settings.")] = "",
    certificate: Annotated[
        Path | None, typer.Option(help="Certificates (PEM) that vouch for this server; none: as it is on this machine.")
    ] = None,
    identity: Annotated[
        Path | None, typer.Option(help="The tablet's own certificate and its key (PEM), where the server asks for one.")
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Without encryption, on this machine alone.")] = False,
    journal: Annotated[Path | None, typer.Option(help="Folder for strokes that the server does not have yet.")] = None,
    size: Annotated[str, typer.Option(help="Size of the window.")] = "1280x800",
) -> None:
    """Open the tablet client on services that run already."""
    from tablet_client.main import main as tablet_main

    arguments = ["--server", server, "--size", size]
    arguments += ["--certificate", str(certificate)] if certificate else []
    arguments += ["--identity", str(identity)] if identity else []
    arguments += ["--plain"] if plain else []
    sys.exit(tablet_main(arguments + (["--journal", str(journal)] if journal else [])))


@app.command()
def check(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="Files or folders, each looked at for itself.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Say what files are and how they lie in the patient, or why they are refused (exit status 2)."""
    from services.cli.check import run_check

    if not run_check(paths, as_json=as_json):
        raise typer.Exit(2)


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(metavar="IN", help="File or folder: DICOM, NIfTI, NRRD, MetaImage or TIFF.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="File to write: .nii, .nii.gz, .tif or .tiff.")],
    series: Annotated[str, typer.Option(help="Which series, where the files hold several.")] = "",
    frame: Annotated[int | None, typer.Option(min=1, help="Which image of a 4-D file, from 1.")] = None,
    resample: Resample = False,
    shear: Shear = False,
    on: Annotated[
        Path | None, typer.Option("--source", help="The volume that IN is a mask of, such as the series of a DICOM-SEG.")
    ] = None,
    segment: Annotated[int, typer.Option(min=0, help="Which segment of a DICOM-SEG; 0: the only one.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace OUT if it is there.")] = False,
) -> None:
    """Write a volume, or a mask of it, as NIfTI or TIFF: the same voxels, at the same place where NIfTI is chosen."""
    from services.cli.convert import convert as convert_files
    from services.cli.words import tell
    from services.formats.repair import Repairs

    told = convert_files(
        source,
        target,
        series=series,
        frame=None if frame is None else frame - 1,
        repairs=Repairs(resample, shear),
        force=force,
        on=on,
        segment=segment,
    )
    tell(told)


@app.command()
def reidentify(
    source: Annotated[Path, typer.Argument(metavar="SEG", help="DICOM object that names a de-identified series.")],
    series: Annotated[Path, typer.Option(help="Folder of the original series.")],
    key: Annotated[Path, typer.Option(help="File of the key that the series was de-identified with.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write.")],
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
) -> None:
    """Give a segmentation drawn on a de-identified series back to the original one, where all that it names is there."""
    from services.cli.reidentify import reidentify as reidentify_file
    from services.cli.words import tell

    tell(reidentify_file(source, series, key, out, force=force))


@app.command()
def bench(
    what: Annotated[
        Literal["speed", "import", "forest", "classifiers", "frames"], typer.Argument(help="What to measure.")
    ] = "speed",
    slices: Annotated[int, typer.Option(min=6, help="Slices of the volume that speed and frames are measured on.")] = 60,
    size: Annotated[int, typer.Option(min=96, help="Its rows and columns.")] = 512,
    quick: Annotated[bool, typer.Option("--quick", help="Measure speed a few times only.")] = False,
    rounds: Annotated[int, typer.Option(min=1, help="Imports of each kind, fits, or times that frames are measured.")] = 7,
    manifest: Annotated[Path | None, typer.Option(help="TOML file of volumes to compare classifiers on.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the figures to this file as well.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Put the table of speed into this page, where one was.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Write a PNG of the comparison of classifiers.")] = None,
) -> None:
    """Measure speed as a ratio to the plain way in the same run: of strokes and volumes, an import, the forest, frames.

    Speed is that of a phantom of 512 × 512 × 60 voxels on services of our own, over gRPC: from a stroke to its mask and to
    the whole volume, of features, fit and prediction, with memory, bytes sent, and several sessions at once. Its plain way
    is scipy, scikit-image and scikit-learn on the same cores; that of an import is bare pydicom or nibabel reading the same
    512 × 512 × 200 voxels; that of the forest is scikit-learn's on the same samples of the sample MRI.
    Classifiers are compared by Dice and seconds on the same first strokes, on the sample MRI or on volumes of yours.
    Frames are those of the tablet on a virtual display without a graphics card, while a pen draws, slices are scrolled and
    the threshold slides: their median and the longest as multiples of a frame in which nothing happens.
    """
    from services.bench.speed import QUICK, Effort
    from services.cli.bench import bench_classifiers, bench_forests, bench_frames, bench_imports, bench_speed

    if what == "frames":
        bench_frames(slices, size, rounds, json)
    elif what == "import":
        bench_imports(rounds, json)
    elif what == "forest":
        bench_forests(rounds, json)
    elif what == "classifiers":
        bench_classifiers(manifest, json, plot)
    else:
        bench_speed(slices, size, QUICK if quick else Effort(), json, markdown)


@app.command()
def robot(
    image: Annotated[Path | None, typer.Option(help="Volume: DICOM folder, NIfTI or TIFF.")] = None,
    mask: Annotated[Path | None, typer.Option(help="What is to be found in it: NIfTI or TIFF on the same voxels.")] = None,
    label: Annotated[int, typer.Option(min=0, help="The value in the mask that is searched; 0: all but zero.")] = 0,
    manifest: Annotated[Path | None, typer.Option(help="TOML file of several volumes, instead of the three.")] = None,
    preset: Annotated[str, typer.Option(help="How the service computes.")] = "paper",
    classifier: Annotated[str, typer.Option(help="What learns from the strokes; none: the service's default.")] = "",
    connected: Annotated[
        bool | None, typer.Option(help="Keep only what is connected with strokes; none: as the preset does.")
    ] = None,
    fill_holes: Annotated[
        bool | None, typer.Option(help="Fill what the object encloses; none: as the preset does.")
    ] = None,
    latent: Annotated[bool, typer.Option("--latent", help="With an encoder's features, in the preset calque.")] = False,
    corrections: Annotated[int, typer.Option(min=0, help="How often the clinician corrects.")] = 5,
    seed: Annotated[list[int] | None, typer.Option(min=0, help="Of hand and forest; several times: several runs.")] = None,
    variants: Annotated[bool, typer.Option("--variants", help="Other habits of the hand as well.")] = False,
    look: Annotated[str, typer.Option(help="Where the clinician looks next: worst, advised, random or even.")] = "worst",
    server: Annotated[str, typer.Option(help="Address of services that run already; none: our own.")] = "",
    certificate: Annotated[Path | None, typer.Option(help="Certificates (PEM) that vouch for this server.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write every figure to this file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Write a PNG: Dice against corrections and stroke pixels.")] = None,
) -> None:
    """Measure how few strokes a preset needs: a simulated clinician who knows the mask draws, and corrects.

    It draws over the same contract as the tablet. On a server of yours the volumes stay, its annotations do not.
    """
    from services.bench.drawing import Way
    from services.cli.robot import Options, run_robot

    options = Options(
        image=image,
        mask=mask,
        label=label,
        manifest=manifest,
        way=Way(preset, classifier, connected, fill_holes, latent),
        corrections=corrections,
        seeds=tuple(dict.fromkeys(seed or [0])),
        variants=variants,
        look=look,
        server=server,
        certificate=certificate,
        json=json,
        plot=plot,
    )
    run_robot(options)


@app.command()
def train(
    run: Annotated[Path, typer.Argument(help="Folder of the run, made new: configuration, curve, encoder.onnx.")],
    volumes: Annotated[list[Path] | None, typer.Argument(help="Volumes to learn from; none: the sample MRI.")] = None,
    manifest: Annotated[Path | None, typer.Option(help="TOML file of volumes with the patient of each.")] = None,
    store: Annotated[str | None, typer.Option(help="Learn from all volumes of a store: a folder, or s3://bucket.")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML or JSON file of the training configuration.")] = None,
    project: Annotated[list[str] | None, typer.Option(help="Learn from this project of the store; none: from all.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder.")] = False,
) -> None:
    """Train an encoder on patches of volumes, without labels, and export it to ONNX."""
    from services.cli.train import train_encoder

    train_encoder(run, volumes or [], manifest=manifest, store=store, config=config, resume=resume, projects=project or [])


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="Folder of the report; networks that are in it are not trained again.")],
    manifest: Annotated[
        Path | None, typer.Option(help="TOML file of volumes with patients and, of some, masks of the target.")
    ] = None,
    store: Annotated[
        str | None, typer.Option(help="Volumes of a store instead, and the masks of them that reviewers accepted.")
    ] = None,
    project: Annotated[list[str] | None, typer.Option(help="Of this project of the store alone; none: of all.")] = None,
    scale: Annotated[Literal["tiny", "small", "paper"], typer.Option(help="How much is trained.")] = "small",
    config: Annotated[Path | None, typer.Option(help="TOML or JSON file of what all networks have in common.")] = None,
    run: Annotated[
        Path | None, typer.Option(help="Folder of a finished run whose latent is studied; none: “final”'s.")
    ] = None,
    alone: Annotated[bool, typer.Option("--alone", help="Train nothing, and measure the run alone.")] = False,
) -> None:
    """Train what the paper's tables compare, and write its tables and figures as a page and as numbers."""
    from services.cli.train import report as make

    make(folder, manifest=manifest, store=store, projects=project or [], scale=scale, config=config, run=run, alone=alone)


app.add_typer(models, name="models")
app.add_typer(store_commands, name="store")
app.add_typer(audit, name="audit")
app.add_typer(users_commands, name="users")
app.command("sign-in")(sign_in)
app.command("sign-out")(sign_out)
app.command()(health)
