"""The application over a server in memory, as a program: what the tests of the hand start."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from google.protobuf.json_format import MessageToDict

from tablet_client.link.fake import FakeLink
from tablet_client.link.fake_volume import fake_volume
from tablet_client.main import main

if __name__ == "__main__":
    log, *options = sys.argv[1:]
    ramp = np.arange(8 * 24 * 32, dtype=np.uint16).reshape(8, 24, 32)
    cards = [fake_volume(ramp + k, f"Case {k:02d}", (4.0, 1.0, 1.0), imported_ms=k) for k in range(12)]
    links: list[FakeLink] = []

    def link() -> FakeLink:
        print("noise on stdout, as a library may make it")
        links.append(FakeLink(cards))
        return links[0]

    code = main(options, link)
    from calque.v1 import segmentation_pb2

    logs = {
        name: [MessageToDict(segmentation_pb2.EventBody.FromString(body)) for _, _, body in annotation.log]
        for name, annotation in links[0]._annotations.items()
    }
    Path(log).write_text(json.dumps(logs))
    sys.exit(code)
