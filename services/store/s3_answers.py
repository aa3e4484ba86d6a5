"""What the refusals of an S3 server mean: which may pass, and which of our errors each is.

Servers differ in their codes; those of AWS, MinIO and Ceph are here. No error carries the text of an answer, which may
name an object.
"""

from __future__ import annotations

import re
from xml.etree.ElementTree import ParseError

import urllib3
from minio.error import MinioException, S3Error, ServerError

from services.core.errors import CalqueError, Corrupt, NotFound, Reason, TooLarge, Unavailable

ANSWERS = (MinioException, urllib3.exceptions.HTTPError, ParseError, ValueError)
"""What a call of the client library raises when the server refuses it, breaks off, is silent, or answers nonsense."""

_BUSY = {
    "SlowDown",
    "RequestTimeout",
    "OperationAborted",
    "ConditionalRequestConflict",
    "InternalError",
    "ServiceUnavailable",
}
_DAMAGED = {"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "IncompleteBody"}
_FULL = {"QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "InsufficientStorage"}
_KEYS = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"}


def refusal(reply: urllib3.BaseHTTPResponse) -> MinioException:
    """The error of an answer to a request that the client library did not make itself."""
    try:
        return S3Error.fromxml(reply)
    except (ParseError, ValueError):
        return ServerError(f"HTTP status {reply.status}", reply.status)


def may_pass(error: Exception) -> bool:
    """Whether the same request may go through in a moment."""
    status, code = _answer(error)
    if not status:  # no answer, or half of one
        return not isinstance(error, urllib3.exceptions.SSLError)
    return code in _BUSY | _DAMAGED or status in (408, 429) or (status >= 500 and status not in (501, 507))


def as_ours(error: Exception) -> CalqueError:
    """Our error for what a call raised."""
    status, code = _answer(error)
    if isinstance(error, urllib3.exceptions.SSLError):
        text = "The certificate of the S3 server is not trusted; name the authority that vouches for it."
        return Unavailable(text, Reason.STORE_UNAVAILABLE)
    if code == "NoSuchKey":
        return NotFound("There is no such object in the store.")
    if code in _FULL or status == 507:
        return TooLarge("The store has no room left; nothing was written.", Reason.STORE_FULL)
    if code == "EntityTooLarge":
        return TooLarge("The store takes no object of this size; nothing was written.")
    if code in _DAMAGED:
        return Corrupt("The data was damaged on its way to the store; nothing was written.", Reason.DIGEST_MISMATCH)
    if code == "NoSuchBucket":
        return Unavailable("The bucket of the S3 store is not there.", Reason.STORE_UNAVAILABLE)
    if code == "RequestTimeTooSkewed":
        text = "The clocks of this machine and of the S3 server differ too much; set them right."
        return Unavailable(text, Reason.STORE_UNAVAILABLE)
    if code in _KEYS or status in (401, 403):
        return Unavailable(f"The S3 store refuses its keys ({code or status}).", Reason.STORE_UNAVAILABLE)
    cause = code or (f"HTTP {status}" if status else type(error).__name__)
    return Unavailable(f"The store does not answer ({cause}).", Reason.STORE_UNAVAILABLE)


def _answer(error: Exception) -> tuple[int, str]:
    """Status and code of an answer; 0 and empty where there is none."""
    if isinstance(error, S3Error):
        code = error.code or ""
        return error.response.status, code if re.fullmatch(r"[A-Za-z0-9]{1,64}", code) else ""
    if isinstance(error, ServerError):
        return error.status_code, ""
    return 0, ""
