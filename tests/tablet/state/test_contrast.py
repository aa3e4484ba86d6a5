"""Contrasts by preset, and greys spread by their histogram."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tablet_client.state.contrast import equalised, preset_window, presets
from tablet_client.state.geometry import VolumeInfo
from tests.tablet.state.phantom import oblique, volume_message


def volume(modality: str = "MR", slope: float = 1.0, intercept: float = 0.0) -> VolumeInfo:
    message = volume_message((5, 14, 9), oblique())
    message.modality, message.grey_slope, message.grey_intercept = modality, slope, intercept
    return VolumeInfo.from_message(message)


def test_only_ct_has_presets_in_hounsfield_units():
    assert [preset.name for preset in presets(volume("MR"))] == ["first", "auto", "full"]
    assert {preset.name for preset in presets(volume("CT"))} >= {"brain", "soft", "lung", "bone"}


@pytest.mark.parametrize(
    ("name", "low", "high"), [("brain", 0, 80), ("soft", -150, 250), ("lung", -1350, 150), ("bone", -500, 1300)]
)
def test_a_preset_of_ct_is_centre_and_width(name, low, high):
    window = preset_window(name, volume("CT"), None)
    assert (window.low, window.high) == (low, high)


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, -1024.0), (-0.5, 30.0)])
def test_auto_and_full_go_by_the_slice(slope, intercept):
    greys = np.arange(1001, dtype=np.uint16).reshape(1, -1)
    info = volume("CT", slope, intercept)
    for name, ends in (("auto", (10, 990)), ("full", (0, 1000))):
        window = preset_window(name, info, greys)
        assert (window.low, window.high) == tuple(sorted(end * slope + intercept for end in ends))
        assert preset_window(name, info, None) is None


def test_first_is_what_the_volume_came_with():
    window = preset_window("first", volume(), None)
    assert (window.low, window.high) == (0, 100)


def test_equalised_greys_are_spread_evenly():
    greys = (np.linspace(0, 1, 4096) ** 4 * 60000).astype(np.uint16).reshape(64, 64)
    shares = np.histogram(equalised(greys, 0, 65535), bins=8, range=(0, 65535))[0] / greys.size
    assert np.histogram(greys, bins=8)[0].max() / greys.size > 0.5
    assert shares[1:] == pytest.approx(1 / 8, abs=0.02)


@given(arrays.arrays(np.uint16, (6, 5)), st.integers(0, 65535), st.integers(0, 65535))
def test_equalising_keeps_the_order_and_the_ends(greys, black, white):
    shown = equalised(greys, black, white).astype(int)
    rising = greys.astype(int) if black <= white else -greys.astype(int)
    order = np.argsort(rising, axis=None, kind="stable")
    assert (np.diff(shown.reshape(-1)[order]) >= 0).all()
    low, high = min(black, white), max(black, white)
    beyond = (greys <= low, greys >= high) if black <= white else (greys >= high, greys <= low)
    if len(np.unique(np.clip(greys, low, high))) > 1:
        assert (shown[beyond[0]] <= shown.min()).all()
        assert (shown[beyond[1]] == shown.max()).all()
