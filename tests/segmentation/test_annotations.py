"""Annotations of a volume: begun, listed, named, deleted."""

from __future__ import annotations

import pytest
from calque.v1 import common_pb2, segmentation_pb2

from services.core.volume import Volume
from tests.served import Served, Tablet, begin, keep, refused, stroke

Label = common_pb2.Label
INVALID = ("INVALID_ARGUMENT", "REQUEST_INVALID", 0)
NO_ANNOTATION = ("NOT_FOUND", "ANNOTATION_NOT_FOUND", 0)


async def listed(served: Served, volume_id: str) -> list[segmentation_pb2.Annotation]:
    request = segmentation_pb2.ListAnnotationsRequest(volume_id=volume_id)
    return list((await served.segmentation.ListAnnotations(request)).annotations)


async def test_an_annotation_begins_with_the_papers_labels(served: Served, phantom: Volume) -> None:
    volume_id = keep(served.store, phantom).volume_id
    create = segmentation_pb2.CreateAnnotationRequest(volume_id=volume_id)
    made = (await served.segmentation.CreateAnnotation(create)).annotation
    assert (made.name, made.volume_id, made.log_length, made.masks) == ("Annotation", volume_id, 0, 0)
    assert [(label.value, label.name) for label in made.labels] == [(1, "Object"), (2, "Background")]
    create = segmentation_pb2.CreateAnnotationRequest(volume_id=volume_id, name=" Left kidney ")
    create.labels.extend([Label(value=1, name="a"), Label(value=2, name="b", colour=0xFFFFFF), Label(value=3, name="c")])
    more = (await served.segmentation.CreateAnnotation(create)).annotation
    assert (more.name, list(more.labels)) == ("Left kidney", list(create.labels))
    assert {one.annotation_id for one in await listed(served, volume_id)} == {made.annotation_id, more.annotation_id}


async def test_the_newest_is_listed_first_with_what_it_holds(served: Served, phantom: Volume, monkeypatch) -> None:
    times = iter([1, 3, 2])
    monkeypatch.setattr("services.segmentation.servicer._now_ms", lambda: next(times))
    ids = [await begin(served, phantom) for _ in range(3)]
    monkeypatch.undo()
    async with Tablet(served.segmentation, ids[0]) as tablet:
        await tablet.draw(stroke(1, 0, [1], [1]))
    async with Tablet(served.segmentation, ids[1]):
        pass  # who only looks changes nothing
    found = await listed(served, ids[0].partition("-")[0])
    assert [one.annotation_id for one in found] == [ids[1], ids[2], ids[0]]
    assert [one.created_ms for one in found] == [3, 2, 1]
    assert [one.log_length for one in found] == [1, 0, 2]  # that the session began, and its stroke
    assert [one.events for one in found] == [0, 0, 1]


async def test_a_list_tells_who_drew_last_and_when(served: Served, phantom: Volume, monkeypatch) -> None:
    annotation_id = await begin(served, phantom)
    volume_id = annotation_id.partition("-")[0]
    now_ns = 7_000_000
    monkeypatch.setattr("services.segmentation.workspace.time.time_ns", lambda: now_ns)
    async with Tablet(served.segmentation, annotation_id, author="  Anna ") as tablet:
        await tablet.draw(stroke(1, 0, [1], [1]))
    now_ns = 9_000_000
    async with Tablet(served.segmentation, annotation_id, author="Ben") as tablet:
        assert tablet.all("opened")[0].annotation.changed_by == "Anna"
    (found,) = await listed(served, volume_id)
    assert (found.changed_ms, found.changed_by, found.events) == (7, "Anna", 1)
    async with Tablet(served.segmentation, annotation_id, take_over=True) as tablet:
        await tablet.draw(stroke(1, 0, [2], [1]))
    (found,) = await listed(served, volume_id)
    assert (found.changed_ms, found.changed_by, found.events) == (9, "", 2)


async def test_a_name_that_cannot_be_is_refused(served: Served, phantom: Volume) -> None:
    opening = segmentation_pb2.AnnotateOpen(annotation_id=await begin(served, phantom), session_id="s", author="x" * 65)
    requests = [segmentation_pb2.AnnotateRequest(open=opening)]
    assert await refused(served.segmentation.Annotate(iter(requests))) == INVALID


async def test_a_damaged_log_hides_no_annotation(served: Served, phantom: Volume) -> None:
    annotation_id = await begin(served, phantom)
    volume_id, _, name = annotation_id.partition("-")
    served.store.create(f"annotations/{volume_id}/{name}/log/{1:012d}", b"damaged")
    (found,) = await listed(served, volume_id)
    assert (found.log_length, found.events) == (1, 1)


