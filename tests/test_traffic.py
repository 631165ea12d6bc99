"""Counts of requests, on a clock that the test moves."""

import random
import statistics
from dataclasses import dataclass

import pytest

from hotfire.region.traffic import BOUNDS, Figures, Mark, MemorySample, Totals, Traffic

START = 1_000_000


@dataclass
class Clock:
    now: float = START

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def traffic(clock: Clock) -> Traffic:
    return Traffic(clock)


def answer(traffic: Traffic, seconds: float = 0.01, error: str = "", variant: str = "blue") -> None:
    traffic.leave(traffic.enter("e", variant), seconds, error)


def test_nothing_is_known_of_who_gets_no_requests(traffic: Traffic) -> None:
    assert traffic.figures("e") == Figures(0, 0, None, None)
    assert traffic.totals() == []
    assert [point.figures for point in traffic.series("e", 120)] == [Figures()] * 2


def test_requests_of_the_last_minute_are_counted(traffic: Traffic, clock: Clock) -> None:
    for second in range(90):
        clock.now = START + second
        answer(traffic, error="ModelError" if second % 3 == 0 else "")
    figures = traffic.figures("e")
    assert (figures.requests, figures.errors) == (60, 20)
    clock.now += 59
    assert traffic.figures("e").requests == 1
    clock.now += 1
    assert traffic.figures("e") == Figures()


@pytest.mark.parametrize("scale", [0.0005, 0.02, 3.0])
def test_percentiles_are_near_the_true_ones(traffic: Traffic, scale: float) -> None:
    chance = random.Random(7)
    durations = [chance.lognormvariate(0, 0.6) * scale for _ in range(5_000)]
    for seconds in durations:
        answer(traffic, seconds)
    figures = traffic.figures("e")
    cuts = statistics.quantiles(durations, n=100)
    assert figures.p50 == pytest.approx(cuts[49], rel=0.05)
    assert figures.p99 == pytest.approx(cuts[98], rel=0.08)


def test_half_of_two_is_the_shorter(traffic: Traffic) -> None:
    answer(traffic, 0.001)
    answer(traffic, 1.0)
    figures = traffic.figures("e")
    assert figures.p50 == pytest.approx(0.001, rel=0.05)
    assert figures.p99 == pytest.approx(1.0, rel=0.05)


def test_what_did_not_reach_a_model_took_it_no_time(traffic: Traffic) -> None:
    answer(traffic, 1.0)
    traffic.refuse("e", "", "ValidationError")
    traffic.leave(traffic.enter("e", "blue"), None, "Throttling")
    figures = traffic.figures("e")
    assert (figures.requests, figures.errors) == (3, 2)
    assert figures.p50 == pytest.approx(1.0, rel=0.05)


def test_a_variant_has_figures_of_its_own(traffic: Traffic) -> None:
    answer(traffic, variant="blue")
    answer(traffic, variant="green")
    answer(traffic, variant="green")
    assert traffic.figures("e", "green").requests == 2
    assert traffic.figures("e").requests == 3
    assert traffic.figures("e", "red") == Figures()


def test_an_hour_is_remembered_step_by_step(traffic: Traffic, clock: Clock) -> None:
    for second in range(0, 7_200, 5):
        clock.now = START + second
        answer(traffic)
    points = traffic.series("e", seconds=3_600, step=600)
    assert [point.time for point in points] == list(range(1_003_800, 1_006_801, 600))
    assert {point.seconds for point in points} == {600}
    # The last step goes on.
    assert [point.figures.requests for point in points] == [120, 120, 120, 120, 120, 80]


def test_a_step_without_requests_is_there_too(traffic: Traffic, clock: Clock) -> None:
    answer(traffic)
    clock.now += 30
    answer(traffic, error="ModelError")
    points = traffic.series("e", seconds=50, step=10)
    assert [point.figures.requests for point in points] == [0, 1, 0, 0, 1]
    assert [point.figures.errors for point in points] == [0, 0, 0, 0, 1]


def test_what_is_in_hand_is_counted(traffic: Traffic) -> None:
    first, _ = traffic.enter("e", "blue"), traffic.enter("e", "blue")
    traffic.leave(first, 0.1)
    assert traffic.totals()[0].in_flight == 1


def test_totals_are_since_the_start(traffic: Traffic, clock: Clock) -> None:
    for seconds in (0.0005, 0.001, 0.0011, 120.0):
        answer(traffic, seconds)
        clock.now += 4_000
    answer(traffic, 0.3, "ModelError")
    durations = [0] * (len(BOUNDS) + 1)
    durations[0], durations[1], durations[8], durations[-1] = 2, 1, 1, 1
    assert traffic.totals() == [
        Totals("e", "blue", 5, {"ModelError": 1}, 0, tuple(durations), pytest.approx(120.3026))
    ]


def test_an_endpoint_that_is_gone_is_forgotten(traffic: Traffic) -> None:
    in_hand = traffic.enter("e", "blue")
    traffic.mark("e", Mark(1.0, "v"))
    traffic.forget("e")
    traffic.leave(in_hand, 0.1)
    assert (traffic.totals(), traffic.marks("e"), traffic.figures("e")) == ([], [], Figures())


def test_memory_is_that_of_the_last_seconds(traffic: Traffic, clock: Clock) -> None:
    for second in (0, 10, 20):
        clock.now = START + second
        traffic.sample("e", [MemorySample(clock.now, pid, 100 + second, 10) for pid in (1, 2)])
    assert [sample.resident for sample in traffic.memory("e", 15)] == [110, 110, 120, 120]
    assert [(sample.pid, sample.resident) for sample in traffic.latest_memory("e", 15)] == [
        (1, 120),
        (2, 120),
    ]
    clock.now += 16
    assert traffic.latest_memory("e", 15) == []
    assert traffic.memory("other") == []


def test_a_clock_that_goes_back_loses_no_request(traffic: Traffic, clock: Clock) -> None:
    answer(traffic)
    clock.now -= 30
    answer(traffic)
    clock.now += 31
    assert traffic.figures("e").requests == 2
