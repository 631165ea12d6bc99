"""A difference between two answers, in words."""

from __future__ import annotations

from dataclasses import dataclass

from hotfire.comparison import Difference, shown


@dataclass(frozen=True, slots=True)
class Place:
    """Where two answers differ, in words."""

    place: str
    was: str
    now: str
    change: str


def place_of(one: Difference) -> Place:
    """A difference in words."""
    was = "" if one.kind == "new" else shown(one.expected)
    now = "" if one.kind == "missing" else shown(one.got)
    change = "" if one.change is None else f"{one.change:+.4g}"
    return Place(one.path or "the answer", was or "(not there)", now or "(not there)", change)
