"""A moment or a span of time as people say it: `10m`, `1h30m`, or a date and time."""

from __future__ import annotations

import re
import time
from datetime import datetime

import click

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600, "w": 7 * 24 * 3600}
_SPAN = re.compile(r"(?:[0-9]{1,9}[smhdw])+")


def since(context: click.Context, option: click.Parameter, value: str | None) -> float | None:
    """A callback: what `10m`, `1h30m` or `2026-11-22T10:00:00Z` says, in seconds since the epoch.

    A time without an offset is one of this machine's clock.
    """
    if value is None:
        return None
    if _SPAN.fullmatch(value):
        return max(0.0, time.time() - _seconds(value))
    try:
        return max(0.0, datetime.fromisoformat(value).timestamp())
    except (ValueError, OverflowError) as error:
        message = f"{value!r} is no time: say 10m, 2h, 1d or 2026-11-22T10:00:00"
        raise click.BadParameter(message, context, option) from error


def span(context: click.Context, option: click.Parameter, value: str | None) -> float | None:
    """A callback: what `30d` or `1h30m` says, in seconds."""
    if value is None:
        return None
    seconds = _seconds(value) if _SPAN.fullmatch(value) else 0.0
    if not seconds:
        raise click.BadParameter(f"{value!r} is no span of time: say 30m, 12h or 30d", context, option)
    return seconds


def _seconds(value: str) -> float:
    parts = re.findall(r"([0-9]+)(.)", value)
    return float(sum(int(count) * _SECONDS[unit] for count, unit in parts))
