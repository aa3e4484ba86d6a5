"""Every screen in every size and language: large enough for thumbs, readable, nothing cut off, nothing on something else,
nothing English where French is spoken. The screens are those of `tablet_client.hand.scenes`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest

from services.cli.children import virtual_display
from tablet_client.hand.scenes import SCENES
from tests.tablet.look.walk import CHECKS, MAY_BE_LONG, SIZES

pytestmark = pytest.mark.screen

LANGUAGES = ("en", "fr")
# What is wrong today, by size and words of the finding; whoever mends it takes it away here.
KNOWN: dict[str, tuple[str, ...]] = {}
# Names and words that are the same in both languages; the server's own sentences about files are English.
SAME = re.compile(
    r"Annotation|Annotations|Auto|Axial|Coronal|Sagittal|(Coronal|Sagittal) \d+|Lasso|volume|Volumes|English|Français|Type"
    r"|TIFF  \.tif|NIfTI  \.nii\.gz|ZIP  \.zip|DICOM Segmentation  \.dcm|time \d|[RLAPSI]|nobody|Hospital|memory"
    r"|The file is not an array\.|A slice is missing\.|.*\.(npy|tif|nii\.gz)|2026-11 Neuro|/.*|Case[ _].*"
    r"|brain-\d|ada|\d+ min|https://.*|WDJB-MJHT"
    r"|(MR · |CT · )?[-−\d.,:  ×·]*( ?(mm|mL|GB|MB|kB|B))?|–"
)


@pytest.fixture(scope="session")
def walks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What both walks found; they go at the same time, each on a display of its own."""
    folder = tmp_path_factory.mktemp("look")
    going = {}
    with ExitStack() as stack:
        for language in LANGUAGES:
            display = stack.enter_context(virtual_display("2048x1536"))
            # Not a pipe: the clipboard of the fields lives on in a process of its own, and would hold it open.
            said = stack.enter_context(open(folder / f"{language}.log", "w"))
            command = [sys.executable, "-m", "tests.tablet.look.walk", language, str(folder / f"{language}.json")]
            settings = {**os.environ, **display, "KIVY_HOME": str(folder / f"kivy-{language}")}
            going[language] = subprocess.Popen(command, env=settings, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        try:
            for language, walk in going.items():
                assert walk.wait(timeout=250) == 0, (folder / f"{language}.log").read_text()[-3000:]
        finally:
            for walk in going.values():
                walk.kill()
                walk.wait()
        yield {language: json.loads((folder / f"{language}.json").read_text()) for language in LANGUAGES}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_screen_was_seen(walks: dict[str, Any], language: str) -> None:
    assert list(walks[language]["words"]) == [scene.name for scene in SCENES]
    assert all(len(words) > 1 for words in walks[language]["words"].values())


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_is_wrong(walks: dict[str, Any], language: str, check: str) -> None:
    found = [tuple(one) for one in walks[language][check]]
    assert [one for one in found if not known(*one)] == []


def known(scene: str, size: str, finding: str) -> bool:
    return any(words in finding for words in KNOWN.get(size, ()))


@pytest.mark.parametrize(("size", "words"), [(size, words) for size, all_words in KNOWN.items() for words in all_words])
def test_what_is_known_to_be_wrong_still_is(walks: dict[str, Any], size: str, words: str) -> None:
    """Else it is to be taken out of `KNOWN`."""
    found = [one for walk in walks.values() for check in CHECKS for one in walk[check]]
    assert any(where == size and words in finding for _, where, finding in found)


@pytest.mark.parametrize("scene", [scene.name for scene in SCENES])
def test_every_word_is_translated(walks: dict[str, Any], scene: str) -> None:
    english, french = (set(walks[language]["words"][scene]) for language in LANGUAGES)
    assert [text for text in english & french if not SAME.fullmatch(text) and text not in MAY_BE_LONG] == []


def test_the_sizes_are_those_of_tablets() -> None:
    assert {(1280, 800), (2048, 1536), (1280, 720), (800, 1280), (1024, 600)} <= set(SIZES)


def test_what_is_wrong_is_found(kivy_settings: None) -> None:
    """A small button on another one, a long word in a narrow place, a faint one."""
    from kivy.uix.floatlayout import FloatLayout

    from tablet_client.view.controls import BarButton, Words
    from tests.tablet.look import seen

    root = FloatLayout(size=(400, 300))
    small = BarButton(tap_name="small", size=(40, 48), pos=(10, 10), size_hint=(None, None))
    under = BarButton(tap_name="under", size=(60, 48), pos=(40, 10), size_hint=(None, None))
    outside = BarButton(tap_name="outside", size=(60, 48), pos=(-30, 100), size_hint=(None, None))
    faint = Words(text="A sentence that is too long", size=(80, 30), pos=(200, 10), size_hint=(None, None))
    faint.color, faint.text_size = (0.2, 0.2, 0.2, 1), (80, 30)
    gone = BarButton(tap_name="gone", size_hint=(None, None))
    for widget in (small, under, outside, faint, gone):
        root.add_widget(widget)
    gone.size = (0, 48)
    small.size, under.size = (40, 48), (60, 48)
    faint.texture_update()
    there = seen.seen(root)
    assert seen.targets(there) == ["small is 40 × 48", "outside lies outside of the window", "gone is 0 × 48"]
    assert seen.overlaps(there) == ["small and under overlap"]
    (long,) = seen.cut_off(there, frozenset())
    assert long.startswith("'A sentence that is too long' is ")
    assert seen.cut_off(there, frozenset({faint.text})) == []
    black = np.zeros((int(seen.Window.height), int(seen.Window.width), 3), np.uint8)
    assert len(seen.contrasts(there, black)) == 1
    assert seen.contrasts(there, black + 255) == []
    assert seen.contrast((255, 255, 255), (0, 0, 0)) == pytest.approx(21)
    assert seen.contrast((0x77,) * 3, (255,) * 3) == pytest.approx(4.48, abs=0.01)
