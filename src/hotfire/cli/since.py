"""A moment as people say it: so long ago, or a date and time."""

from __future__ import annotations

import re
import time
from datetime import datetime

import click

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600, "w": 7 * 24 * 3600}
_AGO = re.compile(r"(?:[0-9]{1,9}[smhdw])+")


def since(context: click.Context, option: click.Parameter, value: str | None) -> float | None:
    """A callback: what `10m`, `1h30m` or `2026-11-22T10:00:00Z` says, in seconds since the epoch.

    A time without an offset is one of this machine's clock.
    """
    if value is None:
        return None
    if _AGO.fullmatch(value):
        parts = re.findall(r"([0-9]+)(.)", value)
        return max(0.0, time.time() - sum(int(count) * _SECONDS[unit] for count, unit in parts))
    try:
        return max(0.0, datetime.fromisoformat(value).timestamp())
    except (ValueError, OverflowError) as error:
        message = f"{value!r} is no time: say 10m, 2h, 1d or 2026-11-22T10:00:00"
        raise click.BadParameter(message, context, option) from error
