"""Whether the kernel has ended processes for want of memory, as far as it says so."""

from __future__ import annotations

import contextlib
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
