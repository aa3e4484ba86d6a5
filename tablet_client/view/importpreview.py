# mypy: disallow-subclassing-any=False
"""An import that runs: how far it is, the slices that are there already, and a way to stop it."""

from __future__ import annotations

from typing import Any

import numpy as np
from kivy.properties import BooleanProperty, NumericProperty, ObjectProperty, StringProperty
from kivy.uix.boxlayout import BoxLayout

from tablet_client.state.previews import Previews
from tablet_client.state.words import _
from tablet_client.view import slicebar, theme  # noqa: F401  (slicebar: its strip is used in the kv)
from tablet_client.view.library import texture_of


class ImportPreview(BoxLayout):
    """Covers the files while an import runs.

    Attributes:
        shown: whether an import runs.
        doing: what it does now, in words.
        previews: the slices that have come; None before an import.
        caption: which slice is shown.
    """

    __events__ = ("on_cancel",)

    shown = BooleanProperty(False)
    doing = StringProperty("")
    previews = ObjectProperty(None, allownone=True, force_dispatch=True)
    texture = ObjectProperty(None, allownone=True)
    caption = StringProperty("")
    count = NumericProperty(0)
    index = NumericProperty(0)
    come = ObjectProperty(None, allownone=True, force_dispatch=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._drawn = b""
        self.bind(previews=self._tell)

    def on_cancel(self) -> None:
        """Stop was pressed."""

    def pick(self, index: int) -> None:
        """Look at the slice nearest to one."""
        if self.previews is not None:
            self.previews.pick(index)
            self._tell()

    def on_touch_down(self, touch: Any) -> bool:
        """Nothing below is touched through it."""
        if not self.shown:
            return False
        return bool(super().on_touch_down(touch)) or bool(self.collide_point(*touch.pos))

    def _tell(self, *unused: object) -> None:
        previews: Previews = self.previews or Previews()
        if previews.picture != self._drawn:
            self._drawn = previews.picture
            self.texture = texture_of(previews.picture)
        self.count, self.index = previews.slices, previews.shown or 0
        come = np.zeros(previews.slices, dtype=bool)
        come[previews.come] = True
        self.come = come
        self.caption = (
            "" if previews.shown is None else _("Slice {n} of {total}").format(n=previews.shown + 1, total=previews.slices)
        )


theme.load_kv(__file__)
