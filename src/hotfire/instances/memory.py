"""The memory of processes, and whether the kernel has ended some for want of it, as far as it says so."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

_COUNTERS = Path("/proc/vmstat")
_NAME = "oom_kill"


def kills() -> int:
    """How many it has ended, of the machine or of a group with a limit; 0 where it does not say."""
    with contextlib.suppress(OSError):
        for line in _COUNTERS.read_text().splitlines():
            name, _, count = line.partition(" ")
            if name == _NAME:
                return int(count)
    return 0


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a process has in memory, in bytes: all of it, and what no other process shares."""

    pid: int
    resident: int
    own: int


def footprint(pid: int) -> Footprint | None:
    """Of a process of this machine; None if it has ended or may not be looked at."""
    import psutil

    try:
        found = psutil.Process(pid).memory_full_info()
    except psutil.Error:
        return None
    return Footprint(pid, found.rss, found.uss)
