"""The server's certificate has ended: the tablet says so, keeps what is drawn, and sends it when there is a new one."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.serving.server import Server
from services.serving.settings import Settings
from services.serving.tls import server_credentials
from tablet_client.link.connect import trusting
from tablet_client.link.listener import Connection
from tablet_client.state.journal import Journal
from tests.served import Served
from tests.serving.authority import Authority
from tests.test_two_tablets import Tablet, kept, opened


@pytest.mark.item(62)
async def test_what_is_drawn_before_a_certificate_is_renewed_is_kept_and_sent(served: Served, tmp_path: Path) -> None:
    volume, annotation_id = await opened(served)
    authority = Authority(tmp_path / "authority")
    certificate, key = authority.certify("server", days=-1)
    credentials = server_credentials(Settings(certificate=certificate, key=key))
    server = Server([served.servicer], listen="127.0.0.1:0", credentials=credentials)
    await server.start()
    tls = trusting(str(authority.trusted))
    async with Tablet(server.port, volume, annotation_id, tmp_path / "tablet", tls) as tablet:
        drawn = [tablet.draw(3), tablet.draw(5)]
        await tablet.until(lambda now: now.connection is Connection.OFFLINE and now.saved_on_tablet == 2)
        assert tablet.keeper.status.error.reason == "SERVER_NOT_TRUSTED"
        authority.certify("server")
        await tablet.settled()
        assert kept(served, annotation_id) == [event.body for event in drawn]
    journal = Journal(tmp_path / "tablet", annotation_id)
    assert not journal.waiting
    journal.close()
    await server.stop(0)
