"""What is chosen step by step: rows of series, then frames, then a repair."""

from __future__ import annotations

import pytest
from calque.v1 import common_pb2, volumes_pb2

from tablet_client.state.offers import Asked, first_step, step_after

REFUSAL = common_pb2.ErrorInfo(reason=common_pb2.SLICES_UNEVEN, message="Slices are missing.")


def series(key: str, **fields: object) -> volumes_pb2.Series:
    known = {"kind": volumes_pb2.SERIES_KIND_IMAGE, "columns": 256, "rows": 200, "slices": 60}
    spacing = {"column_mm": 0.9375, "row_mm": 0.9375, "slice_mm": 3.0}
    return volumes_pb2.Series(key=key, **(known | spacing | fields))  # type: ignore[arg-type]


def listing(*held: volumes_pb2.Series, **fields: object) -> volumes_pb2.ListSeriesResponse:
    return volumes_pb2.ListSeriesResponse(series=held, **fields)  # type: ignore[arg-type]


def test_rows_of_several_series() -> None:
    frames = [common_pb2.Choice(key=str(n), text=f"echo {n}") for n in (1, 2)]
    step = first_step(
        listing(
            series("a", description="T2", modality="MR", place="study/p1/t2", date="2004-01-19", frames=frames),
            series("b", place="study/brain.nii", slice_mm=0, slices=1),
            series("c", description="Scout", place="study/p1", kind=volumes_pb2.SERIES_KIND_LOCALIZER),
            series("d", description="Gap", place="study/p2", refusal=REFUSAL, resample_helps=True),
            volumes_pb2.Series(key="e", modality="CT", place="study/p2/x", refusal=REFUSAL),
            others=[
                volumes_pb2.OtherFiles(what="Basic Text SR Storage", count=2),
                volumes_pb2.OtherFiles(count=1),
            ],
            unlisted=5,
        )
    )
    assert step is not None
    assert step.sentence == "Several series lie here. Choose one of them."
    size, spacing = "256 × 200, 60 slices", "0.938 × 0.938 × 3 mm"
    assert [(row.name, row.title, row.facts, row.tag, row.date) for row in step.rows] == [
        ("a", "T2", f"MR · {size} · {spacing} · 2 frames · p1/t2", "", "2004-01-19"),
        ("b", "brain.nii", "256 × 200, 1 slice · 0.938 × 0.938 mm", "", ""),
        ("c", "Scout", f"{size} · {spacing} · p1", "localizer", ""),
        ("d", "Gap", f"{size} · {spacing} · p2", "needs repair", ""),
        ("e", "x", "CT · p2", "", ""),
    ]
    assert [row.reason for row in step.rows] == ["", "", "", "Slices are missing.", "Slices are missing."]
    assert [row.asked for row in step.rows] == [*(Asked(series=key) for key in "abcd"), None]
    assert step.note == (
        "Not images: 2 Basic Text SR Storage, 1 other file. 5 more series are not listed; import a folder inside this one."
    )


def test_places_that_share_no_folder_are_shown_whole() -> None:
    step = first_step(listing(series("a", description="A", place="one/x"), series("b", description="B", place="two")))
    assert step is not None
    assert [row.facts.rpartition(" · ")[2] for row in step.rows] == ["one/x", "two"]


@pytest.mark.parametrize(
    ("helps", "title"),
    [
        ({"resample_helps": True}, "Resample"),
        ({"shear_helps": True}, "Straighten"),
        ({"resample_helps": True, "shear_helps": True}, "Resample and straighten"),
    ],
)
def test_a_frame_and_then_a_repair_of_one_series(helps: dict[str, bool], title: str) -> None:
    frames = [common_pb2.Choice(key=str(n), text=f"echo {n}") for n in (1, 2)]
    held = listing(series("a", frames=frames, refusal=REFUSAL, **helps))
    step = first_step(held)
    assert step is not None
    assert [(row.name, row.title) for row in step.rows] == [("1", "echo 1"), ("2", "echo 2")]
    chosen = step.rows[1].asked
    assert chosen == Asked(series="a", frame_plus_one=2)
    step = step_after(held, chosen)
    assert step is not None
    assert step.sentence == "Slices are missing."
    (row,) = step.rows
    assert row.title == title
    assert row.reason.endswith("The volume keeps a note of it for ever.")
    asked = Asked("a", 2, resample="resample_helps" in helps, shear="shear_helps" in helps)
    assert row.asked == asked
    assert step_after(held, asked) is None


@pytest.mark.parametrize("held", [listing(), listing(series("a")), listing(series("a", refusal=REFUSAL))])
def test_where_there_is_nothing_to_choose(held: volumes_pb2.ListSeriesResponse) -> None:
    assert first_step(held) is None
    assert step_after(held, Asked(series="other")) is None
