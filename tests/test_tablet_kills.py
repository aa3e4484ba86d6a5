"""The tablet is killed while it is drawn on: nothing that it called saved is lost, and it comes back to where it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tablet_kills import kills

pytestmark = pytest.mark.screen


@pytest.mark.timeout(240)
def test_a_killed_tablet_loses_and_doubles_nothing_and_comes_back(tmp_path: Path) -> None:
    outcome = kills(4, 1, tmp_path, say=lambda text: None)
    assert not outcome.wrong, outcome
    assert outcome.kills == 4
    assert outcome.drawn >= len(outcome.saved) > 0
