"""M/G/c: how long requests wait that come at random and are answered by `c` servers, one at a time each.

The chance to wait at all is Erlang's for M/M/c; the time of those that wait is taken for exponential, with
the mean that Lee and Longton's approximation gives: that of M/M/c times (1 + CV²) / 2, where CV is the
coefficient of variation of the service times. Exact for M/M/c, and in the mean for M/G/1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

_STEPS = 60
"""Of a bisection; each halves what is left."""


@dataclass(frozen=True)
class Queue:
    """Requests at `rate` a second before so many `servers`; `times` are service times in seconds."""

    rate: float
    servers: int
    times: Sequence[float]

    @cached_property
    def mean(self) -> float:
        """The mean service time."""
        return math.fsum(self.times) / len(self.times)

    @property
    def utilization(self) -> float:
        """The part of their time in which the servers work; from 1 on, the queue grows without end."""
        return self.rate * self.mean / self.servers

    @cached_property
    def chance_to_wait(self) -> float:
        """Erlang's C, by way of the recursion for his B, which no number of servers overflows."""
        load, blocked = self.rate * self.mean, 1.0
        for servers in range(1, self.servers + 1):
            blocked = load * blocked / (servers + load * blocked)
        return blocked / (1 - self.utilization * (1 - blocked))

    @cached_property
    def mean_wait_of_waiting(self) -> float:
        """The mean wait of those that wait."""
        squares = math.fsum(time * time for time in self.times) / len(self.times)
        variation = max(squares / self.mean**2 - 1, 0.0)
        return (1 + variation) / 2 * self.mean / (self.servers * (1 - self.utilization))

    def chance_beyond(self, seconds: float) -> float:
        """The part of the requests whose wait and service take longer."""
        return math.fsum(self._chance_to_wait_beyond(seconds - time) for time in self.times) / len(self.times)

    def percentile(self, percent: float) -> float:
        """The time that so many percent of the requests do not exceed; infinite if the queue grows."""
        if self.utilization >= 1:
            return math.inf
        low, high = 0.0, max(self.times)
        while self.chance_beyond(high) > 1 - percent / 100:
            high *= 2
        for _ in range(_STEPS):
            middle = (low + high) / 2
            if self.chance_beyond(middle) > 1 - percent / 100:
                low = middle
            else:
                high = middle
        return high

    def _chance_to_wait_beyond(self, seconds: float) -> float:
        if seconds < 0:
            return 1.0
        return self.chance_to_wait * math.exp(-seconds / self.mean_wait_of_waiting)
