"""The time that a request took, by the functions of the handler."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TimeSpent:
    """The time in one function of the handler, and its part of the request's, in percent."""

    name: str
    seconds: float
    start: float
    width: float


def times_spent(times: Mapping[str, float], whole: float) -> list[TimeSpent]:
    """The functions one after the other, each with its part of the whole."""
    whole = max(whole, sum(times.values())) or 1.0
    spent, start = [], 0.0
    for name, seconds in times.items():
        width = 100 * seconds / whole
        spent.append(TimeSpent(name, seconds, round(start, 3), round(width, 3)))
        start += width
    return spent
