# mypy: disallow-subclassing-any=False
"""The part of the menu that says how the image is shown: contrasts, switches, and the opacity of the mask."""

from __future__ import annotations

from kivy.properties import BooleanProperty, ColorProperty, ListProperty, NumericProperty, StringProperty
from kivy.uix.boxlayout import BoxLayout

from tablet_client.state.words import _
from tablet_client.view import controls, theme


class Display(BoxLayout):
    """Shows what it is told and dispatches what is picked; the menu stays open meanwhile.

    Attributes:
        presets: contrasts to choose from, ``(name, word)`` each.
        contrast: name of the chosen one; "" when the contrast is the hand's.
        equalised: greys are spread by the histogram of each slice.
        smooth: greys are interpolated between pixels.
        colour_blind: object and background in colours that everyone tells apart.
        pressure: a pen's pressure changes the width of its strokes.
        fill: 0 to 1, opacity of the mask's fill.
        object_color: the mask's.
    """

    __events__ = (
        "on_pick_contrast",
        "on_pick_equalised",
        "on_pick_smooth",
        "on_pick_colour_blind",
        "on_pick_pressure",
        "on_pick_fill",
    )

    presets = ListProperty([])
    contrast = StringProperty("")
    equalised = BooleanProperty(False)
    smooth = BooleanProperty(True)
    colour_blind = BooleanProperty(False)
    pressure = BooleanProperty(False)
    fill = NumericProperty(0.35)
    object_color = ColorProperty(theme.OBJECT)

    def on_kv_post(self, base_widget: object) -> None:
        self.bind(presets=self._fill, contrast=self._mark)

    def _fill(self, *unused: object) -> None:
        chips = self.ids.chips
        chips.clear_widgets()
        for name, word in self.presets:
            chip = controls.ChoiceButton(tap_name=f"contrast_{name}", text=_(word), size_hint_y=None, height=theme.TARGET)
            chip.bind(on_release=lambda _, name=name: self.dispatch("on_pick_contrast", name))
            chips.add_widget(chip)
        self._mark()

    def _mark(self, *unused: object) -> None:
        for chip in self.ids.chips.children:
            chip.active = chip.tap_name == f"contrast_{self.contrast}"

    def on_pick_contrast(self, name: str) -> None:
        """A contrast was pressed."""

    def on_pick_equalised(self, equalised: bool) -> None:
        """The switch "Equalise" was pressed."""

    def on_pick_smooth(self, smooth: bool) -> None:
        """The switch "Smooth" was pressed."""

    def on_pick_colour_blind(self, colour_blind: bool) -> None:
        """The switch "Colour-blind" was pressed."""

    def on_pick_pressure(self, pressure: bool) -> None:
        """The switch "Pen pressure" was pressed."""

    def on_pick_fill(self, fill: float) -> None:
        """The opacity slider is here now."""


theme.load_kv(__file__)
