"""The film strip of the README: ``.venv/bin/python deploy/pictures/strip.py [FILE]``.

The scripted hand works the real tablet over real services, on a virtual display: it imports the sample MRI, segments its
grey matter by touches, as a simulated clinician who knows it directs, corrects, looks, and saves. Twelve screens of that
are left as one small picture, ``strip.png`` beside this script unless named.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from calque.v1 import volumes_pb2
from PIL import Image, ImageDraw, ImageFont
from rich.console import Console

from services.bench.client import Client
from services.bench.clinician import best_seen, corrections, first_strokes
from services.cli.children import child, services, virtual_display
from services.cli.scripted import BRIEF, Desk, Hand, draw_stroke, probability
from services.cli.source import Source
from services.formats.sample import reference_mask, sample_volume

SIZE = "1280x800"
NAME, FILE = "ICBM 152, T1", "icbm152-t1.nii.gz"
COLUMNS, WIDTH, GAP, LINE = 3, 520, 8, 24
COLOURS = 256
_PATIENCE_S = 300.0


def main(target: Path) -> None:
    """Work, and write the strip."""
    with (
        tempfile.TemporaryDirectory(prefix="calque-strip-") as held,
        services(Path(held) / "store") as (address, server),
        virtual_display(SIZE) as display,
    ):
        folder = Path(held)
        home = folder / "tablet"
        home.mkdir()
        shutil.copy(sample_volume(), home / FILE)
        options = ["--server", address, "--journal", str(folder / "journal"), "--size", SIZE, "--hand"]
        with child([sys.executable, "-m", "tablet_client", *options], environment={**display, "HOME": str(home)}) as tablet:
            hand, client = Hand(tablet), Client(address)
            taken: list[tuple[str, Path]] = []

            def take(words: str) -> None:
                file = folder / f"{len(taken) + 1:02d}.png"
                hand.do("screenshot", file=str(file))
                taken.append((words, file))
                print(f"{len(taken)} {words}", flush=True)

            volume = volumes_pb2.Volume(volume_id=begin(hand, take))
            segment(hand, take, Desk(Console(), client, server.pid, tablet, volume, folder))
            hand.do("quit")
            client.close()
            strip(taken).save(target, optimize=True)
    print(f"{target}: {target.stat().st_size / 1000:.0f} kB")


def begin(hand: Hand, take: Callable[[str], None]) -> str:
    """From an empty library to the open volume. Returns: its identifier."""
    until(hand, lambda state: state["screen"] == "library" and "Import" in state["notice"])
    take("An empty library")
    hand.do("tap", name="import")
    hand.do("tap", name=f"entry:{FILE}")
    hand.do("type", name="import_name", text=NAME)
    take("A file is chosen")
    hand.do("tap", name="import_start")
    until(hand, lambda state: state["screen"] == "library" and bool(state["volumes"]))
    take("Imported")
    opened = hand.do("open", volume=NAME)
    take("What to do first")
    return str(opened["volume_id"])


def segment(hand: Hand, take: Callable[[str], None], desk: Desk) -> None:
    """Strokes, masks, a correction, several views, and the saved mask."""
    volume, truth = Source(path=None).read(), reference_mask("grey")
    first = first_strokes(truth, volume.affine, habit=BRIEF)
    hand.do("live", on=False)
    for stroke in first:
        draw_stroke(hand, stroke)
    take("Strokes on one slice")
    hand.do("live", on=True)
    hand.do("segment")
    hand.do("wait_mask")
    take("The mask of this slice")
    hand.do("wait_volume")
    seen = best_seen(probability(desk), truth)
    more = corrections(truth, seen.mask, volume.affine, number=1, habit=BRIEF)
    hand.choose("slice", slice=more[0].slice)
    take("Another slice of it")
    for stroke in more:
        draw_stroke(hand, stroke)
    hand.do("wait_mask")
    take("Corrected there")
    hand.do("wait_volume")
    hand.do("three", on=True)
    hand.do("aim", plane="coronal", column=120.0, row=100.0)
    hand.do("wait_volume")
    take("Three planes, linked")
    hand.do("three", on=False)
    for _ in range(2):  # from the filled mask by the outline
        hand.do("tap", name="style")
    take("The probability")
    for _ in range(2):
        hand.do("tap", name="style")
    hand.do("threshold", value=210)
    take("Another threshold, at once")
    hand.do("threshold", value=best_seen(probability(desk), truth).threshold)
    hand.do("save")
    take("Saved")


def until(hand: Hand, seen: Callable[[dict[str, object]], bool]) -> None:
    """Look at the screen until it shows something. Raises: TimeoutError."""
    end = time.monotonic() + _PATIENCE_S
    while not seen(hand.do("state")):
        if time.monotonic() > end:
            raise TimeoutError(str(hand.do("state")))
        time.sleep(0.1)


def strip(taken: list[tuple[str, Path]]) -> Image.Image:
    """The screens in rows, numbered, with a few words under each, in few colours."""
    font = ImageFont.load_default(15)
    pictures = [Image.open(file).convert("RGB") for _, file in taken]
    tall = round(pictures[0].height * WIDTH / pictures[0].width)
    rows = -(-len(taken) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (WIDTH + GAP) + GAP, rows * (tall + LINE + GAP) + GAP), "#1E242B")
    pen = ImageDraw.Draw(sheet)
    for number, ((words, _), picture) in enumerate(zip(taken, pictures)):
        x, y = GAP + number % COLUMNS * (WIDTH + GAP), GAP + number // COLUMNS * (tall + LINE + GAP)
        sheet.paste(picture.resize((WIDTH, tall), Image.Resampling.LANCZOS), (x, y))
        pen.text((x + 4, y + tall + 3), f"{number + 1}  {words}", fill="#E8EBEE", font=font)
    return sheet.quantize(COLOURS, dither=Image.Dither.NONE)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("strip.png"))
