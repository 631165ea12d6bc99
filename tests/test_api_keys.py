"""Keys of the public API."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hotfire.errors import StoreError, UsageError
from hotfire.region.api_keys import ApiKeys
from hotfire.region.store import Store
from hotfire.region.visitor import Visitor

EVERYTHING = Visitor()


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "region.sqlite") as store:
        yield store


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(store: Store, clock: Clock) -> ApiKeys:
    return ApiKeys(store, clock)


def test_whoever_has_a_secret_is_let_in(keys: ApiKeys) -> None:
    _, secret = keys.create("phone", [], None)
    assert keys.holder(secret) == EVERYTHING


def test_a_key_for_some_models_lets_in_to_these(keys: ApiKeys) -> None:
    _, secret = keys.create("phone", ["news", "prices", "news"], None)
    visitor = keys.holder(secret)
    assert visitor == Visitor(models=frozenset({"news", "prices"}))
    assert (visitor.sees("news"), visitor.sees("other"), visitor.is_owner) == (True, False, False)


def test_what_is_no_secret_lets_nobody_in(keys: ApiKeys) -> None:
    key, secret = keys.create("phone", [], None)
    for wrong in ("", key.prefix, secret[:-1], f"{secret}x", secret.upper(), "schl\xfcssel", "\ud800"):
        assert keys.holder(wrong) is None


def test_each_secret_is_another_and_long_enough(keys: ApiKeys) -> None:
    secrets = {keys.create(f"key{number}", [], None)[1] for number in range(10)}
    assert len(secrets) == 10
    assert {len(secret.removeprefix("hotfire_")) for secret in secrets} == {43}


def test_one_of_several_keys_is_told_from_the_others(keys: ApiKeys) -> None:
    made = {name: keys.create(name, [name], None)[1] for name in ("a", "b", "c")}
    assert [keys.holder(secret) for secret in made.values()] == [
        Visitor(models=frozenset({name})) for name in made
    ]


def test_a_secret_is_nowhere_on_disk(keys: ApiKeys, store: Store, tmp_path: Path) -> None:
    _, secret = keys.create("phone", [], None)
    keys.holder(secret)
    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"phone" in kept
    assert secret.encode()[13:] not in kept


def test_a_key_is_recognised_by_how_it_begins(keys: ApiKeys) -> None:
    key, secret = keys.create("phone", [], None)
    assert secret.startswith(key.prefix)
    assert key.prefix.startswith("hotfire_")
    assert len(secret) - len(key.prefix) >= 32


def test_a_key_ends_when_it_expires(keys: ApiKeys, clock: Clock) -> None:
    _, secret = keys.create("phone", [], 60)
    clock.now += 59.9
    assert keys.holder(secret) == EVERYTHING
    clock.now += 0.1
    assert keys.holder(secret) is None
    assert [key.name for key in keys.all()] == ["phone"]


def test_a_key_that_was_taken_back_opens_nothing(keys: ApiKeys) -> None:
    _, secret = keys.create("phone", [], None)
    assert keys.revoke("phone").name == "phone"
    assert (keys.holder(secret), keys.all()) == (None, [])


def test_a_key_that_is_not_there_cannot_be_taken_back(keys: ApiKeys) -> None:
    with pytest.raises(UsageError, match="there is no key named 'phone'"):
        keys.revoke("phone")


def test_a_name_is_given_once(keys: ApiKeys) -> None:
    _, first = keys.create("phone", [], None)
    with pytest.raises(UsageError, match="there is a key named 'phone' already"):
        keys.create("phone", [], None)
    assert keys.holder(first) == EVERYTHING


@pytest.mark.parametrize("name", ["", "a b", "-x", "x" * 64, "a/b", "ü", "a\n"])
def test_a_name_that_is_none_is_refused(keys: ApiKeys, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be a key's name"):
        keys.create(name, [], None)


@pytest.mark.parametrize("model", ["", "a_b", "x" * 64, "a b"])
def test_a_model_that_can_be_none_is_refused(keys: ApiKeys, model: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name of a model"):
        keys.create("phone", [model], None)


def test_it_is_told_when_a_key_was_last_used_to_a_minute(keys: ApiKeys, clock: Clock) -> None:
    _, secret = keys.create("phone", [], None)
    seen = [keys.all()[0].used]
    for seconds in (10, 30, 30):
        clock.now += seconds
        keys.holder(secret)
        seen.append(keys.all()[0].used)
    assert seen == [None, 1_000_010, 1_000_010, 1_000_070]


def test_keys_outlive_the_regions_process(tmp_path: Path, clock: Clock) -> None:
    file = tmp_path / "other.sqlite"
    with Store(file) as store:
        _, secret = ApiKeys(store, clock).create("phone", ["news"], 3600)
    with Store(file) as store:
        assert ApiKeys(store, clock).holder(secret) == Visitor(models=frozenset({"news"}))


def test_a_use_that_cannot_be_written_is_let_in_all_the_same(
    keys: ApiKeys, store: Store, tmp_path: Path
) -> None:
    _, secret = keys.create("phone", [], None)
    store.write("PRAGMA query_only = 1")
    with pytest.raises(StoreError):
        keys.create("other", [], None)
    assert keys.holder(secret) == EVERYTHING
    store.write("PRAGMA query_only = 0")
    with closing(sqlite3.connect(tmp_path / "region.sqlite")) as db:
        assert db.execute("SELECT used FROM api_keys").fetchone() == (None,)
