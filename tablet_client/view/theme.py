"""Colours, sizes, fonts and icons of the application: the one place where they are decided.

Colours are ``[red, green, blue, alpha]`` with values 0 to 1; sizes are functions of the screen's density and are given to
Kivy in pixels. Dark on purpose: the image is the light source of the room.
"""

from __future__ import annotations

from pathlib import Path

import fontawesomefree
from kivy.core.text import LabelBase
from kivy.lang import Builder
from kivy.metrics import dp, sp

Colour = list[float]


def rgba(value: int, alpha: float = 1.0) -> Colour:
    """``0xRRGGBB`` as the contract stores colours → a Kivy colour."""
    return [(value >> 16 & 255) / 255, (value >> 8 & 255) / 255, (value & 255) / 255, alpha]


PAGE = rgba(0x0B0D10)
SURFACE = rgba(0x14181D)
RAISED = rgba(0x1E242B)
LINE = rgba(0x2C343D)
TEXT = rgba(0xE8EBEE)
QUIET = rgba(0x9AA5B1)
FAINT = rgba(0x7E8995)
ACCENT = rgba(0x5BB8C4)
ON_ACCENT = rgba(0x0B0D10)
OBJECT = rgba(0xD08A4E)
BACKGROUND = rgba(0x4C8DD9)
DANGER = rgba(0xE5645B)
SAFE = rgba(0x5FB58A)
CLEAR = [0.0, 0.0, 0.0, 0.0]
BLACK = [0.0, 0.0, 0.0, 1.0]

# Label colours on the screen where the annotation names none: the object, the background, then further labels.
LABEL_COLOURS = (0xD08A4E, 0x4C8DD9, 0x5FB58A, 0xB98AD9, 0xD9C34C, 0xD96C9A, 0x7FC8D9, 0x9AA5B1)

RAIL = dp(72)
RIGHT = dp(120)
TOP = dp(56)
BOTTOM = dp(72)
SHEET = dp(110)  # without its handle
LOW_COLUMN = dp(548)  # below it the column has its slider beside the rest
LOW_RAIL = dp(560)
TARGET = dp(48)
GAP = dp(8)
CORNER = dp(12)
CARD_CORNER = dp(16)

TINY = sp(11)  # words under icons: the longest must fit a rail
SMALL = sp(14)
MEDIUM = sp(16)
LARGE = sp(20)

FADE_S = 0.12
DISABLED = 0.45  # opacity of what cannot be pressed now

_ICON_FILE = Path(fontawesomefree.__file__).parent / "static/fontawesomefree/webfonts/fa-solid-900.ttf"
ICONS = "CalqueIcons"
LabelBase.register(ICONS, str(_ICON_FILE))

ICON = {
    "back": "\uf060",
    "undo": "\uf2ea",
    "redo": "\uf2f9",
    "more": "\uf141",
    "pen": "\uf304",
    "eraser": "\uf12d",
    "lasso": "\uf5ee",
    "contrast": "\uf042",
    "brush": "\uf111",
    "plus": "\u002b",
    "minus": "\uf068",
    "search": "\uf002",
    "save": "\uf0c7",
    "previous": "\uf053",
    "next": "\uf054",
    "aim": "\uf05b",
    "segment": "\ue2ca",
    "saved": "\uf00c",
    "cloud": "\uf0c2",
    "tablet": "\uf3fa",
    "offline": "\uf127",
    "sync": "\uf021",
    "folder": "\uf07b",
    "file": "\uf15b",
    "stack": "\uf5fd",
    "close": "\uf00d",
    "warning": "\uf071",
    "up": "\uf062",
    "chosen": "\uf058",
    "reset": "\uf065",
    "trash": "\uf1f8",
    "mask": "\uf06e",
    "sort": "\uf160",
    "settings": "\uf013",
}


def load_kv(python_file: str) -> None:
    """Load the ``.kv`` beside a widget's Python file."""
    Builder.load_file(str(Path(python_file).with_suffix(".kv")))
