"""What comes to each endpoint and how fast it is answered: counts in memory, of the last hour."""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

KEPT_SECONDS = 3600
"""So far back figures go."""

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""The upper bounds, in seconds, of the durations that are counted apart since the region's start."""

_SPAN = 10
"""Seconds that are counted together once they are more than a minute ago."""
_FINEST = 0.0001
_LOG_STEP = math.log(1.05)
"""Durations are told apart by a twentieth, from a tenth of a millisecond on."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Of some time: how many requests, how many of them failed, and how long the model took, in seconds.

    Half of those that reached the model took no longer than `p50`; None if there were none.
    """

    requests: int = 0
    errors: int = 0
    p50: float | None = None
    p99: float | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """The figures of `seconds` seconds from `time` on, in seconds since the epoch."""

    time: int
    seconds: int
    figures: Figures


@dataclass(frozen=True, slots=True)
class MemorySample:
    """What a worker had in memory at a time, in bytes: all of it, and what no other process shares."""

    time: float
    pid: int
    resident: int
    own: int


@dataclass(frozen=True, slots=True)
class Mark:
    """That another version, an endpoint config, began to serve; `time` in seconds since the epoch."""

    time: float
    version: str


@dataclass(frozen=True, slots=True)
class Totals:
    """A variant since the region's start, or since its endpoint was made, if that is later.

    `errors` by their codes; `durations` has a count for each of BOUNDS and one for what is above, none of
    them with what is below it; `seconds` is their sum.
    """

    endpoint: str
    variant: str
    requests: int
    errors: Mapping[str, int]
    in_flight: int
    durations: tuple[int, ...]
    seconds: float


class _Slot:
    """What some seconds brought."""

    __slots__ = ("bins", "errors", "number", "requests")

    def __init__(self, number: int) -> None:
        self.number = number
        self.requests = self.errors = 0
        self.bins: dict[int, int] = {}

    def add(self, other: _Slot) -> None:
        self.requests += other.requests
        self.errors += other.errors
        for number, count in other.bins.items():
            self.bins[number] = self.bins.get(number, 0) + count