async def test_names_and_labels_change_and_no_label_vanishes(served: Served, phantom: Volume) -> None:
    annotation_id = await begin(served, phantom)
    rename = segmentation_pb2.RenameAnnotationRequest(annotation_id=annotation_id, name="Fetus")
    assert (await served.segmentation.RenameAnnotation(rename)).annotation.name == "Fetus"
    rename = segmentation_pb2.RenameAnnotationRequest(annotation_id=annotation_id, labels=[Label(value=3, name="Cord")])
    changed = (await served.segmentation.RenameAnnotation(rename)).annotation
    assert (changed.name, [label.name for label in changed.labels]) == ("Fetus", ["Object", "Background", "Cord"])
    assert (await listed(served, changed.volume_id))[0] == changed
    rename = segmentation_pb2.RenameAnnotationRequest(annotation_id=annotation_id, labels=[Label(value=5, name="x")])
    assert await refused(served.segmentation.RenameAnnotation(rename)) == INVALID


async def test_a_label_that_is_added_while_somebody_draws_can_be_drawn(served: Served, phantom: Volume) -> None:
    annotation_id = await begin(served, phantom)
    async with Tablet(served.segmentation, annotation_id) as tablet:
        rename = segmentation_pb2.RenameAnnotationRequest(annotation_id=annotation_id, labels=[Label(value=3, name="x")])
        await served.segmentation.RenameAnnotation(rename)
        await tablet.draw(stroke(1, 0, [1], [1], label=3))


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("x" * 65, []),
        ("a\nb", []),
        ("a\u202eb", []),
        ("", [Label(value=1, name="one")]),
        ("", [Label(value=1, name="one"), Label(value=3, name="three")]),
        ("", [Label(value=0, name="zero"), Label(value=1, name="one")]),
        ("", [Label(value=1, name="one"), Label(value=2, name="")]),
        ("", [Label(value=1, name="one"), Label(value=2, name="two", colour=1 << 24)]),
        ("", [Label(value=n + 1, name="x") for n in range(16)]),
    ],
)
async def test_names_and_labels_that_cannot_be_are_refused(served: Served, phantom: Volume, name: str, labels) -> None:
    volume_id = keep(served.store, phantom).volume_id
    create = segmentation_pb2.CreateAnnotationRequest(volume_id=volume_id, name=name, labels=labels)
    assert await refused(served.segmentation.CreateAnnotation(create)) == INVALID
    assert await listed(served, volume_id) == []


@pytest.mark.parametrize("annotation_id", ["", "x", "a-b", "../x-y", "a-b/../../c", "é-é"])
async def test_what_is_not_there_is_not_found(served: Served, annotation_id: str) -> None:
    s, pb = served.segmentation, segmentation_pb2
    calls = [
        s.RenameAnnotation(pb.RenameAnnotationRequest(annotation_id=annotation_id, name="x")),
        s.DeleteAnnotation(pb.DeleteAnnotationRequest(annotation_id=annotation_id)),
        s.ListMasks(pb.ListMasksRequest(annotation_id=annotation_id)),
        s.SaveMask(pb.SaveMaskRequest(annotation_id=annotation_id, threshold=1)),
        s.UploadMask(iter([pb.UploadMaskRequest(annotation_id=annotation_id, name="a.tif", data=b"x")])),
        s.Annotate(iter([pb.AnnotateRequest(open=pb.AnnotateOpen(annotation_id=annotation_id))])),
        s.Export(pb.ExportRequest(annotation_id=annotation_id, kind=1, format=1)),
    ]
    for call in calls:
        assert await refused(call) == NO_ANNOTATION
    create = pb.CreateAnnotationRequest(volume_id=annotation_id)
    assert await refused(s.CreateAnnotation(create)) == ("NOT_FOUND", "VOLUME_NOT_FOUND", 0)


async def test_a_deleted_annotation_leaves_nothing(served: Served, phantom: Volume) -> None:
    gone, kept = [await begin(served, phantom) for _ in range(2)]
    async with Tablet(served.segmentation, gone) as tablet:
        await tablet.draw(stroke(1, 5, [3], [3]), stroke(1, 5, [20], [20], label=2))
        await served.segmentation.DeleteAnnotation(segmentation_pb2.DeleteAnnotationRequest(annotation_id=gone))
        assert await tablet.end() == NO_ANNOTATION
    volume_id, _, name = gone.partition("-")
    assert list(served.store.list(f"annotations/{volume_id}/{name}")) == []
    assert [one.annotation_id for one in await listed(served, volume_id)] == [kept]
    again = segmentation_pb2.AnnotateRequest(open=segmentation_pb2.AnnotateOpen(annotation_id=gone))
    assert await refused(served.segmentation.Annotate(iter([again]))) == NO_ANNOTATION
