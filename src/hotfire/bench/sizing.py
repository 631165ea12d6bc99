"""How many of which instance carry a load, by what was measured."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from hotfire.bench.generator import Measured
from hotfire.bench.latencies import Latencies
from hotfire.bench.queueing import Queue
from hotfire.instance_types import memory, vcpus
from hotfire.prices import hourly, priced

BUSIEST = 0.7
"""Where no latency is asked for, instances are to work no larger part of their time."""
_REPRESENTATIVES = 200
_SATURATING = 2
"""A closed loop keeps its workers busy with so many connections for each of them."""
_MOST_INSTANCES = 1000
_HOURS_A_MONTH = 730
_MOST_MEMORY = 0.8
"""The part of an instance's memory that workers may take."""
_PROCESSORS_ONLY = "tcmr"
"""The first letters of families without an accelerator."""


@dataclass(frozen=True, slots=True)
class Service:
    """What a request takes of a worker, and beside it, in seconds.

    `times` stand for the distribution of the service times; `beside` is what passes between client and
    worker. `is_calibrated`: the mean is that of workers kept busy, not of a client alone.
    """

    times: tuple[float, ...]
    beside: float
    is_calibrated: bool

    @property
    def mean(self) -> float:
        """The mean service time."""
        return math.fsum(self.times) / len(self.times)


@dataclass(frozen=True, slots=True)
class Target:
    """A load to be carried: requests a second, and the time in seconds that 99 of 100 may take."""

    rate: float
    latency: float | None = None


@dataclass(frozen=True, slots=True)
class Fleet:
    """So many instances of a type, each with its workers, and what they would make of a load.

    `p99` in seconds; `usd` an hour, None where no price is known.
    """

    instance_type: str
    count: int
    workers: int
    utilization: float
    p99: float
    usd: float | None = None
    as_of: date | None = None

    @property
    def usd_a_month(self) -> float | None:
        """Its price for 730 hours."""
        return None if self.usd is None else self.usd * _HOURS_A_MONTH


def service(measured: Sequence[Measured], workers: int) -> Service | None:
    """The service times behind what was measured with so many workers; None if nothing good was answered.

    The stage with the fewest connections says how the times are spread: nothing waited there, or least. Their
    mean comes from the stage that kept all workers busy, where there is one: there a worker was never
    without a request, and what passes between client and worker cost it nothing.
    """
    closed = [one for one in measured if one.stage.rate is None and one.latencies]
    if not closed:
        return None
    calmest = min(closed, key=lambda one: one.stage.connections)
    latencies = Latencies.of(calmest.latencies)
    times = latencies.representatives(_REPRESENTATIVES)
    full = [one for one in closed if one.stage.connections >= _SATURATING * workers and one.answered]
    if not full:
        return Service(times, 0.0, False)
    mean = workers / max(one.answered / one.seconds for one in full)
    seen = math.fsum(times) / len(times)
    if mean >= seen:
        return Service(tuple(time * mean / seen for time in times), 0.0, True)
    beside = min(seen - mean, times[0])
    # What is left of the difference is taken in proportion: no service time is below nothing.
    share = mean / (seen - beside) if seen > beside else 0.0
    return Service(tuple((time - beside) * share for time in times), beside, True)


def fleet(found: Service, target: Target, instance_type: str, workers: int, region: str) -> Fleet | None:
    """The fewest instances that carry a load; None where no number of them keeps its latency."""
    if target.latency is not None and _no_wait(found) >= target.latency:
        return None
    for count in range(_fewest(found, target, workers), _MOST_INSTANCES + 1):
        queue = Queue(target.rate / count, workers, found.times)
        p99 = queue.percentile(99) + found.beside
        enough = queue.utilization <= BUSIEST if target.latency is None else p99 <= target.latency
        if enough:
            price = hourly(instance_type, region)
            usd, as_of = (None, None) if price is None else (price.usd * count, price.as_of)
            return Fleet(instance_type, count, workers, queue.utilization, p99, usd, as_of)
    return None


def candidates(found: Service, target: Target, worker_memory: int, region: str) -> tuple[Fleet, ...]:
    """What would carry a load, the cheapest first: types with processors alone, whose price is known.

    Each has a worker a processor, of so many bytes.
    """
    fleets = (
        fleet(found, target, kind, vcpus(kind) or 1, region)
        for kind in priced(region)
        if _is_fit(kind, worker_memory)
    )
    return tuple(sorted((one for one in fleets if one is not None), key=lambda one: one.usd or 0.0))


def expected(found: Service, rate: float, instances: int, workers: int) -> float:
    """The p99 in seconds that the model expects of so many instances at a rate."""
    return Queue(rate / instances, workers, found.times).percentile(99) + found.beside


def carried(found: Service, latency: float | None, workers: int) -> float:
    """Requests a second that one instance carries, within a latency (seconds, p99) if there is one."""
    most = workers / found.mean
    if latency is None:
        return BUSIEST * most
    low, high = 0.0, most
    for _ in range(40):
        middle = (low + high) / 2
        if expected(found, middle, 1, workers) <= latency:
            low = middle
        else:
            high = middle
    return low


def assumptions(
    found: Service, workers: int, instance_types: Iterable[str], *, is_here: bool
) -> tuple[str, ...]:
    """What the numbers stand on, a sentence each; `is_here`: measured on this machine, not on instances."""
    named = tuple(instance_types)
    kinds = ", ".join(named) or "the instances"
    burst = "ml.t2 does so only while it has CPU credits."
    mean = f"{found.mean * 1000:.3g} ms"
    source = (
        f"{workers} busy workers answered so many"
        if found.is_calibrated
        else "of a client alone: no stage kept all workers busy, so the way there is counted too"
    )
    return (
        "M/G/c: requests come at random (Poisson), each instance is one queue before its workers, and gets "
        "an equal share of the requests at random.",
        f"A request takes a worker {mean} in the mean ({source}), spread as with the fewest connections.",
        "The wait of those that wait is exponential, its mean that of M/M/c times (1 + CV²) / 2.",
        f"A processor of {kinds} does as much as one here did with the load beside it, and has a worker of "
        "its own."
        if is_here
        else f"Further {kinds} do as much as those that were measured.",
        *([burst] if any(kind.startswith("ml.t2.") for kind in named) else []),
    )


def _fewest(found: Service, target: Target, workers: int) -> int:
    """As few as do not let the queue grow without end."""
    return max(math.ceil(target.rate * found.mean / workers * (1 + 1e-9)), 1)


def _no_wait(found: Service) -> float:
    """The p99 where nothing waits."""
    return Latencies.of(found.times).percentile(99) + found.beside


def _is_fit(kind: str, worker_memory: int) -> bool:
    size, cores = memory(kind), vcpus(kind)
    if size is None or cores is None or kind.removeprefix("ml.")[0] not in _PROCESSORS_ONLY:
        return False
    return worker_memory * cores <= size * _MOST_MEMORY
