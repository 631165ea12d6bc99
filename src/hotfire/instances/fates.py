"""How processes ended: what their parents tell of it, and that in words."""

from __future__ import annotations

import asyncio
import os
import signal

from hotfire.instances.memory import kills

_SECONDS_TO_SAY_HOW = 1.0
"""A parent that has not said by then how a child ended will not."""


class Ends:
    """The children of one process that have ended, by what it tells; somebody may ask before that."""

    def __init__(self) -> None:
        self._codes: dict[int, asyncio.Future[int]] = {}

    def tell(self, pid: int, status: int) -> None:
        """One has ended; `status` is as `os.wait` has it."""
        code = self._code_of(pid)
        if not code.done():
            code.set_result(os.waitstatus_to_exitcode(status))

    async def code(self, pid: int) -> int | None:
        """Its exit code, below 0 the signal that killed it; None if nobody says it soon."""
        try:
            return await asyncio.wait_for(asyncio.shield(self._code_of(pid)), _SECONDS_TO_SAY_HOW)
        except TimeoutError:
            return None
        finally:
            self._codes.pop(pid, None)

    def _code_of(self, pid: int) -> asyncio.Future[int]:
        return self._codes.setdefault(pid, asyncio.get_running_loop().create_future())


class MemoryWatch:
    """Whether the kernel has ended processes for want of memory since this was made."""

    def __init__(self) -> None:
        self._kills = kills()

    @property
    def is_short(self) -> bool:
        """It has: of which process, it does not say."""
        return kills() > self._kills


def fate(code: int | None, *, lacked_memory: bool = False) -> str:
    """What became of a process, as a sentence goes on after its name; None is a code that nobody knows.

    `lacked_memory` is whether the kernel has ended some process for want of memory in its time.
    """
    seems = "it seems for want of memory"
    if code is None:
        return f"ended ({seems})" if lacked_memory else "ended"
    if code >= 0:
        return f"ended with exit code {code}"
    name = next((one.name for one in signal.Signals if one.value == -code), "")
    more = [name] if name else []
    if -code == signal.SIGKILL and lacked_memory:
        more.append(seems)
    return f"was killed by signal {-code}" + (f" ({'; '.join(more)})" if more else "")
