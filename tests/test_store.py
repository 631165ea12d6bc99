"""The region's database: what was put in comes out, also after the region died, and never half of it."""

import multiprocessing
import os
import signal
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hotfire.errors import StoreError
from hotfire.region.store import MIGRATIONS, Deploy, Process, Store, Tree
from hotfire.resources import Endpoint, EndpointConfig, Model

MODEL = Model("m", "arn:m", 1.5, {"ModelName": "m", "Containers": [{"Image": "i"}]})
CONFIG = EndpointConfig("c", "arn:c", 2.5, {"ProductionVariants": [{"VariantName": "v"}]})
ENDPOINT = Endpoint("e", "arn:e", "c", "Creating", 3.5, 4.5)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "hotfire.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with Store(path) as store:
        yield store


def test_what_was_put_is_there_when_opened_again(path: Path) -> None:
    with Store(path) as first:
        first.put_model(MODEL, {"a": "1"})
        first.put_config(CONFIG)
        first.put_endpoint(ENDPOINT)
    with Store(path) as second:
        assert second.model("m") == MODEL
        assert second.config("c") == CONFIG
        assert second.endpoint("e") == ENDPOINT
        assert second.tags("arn:m") == {"a": "1"}


def test_what_is_not_there_is_none(store: Store) -> None:
    assert store.model("m") is None
    assert store.config("c") is None
    assert store.endpoint("e") is None
    assert store.fleet("e") is None
    assert store.examples("e") is None
    assert store.tree("0" * 64) is None


def test_resources_are_listed_by_name(store: Store) -> None:
    for name in ("b", "a", "c"):
        store.put_model(Model(name, f"arn:{name}", 1.0, {}))
        store.put_config(EndpointConfig(name, f"arn:{name}", 1.0, {}))
        store.put_endpoint(Endpoint(name, f"arn:{name}", "c", "InService", 1.0, 1.0))
    assert [model.name for model in store.models()] == ["a", "b", "c"]
    assert [config.name for config in store.configs()] == ["a", "b", "c"]
    assert [endpoint.name for endpoint in store.endpoints()] == ["a", "b", "c"]


def test_an_endpoints_new_state_takes_the_place_of_the_old(store: Store) -> None:
    store.put_endpoint(ENDPOINT, {"a": "1"})
    failed = Endpoint("e", "arn:e", "c2", "Failed", 3.5, 9.0, "it fell over")
    store.put_endpoint(failed)
    assert store.endpoints() == [failed]
    assert store.tags("arn:e") == {"a": "1"}


def test_tags_keep_their_order(store: Store) -> None:
    store.set_tags("arn:x", {"b": "1", "a": "2"})
    store.set_tags("arn:x", {"b": "1", "a": "2", "0": "3"})
    assert list(store.tags("arn:x").items()) == [("b", "1"), ("a", "2"), ("0", "3")]


def test_a_resources_tags_go_with_it(store: Store) -> None:
    store.put_model(MODEL, {"a": "1"})
    store.put_config(CONFIG, {"b": "2"})
    store.delete_model("m")
    assert store.model("m") is None
    assert store.tags("arn:m") == {}
    assert store.tags("arn:c") == {"b": "2"}


def test_a_fleet_outlives_its_config(store: Store) -> None:
    store.put_config(CONFIG)
    store.put_endpoint(ENDPOINT)
    store.put_fleet("e", {"config": {"x": [1, None]}})
    store.delete_config("c")
    assert store.fleet("e") == {"config": {"x": [1, None]}}


def test_an_endpoints_page_is_that_of_the_config_that_it_has(store: Store) -> None:
    store.put_page("e", {"app": "of none"})
    store.put_endpoint(ENDPOINT)
    assert store.page("e") is None
    store.put_page("e", {"app": "first"})
    store.put_endpoint(replace(ENDPOINT, config_name="d"))
    assert store.page("e") is None
    store.put_page("e", {"app": "second"})
    assert store.page("e") == {"app": "second"}
    store.put_endpoint(ENDPOINT)
    assert store.page("e") == {"app": "first"}
    store.put_config(CONFIG)
    store.delete_config(CONFIG.name)
    assert store.page("e") is None
    store.put_endpoint(replace(ENDPOINT, config_name="d"))
    store.delete_endpoint("e")
    store.put_endpoint(replace(ENDPOINT, config_name="d"))
    assert store.page("e") is None


def test_an_endpoints_fleet_and_examples_go_with_it(store: Store) -> None:
    store.put_endpoint(ENDPOINT)
    store.put_fleet("e", {})
    store.put_examples("e", [1])
    store.delete_endpoint("e")
    assert store.endpoint("e") is None
    assert store.fleet("e") is None
    assert store.examples("e") is None


