"""Which key does what in the viewer; the README lists them."""

from __future__ import annotations

import sys
from collections.abc import Sequence

Command = tuple[str, str | int]
"""What to do, and with which tool, how many steps or how many slices."""

ESCAPE = 27

COMMAND = "meta" if sys.platform in ("darwin", "ios") else "ctrl"
"""Kivy's name of the key that is held for commands: Cmd where Apple made the keyboard's rules, else Ctrl."""

# Kivy's key codes, which are SDL's: a letter's is that of the letter on this keyboard.
_PLAIN: dict[int, Command] = {
    ord("o"): ("tool", "object"),
    ord("b"): ("tool", "background"),
    ord("e"): ("tool", "eraser"),
    ord("l"): ("tool", "lasso"),
    ord("c"): ("tool", "contrast"),
    ord("n"): ("next", 0),
    ord("+"): ("brush", 1),
    ord("="): ("brush", 1),  # the key of + where that needs shift
    270: ("brush", 1),  # on the number pad
    ord("-"): ("brush", -1),
    269: ("brush", -1),
    273: ("slices", 1),  # up
    274: ("slices", -1),  # down
    275: ("slices", 1),  # right
    276: ("slices", -1),  # left
    280: ("slices", 10),  # page up
    281: ("slices", -10),  # page down
}
_COMMANDS: dict[int, Command] = {
    ord("z"): ("undo", 0),
    ord("y"): ("redo", 0),
    ord("s"): ("save", 0),
    ord("e"): ("export", 0),
}
_COMMANDS_WITH_SHIFT: dict[int, Command] = {ord("z"): ("redo", 0)}


def command(key: int, modifiers: Sequence[str], held: str = COMMAND) -> Command | None:
    """What a key of Kivy's numbering does, or None; ``held`` is the key that is held for commands.

    >>> command(ord("z"), ["ctrl"], "ctrl"), command(ord("z"), []), command(ord("="), ["shift"])
    (('undo', 0), None, ('brush', 1))
    """
    down = set(modifiers)
    if down & ({"alt", "ctrl", "meta"} - {held}):
        return None
    if held not in down:
        return _PLAIN.get(key)
    return (_COMMANDS_WITH_SHIFT if "shift" in down else _COMMANDS).get(key)
