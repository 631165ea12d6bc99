"""Figures over time as lines in a drawing: where each point is; a template draws them as SVG."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 600, 150
"""Of a plot's field, in its own units."""
_DASH = 2
_STEPS = (1, 2, 4, 6, 8, 10)


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of a plot: its name, and a value for each time; None where there is none."""

    name: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Line:
    """A curve as it is drawn: `path` is SVG's, `last` the latest value in words."""

    name: str
    path: str
    last: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on an axis, and what is written there."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened at a time."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Plot:
    """Curves with their axes. `rows` are the same figures in words: a time and a value for each curve."""

    id: str
    title: str
    lines: Sequence[Line]
    heights: Sequence[Tick]
    times: Sequence[Tick]
    marks: Sequence[Mark]
    rows: Sequence[tuple[str, Sequence[str]]]

    @property
    def is_empty(self) -> bool:
        """Whether no curve has a value."""
        return not any(line.path for line in self.lines)


def plot(
    id: str,
    title: str,
    times: Sequence[float],
    curves: Sequence[Curve],
    say: Callable[[float | None], str],
    marks: Sequence[tuple[float, str]] = (),
) -> Plot:
    """A plot of curves over the same times, from zero up; `say` puts a value into words."""
    top = _top([value for curve in curves for value in curve.values if value is not None])
    first, last = times[0], times[-1]
    span = max(last - first, 1.0)

    def across(moment: float) -> float:
        return round(WIDTH * (moment - first) / span, 1)

    lines = [
        Line(curve.name, _path(curve.values, [across(t) for t in times], top), say(_latest(curve.values)))
        for curve in curves
    ]
    heights = [Tick(HEIGHT, "0")]
    if any(line.path for line in lines):
        heights += [Tick(HEIGHT * (1 - part), say(top * part)) for part in (0.5, 1)]
    ticks = [Tick(across(moment), _clock(moment)) for moment in _quarters(first, span)]
    shown = [Mark(min(across(moment), WIDTH), text) for moment, text in marks if moment >= first]
    rows = [
        (_clock(moment), [say(curve.values[place]) for curve in curves])
        for place, moment in reversed(list(enumerate(times)))
        if any(curve.values[place] for curve in curves)
    ]
    return Plot(id, title, lines, heights, ticks, shown, rows)


def spark(values: Sequence[float], width: float, height: float) -> str:
    """A small line without axes, as SVG's points; empty if nothing ever was."""
    top = max(values, default=0.0)
    if top <= 0:
        return ""
    step = width / max(len(values) - 1, 1)
    return " ".join(
        f"{place * step:.1f},{height - 1 - (height - 2) * value / top:.1f}"
        for place, value in enumerate(values)
    )


def _path(values: Sequence[float | None], places: Sequence[float], top: float) -> str:
    """A line through the values, broken where there is none; a value alone is a dash."""
    path, before = "", None
    for value, after, x in zip(values, [*values[1:], None], places, strict=True):
        if value is not None:
            y = round(HEIGHT - HEIGHT * min(value / top, 1.0), 1)
            if before is not None:
                path += f"L{x} {y}"
            else:
                path += f"M{x} {y}" if after is not None else f"M{x - _DASH} {y}h{2 * _DASH}"
        before = value
    return path


def _top(values: Sequence[float]) -> float:
    """A round number above all of them."""
    most = max(values, default=0.0)
    if most <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(most))
    return next(power * step for step in _STEPS if power * step >= most * 0.999)


def _latest(values: Sequence[float | None]) -> float | None:
    return next((value for value in reversed(values) if value is not None), None)


def _quarters(first: float, span: float) -> list[float]:
    return [first + span * part / 4 for part in range(5)]


def _clock(moment: float) -> str:
    return time.strftime("%H:%M", time.localtime(moment))