class Counter:
    """Counts of one variant: the last minute by seconds, the last hour by spans, and all since the start."""

    def __init__(self) -> None:
        self.in_flight = self.requests = 0
        self.errors: dict[str, int] = {}
        self.durations = [0] * (len(BOUNDS) + 1)
        self.seconds = 0.0
        self._now = _Slot(0)
        self._minute: deque[_Slot] = deque(maxlen=60)
        self._hour: deque[_Slot] = deque(maxlen=KEPT_SECONDS // _SPAN)

    def add(self, second: int, seconds: float | None, error: str) -> None:
        """Count a request that ended in this second since the epoch, and took so many."""
        if second != self._now.number:
            self._turn(second)
        slot = self._now
        slot.requests += 1
        self.requests += 1
        if error:
            slot.errors += 1
            self.errors[error] = self.errors.get(error, 0) + 1
        if seconds is not None:
            number = _bin(seconds)
            slot.bins[number] = slot.bins.get(number, 0) + 1
            self.durations[bisect_left(BOUNDS, seconds)] += 1
            self.seconds += seconds

    def last(self, second: int, seconds: int) -> Iterator[_Slot]:
        """The slots of the last seconds, this one included; beyond a minute in whole spans."""
        first = second - seconds + 1
        slots = self._minute if seconds <= 60 else self._hour
        width = 1 if seconds <= 60 else _SPAN
        yield from (slot for slot in slots if slot.number * width > first - width)
        if self._now.number >= first:
            yield self._now

    def spans(self) -> Iterator[tuple[int, _Slot]]:
        """Every slot of the last hour, with the second at which it begins."""
        yield from ((slot.number * _SPAN, slot) for slot in self._hour)
        yield self._now.number, self._now

    def _turn(self, second: int) -> None:
        """Put the second that is over to the others."""
        over, self._now = self._now, _Slot(second)
        if not over.requests:
            return
        self._minute.append(over)
        span = over.number // _SPAN
        if not self._hour or self._hour[-1].number != span:
            self._hour.append(_Slot(span))
        self._hour[-1].add(over)


@dataclass(slots=True)
class _Endpoint:
    variants: dict[str, Counter] = field(default_factory=dict)
    memory: deque[MemorySample] = field(default_factory=lambda: deque(maxlen=20_000))
    marks: deque[Mark] = field(default_factory=lambda: deque(maxlen=100))


class Traffic:
    """The figures of every endpoint, whoever answers for it. One thread uses it: the event loop's."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._endpoints: dict[str, _Endpoint] = {}

    def enter(self, endpoint: str, variant: str) -> Counter:
        """A request is given to a variant; `leave` follows, with what this returns."""
        counter = self._counter(endpoint, variant)
        counter.in_flight += 1
        return counter

    def leave(self, counter: Counter, seconds: float | None, error: str = "") -> None:
        """It was answered after so many seconds, or failed with an error of this code.

        Without seconds it failed before the model had it, as where too many wait.
        """
        counter.in_flight -= 1
        counter.add(int(self._clock()), seconds, error)

    def refuse(self, endpoint: str, variant: str, error: str) -> None:
        """A request was given to no variant; which one it was for may be unknown."""
        self._counter(endpoint, variant).add(int(self._clock()), None, error)

    def sample(self, endpoint: str, memory: Iterable[MemorySample]) -> None:
        """Keep what its workers have in memory."""
        self._endpoints.setdefault(endpoint, _Endpoint()).memory.extend(memory)

    def forget(self, endpoint: str) -> None:
        """The endpoint is gone, and a later one of its name begins anew."""
        self._endpoints.pop(endpoint, None)

    def figures(self, endpoint: str, variant: str | None = None, seconds: int = 60) -> Figures:
        """Of an endpoint or one of its variants in the last seconds; those of a minute by default."""
        second = int(self._clock())
        counters = self._counters(endpoint, variant)
        return _figures(slot for counter in counters for slot in counter.last(second, seconds))

    def series(
        self, endpoint: str, seconds: int = KEPT_SECONDS, step: int = 60, variant: str | None = None
    ) -> list[Point]:
        """The figures of each step of the last seconds, the oldest first; both in whole tens of seconds.

        The last step is the one that goes on, and every step is there, also where nothing came.
        """
        step = max(step // _SPAN, 1) * _SPAN
        last = int(self._clock()) // step * step
        first = last - (max(seconds, step) // step - 1) * step
        slots: dict[int, list[_Slot]] = {begin: [] for begin in range(first, last + 1, step)}
        for counter in self._counters(endpoint, variant):
            for begin, slot in counter.spans():
                slots.get(begin // step * step, []).append(slot)
        return [Point(begin, step, _figures(found)) for begin, found in slots.items()]

    def memory(self, endpoint: str, seconds: int = KEPT_SECONDS) -> list[MemorySample]:
        """What its workers had in memory, in the order in which it was looked at."""
        known = self._endpoints.get(endpoint)
        since = self._clock() - min(seconds, KEPT_SECONDS)
        return [sample for sample in known.memory if sample.time >= since] if known else []

    def latest_memory(self, endpoint: str, seconds: float) -> list[MemorySample]:
        """The last look at each of its workers, if any was within the last seconds."""
        known = self._endpoints.get(endpoint)
        if known is None or not known.memory or known.memory[-1].time < self._clock() - seconds:
            return []
        last = known.memory[-1].time
        return [sample for sample in known.memory if sample.time == last]

    def mark(self, endpoint: str, mark: Mark) -> None:
        """Another version serves."""
        self._endpoints.setdefault(endpoint, _Endpoint()).marks.append(mark)

    def marks(self, endpoint: str) -> list[Mark]:
        """When which version began to serve, the oldest first: the last hundred, however long ago."""
        known = self._endpoints.get(endpoint)
        return list(known.marks) if known else []

    def totals(self) -> list[Totals]:
        """Every variant since the start, by name."""
        return [
            Totals(
                endpoint,
                variant,
                counter.requests,
                dict(counter.errors),
                counter.in_flight,
                tuple(counter.durations),
                counter.seconds,
            )
            for endpoint, known in sorted(self._endpoints.items())
            for variant, counter in sorted(known.variants.items())
        ]

    def _counter(self, endpoint: str, variant: str) -> Counter:
        known = self._endpoints.get(endpoint)
        if known is None:
            known = self._endpoints[endpoint] = _Endpoint()
        counter = known.variants.get(variant)
        if counter is None:
            counter = known.variants[variant] = Counter()
        return counter

    def _counters(self, endpoint: str, variant: str | None) -> list[Counter]:
        known = self._endpoints.get(endpoint)
        variants = known.variants if known else {}
        return [counter for name, counter in variants.items() if variant in (None, name)]


def _bin(seconds: float) -> int:
    """Which durations it is counted with."""
    return 0 if seconds <= _FINEST else 1 + int(math.log(seconds / _FINEST) / _LOG_STEP)


def _seconds(number: int) -> float:
    """The middle of those durations."""
    return _FINEST if number == 0 else _FINEST * math.exp((number - 0.5) * _LOG_STEP)


def _figures(slots: Iterable[_Slot]) -> Figures:
    whole = _Slot(0)
    for slot in slots:
        whole.add(slot)
    counted = sum(whole.bins.values())
    return Figures(
        whole.requests,
        whole.errors,
        _quantile(whole.bins, counted, 0.5),
        _quantile(whole.bins, counted, 0.99),
    )


def _quantile(bins: Mapping[int, int], counted: int, part: float) -> float | None:
    """The duration that so large a part of them does not exceed."""
    wanted, seen = math.ceil(counted * part), 0
    for number in sorted(bins):
        seen += bins[number]
        if seen >= wanted:
            return _seconds(number)
    return None
