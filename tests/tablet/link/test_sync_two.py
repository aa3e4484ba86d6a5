"""Two tablets on one annotation, over a server in memory: one draws, the other looks on and may take over."""

from __future__ import annotations

from calque.v1 import segmentation_pb2

from tablet_client.link.fake_session import FakeSession
from tablet_client.link.listener import Connection
from tests.tablet.link.test_sync import Tablet, logged, server


async def test_a_second_tablet_looks_on_and_takes_over(tmp_path):
    link, annotation_id = await server()
    async with Tablet(link, annotation_id, tmp_path / "one") as one:
        one.draw(x=1)
        await one.settled()
        async with Tablet(link, annotation_id, tmp_path / "two") as two:
            await two.until(lambda: two.document.have_entries == 2)
            assert two.connection is Connection.OTHER_WRITER
            assert two.document.labels() == {1}
            mine = two.draw(label=2, x=8)
            await two.until(lambda: two.keeper.status.saved_on_tablet == 1)
            assert len(logged(link, annotation_id)) == 1
            two.keeper.take_over()
            await two.settled()
            assert two.pauses.asked == []
            await one.until(lambda: one.connection is Connection.OTHER_WRITER)
            await one.until(lambda: one.document.have_entries == 4)
            assert one.document.labels() == {1, 2}
    assert logged(link, annotation_id)[1] == mine.body


async def test_a_tablet_that_lost_the_pen_keeps_its_strokes(tmp_path):
    link, annotation_id = await server()
    async with Tablet(link, annotation_id, tmp_path / "one") as one:
        await one.settled()
        async with Tablet(link, annotation_id, tmp_path / "two") as two:
            await two.until(lambda: two.connection is Connection.OTHER_WRITER)
            two.keeper.take_over()
            await two.settled()
            await one.until(lambda: one.connection is Connection.OTHER_WRITER)
            event = one.draw(x=1)
            await one.until(lambda: one.keeper.status.saved_on_tablet == 1)
        link.hang_up()  # the other one is gone; the next connection writes again
        await one.settled()
    assert logged(link, annotation_id) == [event.body]


async def test_one_that_draws_before_it_hears_of_a_take_over_is_not_called_offline(tmp_path, monkeypatch):
    link, annotation_id = await server()
    real = FakeSession.out
    async with Tablet(link, annotation_id, tmp_path) as one:
        await one.settled()
        # The stroke is quicker than the news.
        monkeypatch.setattr(FakeSession, "out", lambda self, message: message.HasField("writer") or real(self, message))
        other = segmentation_pb2.AnnotateOpen(annotation_id=annotation_id, session_id="other", take_over=True)
        async with link.annotate(other):
            since = len(one.ear.statuses)
            one.draw(x=1)
            await one.until(lambda: one.pauses.asked)
            await one.until(lambda: one.connection is Connection.OTHER_WRITER and one.document.have_entries == 2)
            assert Connection.OFFLINE not in {status.connection for status in one.ear.statuses[since:]}
            assert one.keeper.status.saved_on_tablet == 1
            one.keeper.take_over()
            await one.settled()
    assert len(logged(link, annotation_id)) == 1
