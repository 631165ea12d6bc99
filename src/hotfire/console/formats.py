"""Figures, sizes and times as pages say them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

_UNITS = ("bytes", "KB", "MB", "GB", "TB")


def size(count: float | None) -> str:
    """Bytes: `812 bytes`, `4.1 KB`, `5.0 MB`."""
    if count is None:
        return "–"
    if count == 1:
        return "1 byte"
    power = 0
    while count >= 999.5 and power < len(_UNITS) - 1:
        count, power = count / 1000, power + 1
    return f"{count:.0f} {_UNITS[power]}" if not power or count >= 99.95 else f"{count:.1f} {_UNITS[power]}"


def duration(seconds: float | None) -> str:
    """Seconds: `0.8 ms`, `42 ms`, `1.24 s`, `2 min 5 s`."""
    if seconds is None:
        return "–"
    if seconds < 0.0001:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 0.01:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 100:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def figure(value: float | None) -> str:
    """A number with no more digits than it can bear: `0.4`, `12`, `1,840`."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def clock(moment: float, now: float | None = None) -> str:
    """When it was, on this machine's clock: the time of today, or the day too."""
    then, today = time.localtime(moment), time.localtime(now)
    at = time.strftime("%H:%M:%S", then)
    return at if then[:3] == today[:3] else f"{time.strftime('%d %b', then)} {at}"


def instant(moment: float) -> str:
    """When it was, as HTML's `time` has it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


FILTERS: Mapping[str, Callable[..., Any]] = {
    "size": size,
    "duration": duration,
    "figure": figure,
    "clock": clock,
    "instant": instant,
}
"""By their names in templates."""
