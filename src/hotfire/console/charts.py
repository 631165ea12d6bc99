"""An endpoint's figures over the last while, drawn by the server."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from hotfire.console.endpoint_pages import EndpointPages
from hotfire.console.formats import clock, duration, figure, size
from hotfire.console.plots import Curve, Plot, plot
from hotfire.console.visits import Page, Route, Visit
from hotfire.region.traffic import Mark, MemorySample, Point, Traffic

SPANS = {"5": ("5 minutes", 10), "15": ("15 minutes", 20), "60": ("an hour", 60)}
"""The minutes that can be looked at, in words, and the seconds of a point."""
_SPAN = "15"
_MOST_WORKERS = 8
_SHORTEST_SECONDS = 5.0
"""Of which a rate is told."""
_LONGEST_GAP = 70
"""Seconds: memory is looked at once a minute while nobody watches."""


class ChartPage:
    """`/e/NAME/charts`: throughput, latency, errors and memory."""

    def __init__(
        self, traffic: Traffic, pages: EndpointPages, clock: Callable[[], float] = time.time
    ) -> None:
        self._traffic, self._pages, self._clock = traffic, pages, clock

    @property
    def routes(self) -> Sequence[Route]:
        """The charts of an endpoint."""
        return (Route("GET", "/e/{name}/charts", self.show),)

    def show(self, visit: Visit) -> Page:
        """The charts of the last minutes."""
        common, name = self._pages.common(visit), visit.places["name"]
        span = visit.query.get("minutes", _SPAN)
        span = span if span in SPANS else _SPAN
        seconds, step = int(span) * 60, SPANS[span][1]
        points = self._traffic.series(name, seconds, step)
        marks = self._traffic.marks(name)
        plots = [
            *traffic_plots(points, marks, self._clock()),
            memory_plot(self._traffic.memory(name, seconds), points, marks),
        ]
        since = points[0].time
        values = {
            **common,
            "plots": plots,
            "marks": [mark for mark in marks if mark.time >= since],
            "spans": SPANS,
            "span": span,
        }
        return Page(
            "charts.html",
            values,
            live=("state", "charts"),
            topics=("endpoints",),
            endpoint=name,
        )


def traffic_plots(points: Sequence[Point], marks: Sequence[Mark], now: float) -> list[Plot]:
    """What came, how fast it was answered, and what failed."""

    def rate(count: int, point: Point) -> float:
        """A count as one of a minute; the last point's seconds are not over."""
        return count * 60 / min(point.seconds, max(now - point.time, _SHORTEST_SECONDS))

    times = [float(point.time) for point in points]
    marked = _marked(marks)
    rates = [rate(point.figures.requests, point) for point in points]
    latencies = [
        Curve("p50", [point.figures.p50 for point in points]),
        Curve("p99", [point.figures.p99 for point in points]),
    ]
    errors = [rate(point.figures.errors, point) for point in points]
    return [
        plot("throughput", "Requests a minute", times, [Curve("requests", rates)], figure, marked),
        plot("latency", "Latency", times, latencies, duration, marked),
        plot("errors", "Errors a minute", times, [Curve("errors", errors)], figure, marked),
    ]


def memory_plot(samples: Sequence[MemorySample], points: Sequence[Point], marks: Sequence[Mark]) -> Plot:
    """What each of the latest workers had in memory; of each point its last sample."""
    first, step = points[0].time, points[0].seconds
    workers: dict[int, list[float | None]] = {}
    for sample in samples:
        place = int(sample.time - first) // step
        if 0 <= place < len(points):
            workers.setdefault(sample.pid, [None] * len(points))[place] = float(sample.resident)
    latest = list(workers.items())[-_MOST_WORKERS:]
    curves = [Curve(f"worker {pid}", _bridged(values, step)) for pid, values in latest]
    times = [float(point.time) for point in points]
    curves = curves or [Curve("worker", [None] * len(points))]
    return plot("memory", "Memory of each worker", times, curves, size, _marked(marks))


def _bridged(values: Sequence[float | None], step: int) -> list[float | None]:
    """The values with the gaps filled that are only between two looks."""
    filled: list[float | None] = []
    last: float | None = None
    age = 0
    for place, value in enumerate(values):
        age = 0 if value is not None else age + step
        last = value if value is not None else last
        has_more = any(later is not None for later in values[place:])
        filled.append(last if age <= _LONGEST_GAP and has_more else None)
    return filled


def _marked(marks: Sequence[Mark]) -> list[tuple[float, str]]:
    return [(mark.time, f"deployed {clock(mark.time)}: {mark.version}") for mark in marks]
