"""Looks now and then at what the workers of every endpoint have in memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from hotfire.instances.memory import Footprint, footprint
from hotfire.region.traffic import MemorySample, Traffic

SECONDS_WATCHED = 5.0
"""Between two looks while somebody watches."""
SECONDS_ALONE = 60.0
"""While nobody does: to look costs a worker milliseconds of the kernel's time."""


class Sampler:
    """Gives the figures their samples of memory.

    `workers` tells the processes of each endpoint; `is_watched` whether somebody sees what comes of it.
    """

    def __init__(
        self,
        traffic: Traffic,
        workers: Callable[[], Mapping[str, Sequence[int]]],
        is_watched: Callable[[], bool],
        look_at: Callable[[int], Footprint | None] = footprint,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._traffic, self._workers, self._is_watched = traffic, workers, is_watched
        self._look_at, self._clock = look_at, clock
        self._looked = float("-inf")

    async def run(self) -> None:
        """Look for as long as it is not cancelled."""
        while True:
            await self.look(SECONDS_WATCHED if self._is_watched() else SECONDS_ALONE)
            await asyncio.sleep(SECONDS_WATCHED)

    async def look(self, seconds: float = SECONDS_WATCHED) -> None:
        """Look now, unless that was done within the last seconds; on another thread than the loop's."""
        now = self._clock()
        # A timer is a little early or late.
        if now - self._looked < seconds * 0.9:
            return
        self._looked = now
        workers = self._workers()
        found = await asyncio.to_thread(self._footprints, [pid for pids in workers.values() for pid in pids])
        for endpoint, pids in workers.items():
            seen = (found[pid] for pid in pids if pid in found)
            self._traffic.sample(
                endpoint, [MemorySample(now, one.pid, one.resident, one.own) for one in seen]
            )

    def _footprints(self, pids: Iterable[int]) -> dict[int, Footprint]:
        found = ((pid, self._look_at(pid)) for pid in pids)
        return {pid: one for pid, one in found if one is not None}
