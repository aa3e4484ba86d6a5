# mypy: disallow-subclassing-any=False
"""The library: a card for each volume, a search, and import."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from typing import Any

from kivy.core.image import Image as CoreImage
from kivy.graphics import Color, Rectangle
from kivy.metrics import dp
from kivy.properties import ColorProperty, ListProperty, NumericProperty, ObjectProperty, OptionProperty, StringProperty
from kivy.uix.screenmanager import Screen
from kivy.uix.widget import Widget

from tablet_client.state.library import SORTS, Card, Work, found, when
from tablet_client.state.words import N_, _, ngettext
from tablet_client.view import controls, theme

_WORK = {
    Work.UNKNOWN: ("", theme.CLEAR),
    Work.NEW: (N_("New"), theme.QUIET),
    Work.IN_WORK: (N_("In work"), theme.OBJECT),
    Work.DONE: (N_("Mask saved"), theme.SAFE),
    Work.SUBMITTED: (N_("Handed in"), theme.ACCENT),
    Work.SENT_BACK: (N_("Sent back"), theme.OBJECT),
    Work.ACCEPTED: (N_("Accepted"), theme.SAFE),
}
_SORTS = {"date": N_("By date"), "name": N_("By name"), "state": N_("By state")}
_MOST_DOTS = 5
_NARROWEST_CARD = dp(264)


class Thumbnail(Widget):
    """A picture as large as it can be in its frame, on black."""

    texture = ObjectProperty(None, allownone=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        with self.canvas:
            Color(1, 1, 1, 1)
            self._rectangle = Rectangle(size=(0, 0))
        self.bind(pos=self._place, size=self._place, texture=self._place)

    def _place(self, *_: object) -> None:
        if self.texture is None:
            return
        wide, tall = self.texture.size
        scale = min(self.width / wide, self.height / tall)
        self._rectangle.texture = self.texture
        self._rectangle.size = (wide * scale, tall * scale)
        # Kivy's center_x may still hold its value from before this change.
        self._rectangle.pos = (self.x + (self.width - wide * scale) / 2, self.y + (self.height - tall * scale) / 2)


class VolumeCard(controls.PressButton):
    """One volume: picture, name, size, how far the work is."""

    volume_id = StringProperty("")
    title = StringProperty("")
    size_text = StringProperty("")
    who = StringProperty("")
    date = StringProperty("")
    colours = ListProperty([])
    work_text = StringProperty("")
    work_color = ColorProperty(theme.CLEAR)
    texture = ObjectProperty(None, allownone=True)

    def on_colours(self, *unused: object) -> None:
        """A dot for each annotation."""
        self.ids.dots.clear_widgets()
        for colour in self.colours:
            self.ids.dots.add_widget(controls.Dot(color=theme.rgba(colour), pos_hint={"center_y": 0.5}))


class ProjectButton(controls.ChoiceButton):
    """One project, or all."""

    project = StringProperty("")


class Library(Screen):
    """All volumes.

    Attributes:
        cards: what the server has, newest first.
        notice: a sentence over the cards: what is wrong, or what happens; empty: nothing.
        search: the words that are searched.
        sort: order of the cards, of `SORTS`.
        projects: to choose from; none where there is nothing to choose.
        project: whose volumes are shown, and that imports go to; empty: of all.
    """

    __events__ = ("on_open", "on_import", "on_settings", "on_pick_sort")

    cards = ObjectProperty(())
    notice = StringProperty("")
    empty = StringProperty("")
    search = StringProperty("")
    sort = OptionProperty(SORTS[0], options=list(SORTS))
    projects = ObjectProperty(())
    project = StringProperty("")
    columns = NumericProperty(4)

    def __init__(self, **kwargs: Any) -> None:
        self._textures: dict[str, tuple[bytes, Any]] = {}
        super().__init__(**kwargs)
        self.notice = _("Looking for volumes …")
        self.bind(cards=self._fill, search=self._fill, sort=self._fill, project=self._fill, width=self._widen)

    def on_open(self, volume_id: str) -> None:
        """A card was pressed."""

    def on_import(self) -> None:
        """Import was pressed."""

    def on_projects(self, *unused: object) -> None:
        """Something to choose from, or nothing; a project that is gone is chosen no longer."""
        row = self.ids.projects
        row.clear_widgets()
        if self.project not in self.projects:
            self.project = ""
        for project in ("", *self.projects) if self.projects else ():
            name = project or _("All projects")
            button = ProjectButton(
                tap_name=f"project:{project}", text=name, project=project, active=project == self.project
            )
            button.bind(on_release=lambda pressed: setattr(self, "project", pressed.project))
            row.add_widget(button)

    def on_project(self, *unused: object) -> None:
        """Another one is chosen."""
        for button in self.ids.projects.children:
            button.active = button.project == self.project

    def on_pick_sort(self, sort: str) -> None:
        """Another order was asked for."""

    def next_sort(self) -> str:
        """The order that comes after the present one."""
        return SORTS[(SORTS.index(self.sort) + 1) % len(SORTS)]

    @staticmethod
    def sort_name(sort: str) -> str:
        """An order in a word."""
        return _(_SORTS[sort])

    def on_settings(self) -> None:
        """The settings were asked for."""

    def _widen(self, *unused: object) -> None:
        self.columns = max(1, int((self.width - dp(24)) / (_NARROWEST_CARD + dp(20))))

    def _fill(self, *unused: object) -> None:
        grid = self.ids.grid
        shown = found(self.cards, self.search, self.sort, self.project)
        there = list(reversed(grid.children))
        if [widget.volume_id for widget in there] != [card.volume_id for card in shown]:
            grid.clear_widgets()
            there = [self._card(card) for card in shown]
            for widget in there:
                grid.add_widget(widget)
        # The same cards stay where they are: one of them may be under a finger.
        for widget, card in zip(there, shown):
            self._tell(widget, card)
        self.empty = _empty_sentence(self.cards, shown, self.search.strip())

    def _card(self, card: Card) -> VolumeCard:
        widget = VolumeCard(tap_name=f"volume:{card.volume_id}", volume_id=card.volume_id)
        widget.bind(on_release=lambda pressed: self.dispatch("on_open", pressed.volume_id))
        return widget

    def _tell(self, widget: VolumeCard, card: Card) -> None:
        widget.title, widget.who, widget.colours = card.name, card.who, list(card.colours[:_MOST_DOTS])
        widget.date = when(card.changed_ms or card.imported_ms, time.time_ns() // 1_000_000)
        warned = ngettext("{n} warning", "{n} warnings", card.warnings) if card.warnings else ""
        widget.size_text = " · ".join(filter(None, (card.modality, card.size_mm, warned)))
        word, widget.work_color = _WORK[card.work]
        widget.work_text = _(word) if word else ""
        widget.texture = self._picture(card)

    def _picture(self, card: Card) -> Any:
        """The card's JPEG as a texture, decoded once; None when it is no picture."""
        held = self._textures.get(card.volume_id)
        if held is not None and held[0] == card.thumbnail:
            return held[1]
        texture = texture_of(card.thumbnail)
        self._textures[card.volume_id] = (card.thumbnail, texture)
        return texture


def texture_of(jpeg: bytes) -> Any:
    """A JPEG as a texture; None when it is no picture."""
    if not jpeg:
        return None
    try:
        return CoreImage(io.BytesIO(jpeg), ext="jpg").texture
    except Exception:  # the loaders of Kivy raise whatever their library raises
        return None


def _empty_sentence(cards: Sequence[Card], shown: Sequence[Card], words: str) -> str:
    if shown:
        return ""
    if not cards:
        return _("There are no volumes yet. Import the first one.")
    if not words:
        return _("There are no volumes in this project yet.")
    return _("No volume has these words in its name.")


theme.load_kv(__file__)