def test_processes_are_known_until_they_are_removed(store: Store) -> None:
    zygote = Process(10, 1.25, "python -m x", "zygote")
    worker = Process(11, 2.25, "python -m y", "worker")
    store.add_process(worker)
    store.add_process(zygote)
    assert store.processes() == [zygote, worker]
    store.remove_process(10)
    assert store.processes() == [worker]


def test_a_pid_that_comes_again_is_the_new_process(store: Store) -> None:
    store.add_process(Process(10, 1.0, "old", "zygote"))
    store.add_process(Process(10, 2.0, "new", "zygote"))
    assert store.processes() == [Process(10, 2.0, "new", "zygote")]


def test_trees_are_listed_oldest_first(store: Store) -> None:
    newer, older = Tree("a" * 64, 2.0, {"files": 1}), Tree("b" * 64, 1.0, {})
    store.put_tree(newer)
    store.put_tree(older)
    assert store.trees() == [older, newer]
    store.delete_tree("b" * 64)
    assert store.trees() == [newer]
    assert store.tree("a" * 64) == newer


def test_a_newer_schema_is_refused_and_left_alone(path: Path) -> None:
    with Store(path, [*MIGRATIONS, ["CREATE TABLE future (x)"]]):
        pass
    before = path.read_bytes()
    with pytest.raises(StoreError) as refused:
        Store(path)
    assert f"version {len(MIGRATIONS) + 1}" in refused.value.message
    assert f"none above {len(MIGRATIONS)}" in refused.value.message
    assert "HOTFIRE_HOME" in refused.value.advice
    assert path.read_bytes() == before


def test_an_older_schema_is_copied_and_brought_up_to_date(path: Path) -> None:
    with Store(path) as old:
        old.put_model(MODEL)
    with Store(path, [*MIGRATIONS, ["CREATE TABLE future (x)"]]) as new:
        assert new.model("m") == MODEL
    with Store(path.with_name(f"hotfire.db.v{len(MIGRATIONS)}.bak")) as backup:
        assert backup.model("m") == MODEL


def test_a_migration_that_fails_changes_nothing(path: Path) -> None:
    with Store(path) as old:
        old.put_model(MODEL)
    with pytest.raises(StoreError, match="cannot be used"):
        Store(path, [*MIGRATIONS, ["DROP TABLE models", "no statement"]])
    with Store(path) as still:
        assert still.model("m") == MODEL


def test_a_file_that_is_no_database_is_said(path: Path) -> None:
    path.write_bytes(b"not a database, " * 100)
    with pytest.raises(StoreError, match="not a sound database") as refused:
        Store(path)
    assert str(path) in refused.value.advice


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    path = tmp_path / "absent" / "hotfire.db"
    with pytest.raises(StoreError) as refused:
        Store(path)
    assert str(path) in refused.value.message


def test_no_space_is_said_and_what_was_there_stays(path: Path) -> None:
    full = "PRAGMA max_page_count = 60"  # what SQLite then answers is what it answers on a full disk
    with Store(path, [*MIGRATIONS, [full]]) as store:
        store.put_model(MODEL)
        with pytest.raises(StoreError, match="No space is left to write") as refused:
            store.put_model(Model("big", "arn:big", 1.0, {"x": "y" * 1_000_000}))
        assert "Free some space" in refused.value.advice
        assert store.models() == [MODEL]
        store.put_config(CONFIG)
        assert store.config("c") == CONFIG


def test_a_write_outlives_a_killed_process(path: Path) -> None:
    process = multiprocessing.get_context("fork").Process(target=_write_and_die, args=(path,))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    with Store(path) as store:
        assert store.model("m") == MODEL
        assert store.tags("arn:m") == {"a": "1"}


def _write_and_die(path: Path) -> None:
    Store(path).put_model(MODEL, {"a": "1"})
    os.kill(os.getpid(), signal.SIGKILL)


def test_tags_that_cannot_be_stored_leave_no_resource(store: Store) -> None:
    with pytest.raises(StoreError):
        store.put_model(MODEL, {"key": None})  # type: ignore[dict-item]
    assert store.model("m") is None


def test_the_database_is_in_wal_mode(path: Path) -> None:
    with Store(path):
        pass
    database = sqlite3.connect(path)
    try:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    finally:
        database.close()


def test_deploys_are_kept_in_order_and_end_with_their_endpoint(store: Store) -> None:
    for number in range(102):
        store.add_deploy("e", float(number), f"v-{number}")
    store.add_deploy("other", 7.0, "o")
    found = store.deploys("e")
    assert (len(found), found[0], found[-1]) == (100, Deploy(2.0, "v-2"), Deploy(101.0, "v-101"))
    store.delete_endpoint("e")
    assert (store.deploys("e"), store.deploys("other")) == ([], [Deploy(7.0, "o")])
