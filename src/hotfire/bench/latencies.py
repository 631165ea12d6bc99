"""Latencies in a few numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Latencies:
    """Times in seconds, shortest first."""

    sorted: Sequence[float]

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Latencies:
        """Of times in any order."""
        return cls(sorted(seconds))

    def percentile(self, percent: float) -> float:
        """The time that so many percent do not exceed: one that was measured, never one in between."""
        rank = math.ceil(percent / 100 * len(self.sorted))
        return self.sorted[max(rank, 1) - 1]

    @property
    def mean(self) -> float:
        """The arithmetic mean."""
        return math.fsum(self.sorted) / len(self.sorted)

    def representatives(self, count: int) -> tuple[float, ...]:
        """At most so many of them that stand for all: the middles of parts with the same number each."""
        if len(self.sorted) <= count:
            return tuple(self.sorted)
        return tuple(self.percentile(100 * (part + 0.5) / count) for part in range(count))
