"""What is seen of endpoints, whose changes the test tells of."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from hotfire.region.observatory import Observatory
from hotfire.region.queue import Queue
from hotfire.region.store import Store
from hotfire.resources import Endpoint

pytestmark = pytest.mark.anyio

ENDPOINT = Endpoint("e", "arn:e", "e-1", "Creating", 1.0, 2.0)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Endpoints:
    """Says who has which endpoint, and which processes answer."""

    def __init__(self) -> None:
        self.on_change: Callable[[str], None] = lambda name: None
        self.holders: dict[str, str] = {}

    def holder(self, name: str) -> str:
        return self.holders.get(name, "")

    def pids(self, name: str) -> list[int]:
        return []


class World:
    def __init__(self, folder: Path, store: Store) -> None:
        self.folder, self.store = folder, store
        self.endpoints = Endpoints()
        self.seen = self.opened()

    def opened(self) -> Observatory:
        seen = Observatory(self.folder, self.store, Queue(self.store))
        seen.follow(self.endpoints)  # type: ignore[arg-type]  # what it uses of Endpoints
        seen.open()
        return seen

    def becomes(self, status: str, config: str = "e-1", modified: float = 2.0) -> None:
        self.store.put_endpoint(replace(ENDPOINT, status=status, config_name=config, modified=modified))
        self.endpoints.on_change("e")

    @property
    def marks(self) -> list[tuple[float, str]]:
        return [(mark.time, mark.version) for mark in self.seen.traffic.marks("e")]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "region.sqlite") as store:
        yield store


@pytest.fixture
async def world(tmp_path: Path, store: Store) -> AsyncIterator[World]:
    world = World(tmp_path, store)
    yield world
    await world.seen.close()


async def test_states_are_told(world: World) -> None:
    listener = world.seen.feed.subscribe(("endpoints",))
    world.becomes("Creating")
    world.endpoints.holders["e"] = "`hotfire dev`"
    world.becomes("InService")
    world.store.delete_endpoint("e")
    world.endpoints.on_change("e")
    told = [(event.data["status"], event.data["holder"]) for event in listener.take()]
    assert told == [("Creating", ""), ("InService", "`hotfire dev`"), ("", "`hotfire dev`")]


async def test_a_deploy_is_marked_when_it_serves(world: World) -> None:
    world.becomes("Creating")
    assert world.marks == []
    world.becomes("InService", modified=3.0)
    world.becomes("Updating", modified=4.0)
    world.becomes("InService", "e-2", modified=5.0)
    assert world.marks == [(3.0, "e-1"), (5.0, "e-2")]


async def test_an_update_that_fails_is_no_deploy(world: World) -> None:
    world.becomes("InService")
    world.becomes("Updating")
    world.becomes("InService", modified=9.0)
    assert world.marks == [(2.0, "e-1")]


async def test_what_hotfire_dev_serves_is_no_deploy(world: World) -> None:
    world.endpoints.holders["e"] = "`hotfire dev`"
    world.becomes("InService", "e-dev")
    assert world.marks == []


async def test_a_region_that_is_started_again_deploys_nothing(world: World) -> None:
    world.becomes("InService", modified=3.0)
    await world.seen.close()
    world.seen = world.opened()
    world.becomes("SystemUpdating", modified=7.0)
    world.becomes("InService", modified=8.0)
    assert world.marks == [(3.0, "e-1")]


async def test_an_endpoint_that_is_deleted_begins_anew(world: World) -> None:
    world.becomes("InService")
    world.store.delete_endpoint("e")
    world.endpoints.on_change("e")
    assert (world.marks, world.store.deploys("e")) == ([], [])
    world.becomes("InService", modified=9.0)
    assert world.marks == [(9.0, "e-1")]


async def test_records_are_written_without_being_asked_for(world: World, tmp_path: Path) -> None:
    world.seen.scribe.entry("invoke", "e").end(code="ValidationError")
    with closing(sqlite3.connect(tmp_path / "requests.sqlite")) as database:
        async with asyncio.timeout(10):
            while not database.execute("SELECT count(*) FROM batches").fetchone()[0]:
                await asyncio.sleep(0.01)
