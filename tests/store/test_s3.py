"""The store in a bucket of a real S3 server; and servers that are none, which `tests.store.bad_s3` plays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from services.core.errors import CalqueError, Corrupt, InvalidInput, Reason, TooLarge, Unavailable
from services.store.port import Store
from services.store.s3 import Bucket, Patience, S3Store
from tests.rgw import PAGE, Server
from tests.s3 import bucket_of
from tests.store.bad_s3 import BadS3, Habit, Trouble, served
from tests.store.contract import StoreContract

CERTIFICATES = Path(__file__).parents[1] / "tablet" / "link" / "certificates"


@pytest.fixture
def store(s3: Server, tmp_path: Path) -> Iterator[S3Store]:
    with bucket_of(s3, tmp_path) as bucket:
        yield S3Store(bucket)


class TestS3Store(StoreContract):
    def test_listings_have_pages(self, store: Store) -> None:
        keys = [f"a/{number:03d}/{part}" for number in range(PAGE + 1) for part in "xy"]
        for key in reversed(keys):
            store.create(key, b"1")
        assert list(store.list("a")) == keys
        assert list(store.folders("a")) == [f"{number:03d}" for number in range(PAGE + 1)]


@pytest.fixture
def bad() -> BadS3:
    return BadS3()


@pytest.fixture
def badly_served(bad: BadS3, tmp_path: Path) -> Iterator[S3Store]:
    with served(bad, tmp_path) as bucket:
        yield S3Store(bucket, Patience(connect_s=5, read_s=0.25, tries=4, pause_s=0.001))


@pytest.mark.parametrize(
    ("habit", "lacks"),
    [
        (Habit.OVERWRITES, "If-None-Match"),
        (Habit.LOOKS_BEFORE_IT_WRITES, "several create"),
        (Habit.READS_WHOLE_OBJECTS, "Range"),
        (Habit.LISTS_LATE, "list an object that was just written"),
        (Habit.LISTS_WHAT_IS_GONE, "just deleted"),
        (Habit.KEEPS_NOTHING, "give back"),
        (Habit.IS_NONE, "give back"),
    ],
)
def test_a_server_that_would_lose_data_is_refused_and_told_why(
    bad: BadS3, badly_served: S3Store, habit: Habit, lacks: str
) -> None:
    badly_served.check()  # without its habit
    bad.habits = (habit,)
    with pytest.raises(Unavailable, match=lacks):
        badly_served.check()


@pytest.mark.parametrize(
    "trouble", [Trouble.ERROR, Trouble.LOST_REQUEST, Trouble.LOST_REPLY, Trouble.SILENCE, Trouble.DAMAGE]
)
def test_what_goes_wrong_twice_is_made_good(bad: BadS3, badly_served: S3Store, trouble: Trouble) -> None:
    bad.next("PUT", trouble, trouble)
    assert badly_served.create("a/b", b"mine")
    assert bad.objects == {"a/b": b"mine"}
    assert not badly_served.create("a/b", b"mine")


@pytest.mark.parametrize("trouble", [Trouble.ERROR, Trouble.LOST_REQUEST, Trouble.SILENCE, Trouble.CUT_REPLY])
def test_a_read_that_goes_wrong_twice_is_made_good(bad: BadS3, badly_served: S3Store, trouble: Trouble) -> None:
    badly_served.create("a/b", b"0123456789")
    bad.next("GET", trouble, trouble)
    assert badly_served.read("a/b", 2, 6) == b"234567"


@pytest.mark.parametrize("trouble", [Trouble.LOST_REQUEST, Trouble.ERROR, Trouble.SILENCE])
def test_what_another_one_made_meanwhile_is_not_ours(bad: BadS3, badly_served: S3Store, trouble: Trouble) -> None:
    def other_first(method: str) -> Trouble | None:
        if method == "PUT" and not bad.objects:
            bad.objects["a/b"] = b"theirs"
            return trouble
        return None

    bad.trouble = other_first
    assert not badly_served.create("a/b", b"mine")
    assert bad.objects == {"a/b": b"theirs"}


@pytest.mark.parametrize(
    ("trouble", "error", "reason", "tries"),
    [
        (Trouble.ERROR, Unavailable, Reason.STORE_UNAVAILABLE, 4),
        (Trouble.LOST_REQUEST, Unavailable, Reason.STORE_UNAVAILABLE, 4),
        (Trouble.SILENCE, Unavailable, Reason.STORE_UNAVAILABLE, 4),
        (Trouble.DAMAGE, Corrupt, Reason.DIGEST_MISMATCH, 4),
        (Trouble.QUOTA, TooLarge, Reason.STORE_FULL, 1),
        (Trouble.DISK_FULL, TooLarge, Reason.STORE_FULL, 1),
        (Trouble.NO_RIGHT, Unavailable, Reason.STORE_UNAVAILABLE, 1),
        (Trouble.CLOCK, Unavailable, Reason.STORE_UNAVAILABLE, 1),
    ],
)
def test_what_stays_wrong_is_told_after_a_few_tries(
    bad: BadS3, badly_served: S3Store, trouble: Trouble, error: type[CalqueError], reason: Reason, tries: int
) -> None:
    bad.trouble = lambda method: trouble
    with pytest.raises(error) as told:
        badly_served.create("patient/4711", b"mine")
    assert told.value.reason is reason
    assert "4711" not in str(told.value)
    assert bad.asked == ["PUT"] * tries
    assert bad.objects == {}


def test_a_server_that_is_not_there_is_told(tmp_path: Path) -> None:
    with served(BadS3(), tmp_path) as bucket:
        pass
    with pytest.raises(Unavailable, match="does not answer"):
        S3Store(bucket, Patience(tries=2, pause_s=0)).check()


def test_wrong_keys_are_told_and_not_shown(s3: Server, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"[default]\naws_access_key_id = {s3.access_key}\naws_secret_access_key = open-sesame\n")
    with pytest.raises(Unavailable, match="refuses its keys") as told:
        S3Store(Bucket("calque", s3.endpoint, credentials=keys)).check()
    assert s3.access_key not in str(told.value)
    assert "open-sesame" not in str(told.value)


def test_the_server_is_trusted_that_the_authority_vouches_for(tmp_path: Path) -> None:
    with served(BadS3(), tmp_path, CERTIFICATES / "server.pem") as bucket:
        S3Store(replace(bucket, authority=CERTIFICATES / "ca.pem")).check()


@pytest.mark.parametrize("authority", [None, CERTIFICATES / "other.pem", CERTIFICATES / "missing.pem"])
def test_no_other_server_is_trusted(tmp_path: Path, authority: Path | None) -> None:
    bad = BadS3()
    with served(bad, tmp_path, CERTIFICATES / "server.pem") as bucket, pytest.raises(Unavailable, match="certificate"):
        S3Store(replace(bucket, authority=authority)).create("a/b", b"1")
    assert bad.asked == []


@pytest.mark.parametrize("content", [None, "", "no keys", "[default]\naws_access_key_id = key\n", "[default\nsecret"])
def test_keys_that_are_not_there_are_told(tmp_path: Path, content: str | None) -> None:
    keys = tmp_path / "keys"
    if content is not None:
        keys.write_text(content)
    with pytest.raises(InvalidInput, match="keys of the S3 store are not in"):
        S3Store(Bucket("calque", "https://localhost", credentials=keys))


def test_keys_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(BadS3(), tmp_path) as bucket:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        S3Store(replace(bucket, credentials=None)).check()
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        with pytest.raises(InvalidInput, match="AWS_SECRET_ACCESS_KEY"):
            S3Store(replace(bucket, credentials=None))


@pytest.mark.parametrize(
    "endpoint", ["", "localhost:9000", "ftp://localhost", "https://", "https://host/path", "https://host:port"]
)
def test_an_address_that_cannot_be_is_told(tmp_path: Path, endpoint: str) -> None:
    with served(BadS3(), tmp_path) as bucket, pytest.raises(InvalidInput, match="address"):
        S3Store(replace(bucket, endpoint=endpoint))


def test_an_object_that_is_too_large_is_refused_before_it_is_sent(
    bad: BadS3, badly_served: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.store.s3.OBJECT_LIMIT_BYTES", 3)
    with pytest.raises(TooLarge):
        badly_served.create("a/b", b"1234")
    assert bad.asked == []
