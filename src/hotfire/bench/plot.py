"""What was measured as a picture: a page of HTML that needs nothing else, or a PNG by matplotlib."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from importlib.util import find_spec
from pathlib import Path

from hotfire.bench.session import Outcome
from hotfire.errors import PackageMissing, UsageError

_COLOURS = ("#1f6feb", "#d1570a", "#1a7f37", "#8250df", "#bf3989", "#57606a")
_WIDTH, _HEIGHT, _LEFT, _BELOW = 640, 300, 70, 46
_NINES = (0, 50, 90, 99, 99.9, 99.99)
"""The percentiles that the axis names; each further nine has as much room as the one before."""
_POINTS = 200
_PNG = ".png"


@dataclass(frozen=True, slots=True)
class Curve:
    """A stage's latencies: each as a place on the axis of percentiles, and milliseconds."""

    name: str
    points: tuple[tuple[float, float], ...]


def check(file: Path) -> None:
    """See that a file can be drawn: its name says what it is to be.

    Raises UsageError for another kind, PackageMissing for a PNG where matplotlib is not installed.
    """
    kind = file.suffix.lower()
    if kind not in (".html", _PNG):
        raise UsageError(f"--plot: {file.name} is neither a .html nor a .png", "Name a file of this kind.")
    if kind == _PNG and find_spec("matplotlib") is None:
        advice = "`pip install matplotlib`, or name a .html, which needs nothing."
        raise PackageMissing("--plot: a PNG is drawn by matplotlib, which is not installed here", advice)


def write(file: Path, title: str, outcomes: Sequence[Outcome]) -> None:
    """Draw into a file that `check` lets through; raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix.lower() == _PNG:
        _write_png(file, title, outcomes)
    else:
        file.write_text(page(title, outcomes), "utf-8")


def curve(outcome: Outcome) -> Curve | None:
    """A stage's latencies up to the last percentile that its requests can tell; None if it has none."""
    latencies = outcome.latencies
    if latencies is None:
        return None
    last = _place(100 * (1 - 1 / (len(latencies.sorted) + 1)))
    places = [last * step / _POINTS for step in range(_POINTS + 1)]
    return Curve(
        outcome.name,
        tuple((place, latencies.percentile(100 * (1 - 10**-place)) * 1000) for place in places),
    )


def page(title: str, outcomes: Sequence[Outcome]) -> str:
    """The page of HTML."""
    curves = [one for one in map(curve, outcomes) if one is not None]
    return (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n<h1>{escape(title)}</h1>\n"
        f"<h2>Latency by percentile</h2>\n{_latency_chart(curves)}\n"
        f"<h2>Answers a second</h2>\n{_throughput_chart(outcomes)}\n</html>\n"
    )


_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:44rem;margin:2rem auto;padding:0 1rem;color:#1f2328}"
    "h1{font-size:1.3rem}h2{font-size:1rem;margin-bottom:0}svg{width:100%;height:auto}"
    "text{font:12px system-ui,sans-serif;fill:#57606a}"
)


def _place(percent: float) -> float:
    """Where a percentile is on its axis: 0 at 0, 1 at 90, 2 at 99."""
    return -math.log10(1 - percent / 100)


def _latency_chart(curves: Sequence[Curve]) -> str:
    if not curves:
        return "<p>Nothing was answered.</p>"
    last = max(place for one in curves for place, _ in one.points) or 1.0
    most = max(value for one in curves for _, value in one.points)
    parts = [*_grid(most, "ms")]
    for percent in _NINES:
        if _place(percent) <= last:
            x = _x(_place(percent) / last)
            parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - 26}" text-anchor="middle">p{percent:g}</text>')
    for index, one in enumerate(curves):
        colour, left = _COLOURS[index % len(_COLOURS)], _LEFT + 90 * index
        points = " ".join(f"{_x(place / last):.1f},{_y(value / most):.1f}" for place, value in one.points)
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{points}"/>')
        parts.append(f'<rect x="{left}" y="{_HEIGHT - 14}" width="10" height="10" fill="{colour}"/>')
        parts.append(f'<text x="{left + 15}" y="{_HEIGHT - 5}">{escape(one.name)}</text>')
    return _svg(parts)


def _throughput_chart(outcomes: Sequence[Outcome]) -> str:
    most = max((one.throughput for one in outcomes), default=0.0) or 1.0
    parts = [*_grid(most, "/s")]
    room = 1 / max(len(outcomes), 1)
    for index, one in enumerate(outcomes):
        x, top = _x(room * (index + 0.25)), _y(one.throughput / most)
        width = (_x(1) - _x(0)) * room / 2
        colour = _COLOURS[index % len(_COLOURS)]
        height = _y(0) - top
        parts.append(
            f'<rect x="{x:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>'
        )
        middle = x + width / 2
        for y, text in ((top - 4, f"{one.throughput:,.0f}"), (_HEIGHT - 26, one.name)):
            parts.append(f'<text x="{middle:.1f}" y="{y:.1f}" text-anchor="middle">{escape(text)}</text>')
    return _svg(parts)


def _grid(most: float, unit: str) -> Iterator[str]:
    for quarter in range(5):
        y, value = _y(quarter / 4), most * quarter / 4
        yield f'<line x1="{_LEFT}" x2="{_WIDTH - 10}" y1="{y:.1f}" y2="{y:.1f}" stroke="#d1d9e0"/>'
        yield f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.4g} {unit}</text>'


def _x(part: float) -> float:
    return _LEFT + part * (_WIDTH - _LEFT - 20)


def _y(part: float) -> float:
    return 20 + (1 - part) * (_HEIGHT - _BELOW - 20)


def _svg(parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">\n' + "\n".join(parts) + "\n</svg>"


def _write_png(file: Path, title: str, outcomes: Sequence[Outcome]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 8), layout="constrained")
    figure.suptitle(title)
    latency, throughput = figure.subplots(2)
    for one in filter(None, map(curve, outcomes)):
        latency.plot(*zip(*one.points, strict=True), label=one.name)
    places = [_place(percent) for percent in _NINES]
    latency.set_xticks(places, [f"p{percent:g}" for percent in _NINES])
    latency.set_ylabel("ms")
    latency.set_ylim(bottom=0)
    if latency.lines:
        latency.legend()
    throughput.bar([one.name for one in outcomes], [one.throughput for one in outcomes])
    throughput.set_ylabel("answers a second")
    figure.savefig(file)
