"""Models are kept for ever, and which one counts is a series of heads."""

from __future__ import annotations

import hashlib

import pytest

from services.core.errors import Corrupt, NotFound
from services.store.directory import DirectoryStore
from services.store.models import Models


@pytest.fixture
def store(tmp_path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "store")


def test_a_model_is_read_back_with_its_card(store: DirectoryStore) -> None:
    models = Models(store)
    digest = models.add(b"network", {"name": "final", "figures": {"psnr_db": 31.5}})
    assert digest == hashlib.sha256(b"network").hexdigest()
    assert models.read(digest) == b"network"
    assert models.card(digest)["figures"] == {"psnr_db": 31.5}
    assert models.add(b"network", {"name": "another card"}) == digest
    assert models.card(digest)["name"] == "final"
    assert models.digests() == [digest]
    assert models.head() is None


@pytest.mark.item(55)
def test_the_newest_head_counts_and_one_can_go_back(store: DirectoryStore) -> None:
    models = Models(store)
    first, second = (models.add(data, {}) for data in (b"one", b"two"))
    assert models.promote(first, why="the first", set_ms=1).number == 1
    assert models.promote(second, why="better", set_ms=2).number == 2
    assert models.head().digest == second
    back = models.roll_back(set_ms=3)
    assert (back.number, back.digest) == (3, first)
    assert models.head() == Models(store).head() == back
    assert [head.digest for head in models.heads()] == [first, second, first]
    with pytest.raises(NotFound):
        models.roll_back(set_ms=4)


def test_going_back_again_goes_further_back(store: DirectoryStore) -> None:
    models = Models(store)
    digests = [models.add(data, {}) for data in (b"one", b"two", b"three", b"four")]
    for digest in digests[:3]:
        models.promote(digest, why="better", set_ms=1)
    models.promote(digests[2], why="again", set_ms=1)
    assert models.roll_back(set_ms=2).digest == digests[1]
    models.promote(digests[3], why="better", set_ms=3)
    assert [models.roll_back(set_ms=4).digest for _ in range(2)] == [digests[1], digests[0]]
    with pytest.raises(NotFound):
        models.roll_back(set_ms=5)


def test_there_is_nothing_to_go_back_to_at_first(store: DirectoryStore) -> None:
    models = Models(store)
    with pytest.raises(NotFound):
        models.roll_back(set_ms=0)
    digest = models.add(b"one", {})
    models.promote(digest, why="", set_ms=0)
    with pytest.raises(NotFound):
        models.roll_back(set_ms=0)


def test_two_who_promote_at_once_both_get_a_head(store: DirectoryStore) -> None:
    models, other = Models(store), Models(store)
    digest = models.add(b"one", {})
    counted = store.list

    def late(prefix: str):
        keys = list(counted(prefix))
        if prefix == "models/heads" and not keys:
            store.list = counted
            other.promote(digest, why="other", set_ms=1)
        return iter(keys)

    store.list = late
    assert models.promote(digest, why="mine", set_ms=2).number == 2
    assert [head.why for head in models.heads()] == ["other", "mine"]


@pytest.mark.parametrize("digest", ["", "../heads/000001", "0" * 64])
def test_what_is_not_there_is_not_found(store: DirectoryStore, digest: str) -> None:
    models = Models(store)
    for ask in (models.read, models.card):
        with pytest.raises(NotFound):
            ask(digest)
    with pytest.raises(NotFound):
        models.promote(digest, why="", set_ms=0)
    assert models.heads() == []


def test_damage_is_noticed_and_mended_by_adding_again(store: DirectoryStore) -> None:
    models = Models(store)
    digest = models.add(b"network", {})
    store.delete(f"models/files/{digest}")
    store.create(f"models/files/{digest}", b"netw0rk")
    with pytest.raises(Corrupt):
        models.read(digest)
    with pytest.raises(Corrupt):
        models.promote(digest, why="", set_ms=0)
    models.add(b"network", {})
    assert models.read(digest) == b"network"
