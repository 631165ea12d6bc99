"""When workers' memory is looked at."""

from dataclasses import dataclass, field

import pytest

from hotfire.instances.memory import Footprint
from hotfire.region.sampler import SECONDS_ALONE, SECONDS_WATCHED, Sampler
from hotfire.region.traffic import MemorySample, Traffic

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass
class World:
    """Workers, of which one has just ended, and a clock."""

    now: float = 1_000.0
    looks: list[int] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    def look_at(self, pid: int) -> Footprint | None:
        self.looks.append(pid)
        return None if pid == 3 else Footprint(pid, pid * 100, pid)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def traffic(world: World) -> Traffic:
    return Traffic(world.clock)


@pytest.fixture
def sampler(world: World, traffic: Traffic) -> Sampler:
    workers = {"a": [1, 3], "b": [2], "c": []}
    return Sampler(traffic, lambda: workers, lambda: True, world.look_at, world.clock)


async def test_every_worker_is_looked_at(sampler: Sampler, world: World, traffic: Traffic) -> None:
    await sampler.look()
    assert world.looks == [1, 3, 2]
    assert traffic.memory("a") == [MemorySample(1_000.0, 1, 100, 1)]
    assert traffic.memory("b") == [MemorySample(1_000.0, 2, 200, 2)]


async def test_it_is_not_done_again_at_once(sampler: Sampler, world: World) -> None:
    await sampler.look()
    world.now += SECONDS_WATCHED / 2
    await sampler.look()
    assert len(world.looks) == 3
    world.now += SECONDS_WATCHED / 2
    await sampler.look()
    assert len(world.looks) == 6


async def test_it_is_slow_while_nobody_watches(sampler: Sampler, world: World) -> None:
    await sampler.look()
    world.now += SECONDS_WATCHED
    await sampler.look(SECONDS_ALONE)
    assert len(world.looks) == 3
