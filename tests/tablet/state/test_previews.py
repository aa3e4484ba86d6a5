from __future__ import annotations

from calque.v1 import common_pb2, volumes_pb2

from tablet_client.state.previews import Previews


def preview(slice: int, slices: int = 9) -> volumes_pb2.ImportPreview:
    plane = common_pb2.PlaneGeometry(slices=slices)
    return volumes_pb2.ImportPreview(plane=plane, slice=slice, picture=b"%d of %d" % (slice, slices))


def test_the_newest_slice_is_shown_until_one_is_picked() -> None:
    previews = Previews()
    previews.pick(3)  # nothing is there: nothing happens
    assert (previews.shown, previews.picture, previews.come) == (None, b"", [])
    for number in (4, 1, 7):
        previews.add(preview(number))
        assert previews.shown == number
    assert (previews.come, previews.slices, previews.picture) == ([1, 4, 7], 9, b"7 of 9")
    previews.pick(3)
    assert previews.shown == 4
    previews.add(preview(3))
    assert previews.shown == 4  # what is looked at stays
    previews.pick(3)
    assert previews.picture == b"3 of 9"


def test_when_the_server_begins_anew_so_do_these() -> None:
    previews = Previews()
    previews.add(preview(2))
    previews.pick(2)
    previews.add(preview(5, slices=20))
    assert (previews.come, previews.slices, previews.shown) == ([5], 20, 5)
    previews.add(preview(6, slices=20))
    assert previews.shown == 6
