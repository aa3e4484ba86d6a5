"""Import on the real application: what is chosen by touches, what is said when it goes wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytestmark = [pytest.mark.screen, pytest.mark.asyncio(loop_scope="session")]


async def test_import_tells_what_is_wrong_and_shows_what_came(studio: Any, tmp_path: Any) -> None:
    from tablet_client.hand.eyes import NotThere

    (tmp_path / "bad.npy").write_bytes(b"no array")
    np.save(tmp_path / "good.npy", np.arange(5 * 6 * 7).reshape(5, 6, 7))
    await studio.hand.tap("back")
    with pytest.raises(NotThere, match="The file is not an array"):
        await studio.hand.import_path(str(tmp_path / "bad.npy"))
    await studio.hand.tap("back")
    await studio.hand.import_path(str(tmp_path / "good.npy"))
    await studio.hand.open("good.npy")
    assert studio.app.viewer.slices.count == 5


async def test_the_name_is_the_users_and_never_made_of_the_file(studio: Any, tmp_path: Any, monkeypatch: Any) -> None:
    asked: list[str] = []
    import_files = studio.link.import_files

    async def listening(*arguments: Any, **named: Any) -> Any:
        asked.append(named["name"])
        return await import_files(*arguments, **named)

    monkeypatch.setattr(studio.link, "import_files", listening)
    np.save(tmp_path / "somebody.npy", np.zeros((3, 6, 7)))
    importer = studio.app.importer
    for typed in ("Case 12", ""):
        await studio.hand.tap("back")
        await studio.hand.tap("import")
        await studio.hand.until("The import", lambda: studio.app.screens.current == "import")
        assert importer.name_typed == ""
        await studio.hand.type_into("import_path", str(tmp_path / "somebody.npy"))
        await studio.hand.type_into("import_name", typed)
        await studio.hand.tap("import_start")
        await studio.hand.until("The import's end", lambda: studio.app.screens.current == "library")
        await studio.hand.open("Case 12" if typed else "somebody.npy")  # this server names by the file
    assert asked == ["Case 12", ""]


async def test_what_is_unusual_of_a_volume_is_said_when_it_comes(studio: Any) -> None:
    warned = studio.link._volumes[next(iter(studio.link._volumes))][0]
    warned.warnings.append("The files say that text is burned into the images.")
    await studio.hand.tap("back")
    studio.app._imported(warned)
    assert studio.app.toast.text == f"{warned.name} was imported. {warned.warnings[0]}"
    assert studio.app.toast.kind == "warning"
    studio.app.library_control.refresh()
    sizes = studio.app.library.ids.grid.children
    await studio.hand.until("The card", lambda: any(widget.size_text.endswith(" · 1 warning") for widget in sizes))
    del warned.warnings[:]


async def test_of_several_series_one_is_chosen_by_a_touch(studio: Any, tmp_path: Any) -> None:
    from tablet_client.hand.eyes import NotThere, names

    for name, slices in (("first.npy", 3), ("second.npy", 4)):
        np.save(tmp_path / name, np.zeros((slices, 6, 7)))
    await studio.hand.tap("back")
    with pytest.raises(NotThere, match="Several series lie here"):
        await studio.hand.import_path(str(tmp_path))
    rows = [(row.title, row.facts) for row in reversed(studio.app.importer.ids.rows.children)]
    facts = "7 × 6, {} slices · 1 × 1 × 3 mm"
    assert rows == [("second.npy", facts.format(4)), ("first.npy", facts.format(3))]
    assert {"choice:first.npy", "choice:second.npy"} <= set(names())
    await studio.hand.tap("choice:second.npy")
    await studio.hand.until("The import's end", lambda: studio.app.screens.current == "library")
    await studio.hand.open("second.npy")
    assert studio.app.viewer.slices.count == 4
    studio.link._volumes = {key: held for key, held in studio.link._volumes.items() if held[0].name != "second.npy"}


async def test_a_series_then_a_frame_then_a_repair_are_chosen_by_touches(studio: Any, tmp_path: Any) -> None:
    from tablet_client.hand import eyes
    from tablet_client.hand.eyes import NotThere

    importer = studio.app.importer
    voxels = np.zeros((2, 5, 6, 7), dtype=np.uint16)
    voxels[1] = 1
    voxels[:, 2] = 7  # a missing slice, for this server
    np.save(tmp_path / ("a very long name of a series, " * 8 + ".npy"), voxels)
    np.save(tmp_path / "plain.npy", np.zeros((3, 6, 7)))
    (tmp_path / "bad.npy").write_bytes(b"no array")
    await studio.hand.tap("back")
    with pytest.raises(NotThere, match="Several series lie here"):
        await studio.hand.import_path(str(tmp_path))
    plain, long, bad = reversed(importer.ids.rows.children)
    assert (plain.title, bad.title, bad.reason, bad.disabled) == ("plain.npy", "bad.npy", "The file is not an array.", True)
    assert (long.tag, long.reason, long.disabled) == ("needs repair", "A slice is missing.", False)
    assert min(row.height for row in (plain, long, bad)) >= 48
    assert all(row.right <= importer.right for row in (plain, long, bad))
    with pytest.raises(NotThere, match="greyed out"):
        await studio.hand.tap("choice:bad.npy")
    await studio.hand.tap(long.tap_name)
    await studio.hand.until("The frames", lambda: {"choice:1", "choice:2"} <= set(eyes.names()))
    await studio.hand.tap("choice:2")
    await studio.hand.until("The repair", lambda: "choice:repair" in eyes.names())
    assert importer.trouble == "A slice is missing."
    (repair,) = importer.ids.rows.children
    assert repair.title == "Resample"
    assert "for ever" in repair.reason
    assert repair.height >= 48
    await studio.hand.tap("back")
    await studio.hand.until("The frames again", lambda: "choice:2" in eyes.names())
    await studio.hand.tap("choice:2")
    await studio.hand.until("The repair again", lambda: "choice:repair" in eyes.names())
    await studio.hand.tap("choice:repair")
    await studio.hand.until("The import's end", lambda: studio.app.screens.current == "library")
    volume = next(v for v, _ in studio.link._volumes.values() if "very long" in v.name)
    assert list(volume.warnings) == ["Slices were missing; on request the volume was resampled."]
    assert (studio.link._volumes[volume.volume_id][1][0] == 1).all()  # the second frame
    assert importer.steps == ()
    studio.link._volumes.pop(volume.volume_id)


async def test_back_leaves_the_choice_and_then_the_screen(studio: Any, tmp_path: Any) -> None:
    from tablet_client.hand.eyes import NotThere

    for name in ("a.npy", "b.npy"):
        np.save(tmp_path / name, np.zeros((3, 6, 7)))
    await studio.hand.tap("back")
    with pytest.raises(NotThere):
        await studio.hand.import_path(str(tmp_path))
    await studio.hand.tap("back")
    assert studio.app.screens.current == "import"
    assert (studio.app.importer.steps, studio.app.importer.trouble) == ((), "")
    await studio.hand.tap("entry:a.npy")
    await studio.hand.tap("back")
    assert studio.app.screens.current == "library"


async def test_an_empty_folder_says_so(studio: Any, tmp_path: Any) -> None:
    await studio.hand.tap("back")
    await studio.hand.tap("import")
    studio.app.importer.go(str(tmp_path))
    assert studio.app.importer.empty == "There is nothing in this folder."
    studio.app.importer.go(str(tmp_path.parent))
    assert studio.app.importer.empty == ""
    await studio.hand.tap("back")
