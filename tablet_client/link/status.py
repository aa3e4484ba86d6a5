"""From gRPC statuses to `LinkError`: the only place where this is done."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from calque import wire
from calque.v1 import common_pb2
from google.protobuf.message import DecodeError, Message
from google.rpc import status_pb2
from grpclib.const import Status
from grpclib.encoding.base import StatusDetailsCodecBase
from grpclib.exceptions import GRPCError, ProtocolError, StreamTerminatedError

from tablet_client.link.port import LinkError

_LATER = {Status.UNAVAILABLE, Status.DEADLINE_EXCEEDED, Status.CANCELLED}


class ErrorInfoCodec(StatusDetailsCodecBase):
    """Finds the contract's `ErrorInfo` among a status's details, by type, whatever else is there or damaged."""

    def encode(self, status: Status, message: str | None, details: Sequence[Message] | None) -> bytes:
        """Details → the bytes of ``grpc-status-details-bin``."""
        rich = status_pb2.Status(code=status.value, message=message or "")
        for detail in details or ():
            rich.details.add().Pack(detail)
        encoded: bytes = rich.SerializeToString()
        return encoded

    def decode(self, status: Status, message: str | None, data: bytes) -> common_pb2.ErrorInfo | None:
        """The bytes of ``grpc-status-details-bin`` → the first `ErrorInfo`, or None."""
        info = common_pb2.ErrorInfo()
        try:
            for detail in status_pb2.Status.FromString(data).details:
                if detail.Unpack(info):
                    return info
        except DecodeError:
            pass
        return None


@contextmanager
def translated() -> Iterator[None]:
    """Whatever grpclib and sockets raise inside leaves as a `LinkError`."""
    try:
        yield
    except GRPCError as error:
        raise from_status(error.status, error.message, error.details) from error
    except TimeoutError as error:
        text = "The server did not answer in time."
        raise LinkError("SERVICE_UNAVAILABLE", text, retry=True, status="DEADLINE_EXCEEDED") from error
    except ssl.SSLError as error:
        text = "The server could not prove who it is."
        raise LinkError("SERVER_NOT_TRUSTED", text, retry=True, status="UNAVAILABLE") from error
    except (OSError, StreamTerminatedError, ProtocolError) as error:
        text = "The server cannot be reached."
        raise LinkError("SERVICE_UNAVAILABLE", text, retry=True, status="UNAVAILABLE") from error
    except (wire.WireError, DecodeError) as error:
        text = "What the server sent was damaged on its way."
        raise LinkError("DIGEST_MISMATCH", text, retry=True, status="DATA_LOSS") from error


def from_status(status: Status, message: str | None, details: Any) -> LinkError:
    """A status with the details that `ErrorInfoCodec` found."""
    if isinstance(details, common_pb2.ErrorInfo):
        known = details.reason in common_pb2.Reason.values()
        reason = common_pb2.Reason.Name(details.reason) if known else "REASON_UNSPECIFIED"
        retry = status in _LATER or reason == "DIGEST_MISMATCH"
        return LinkError(reason, details.message or message or "", details.expected, retry, status.name, details.choices)
    reason = "SERVICE_UNAVAILABLE" if status in _LATER else "INTERNAL"
    return LinkError(reason, message or "", retry=status in _LATER, status=status.name)
