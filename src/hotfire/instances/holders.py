"""Holders as the region sees them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from hotfire.errors import LoadFailed
from hotfire.instances.channel import ControlChannel
from hotfire.instances.fates import Ends, MemoryWatch, fate
from hotfire_worker.edits import Edit
from hotfire_worker.wire import Header

Fate = Callable[[int], Awaitable[int | None]]
"""Takes a pid, and gives the code with which that process ended; None where nobody knows."""


class Census(Protocol):
    """Knows of each process that leads a group, so that a later region can end what is left of it."""

    def born(self, pid: int, kind: str) -> None:
        """A process was started."""

    def died(self, pid: int) -> None:
        """A process has ended."""


class NoCensus:
    """Nobody looks for the processes afterwards: they end with this one."""

    def born(self, pid: int, kind: str) -> None:
        """Nothing is written down."""

    def died(self, pid: int) -> None:
        """Nothing is written down."""


class Holder:
    """A process that has loaded, or is loading, a handler's model."""

    def __init__(self, on_lost: Callable[[], None], how_ended: Fate) -> None:
        loop = asyncio.get_running_loop()
        self.pid = 0
        self.unsafe = ""
        self.imported: Sequence[str] = ()
        """The third-party modules that the handler was the first to import."""
        self._loaded: asyncio.Future[None] = loop.create_future()
        self._ends = Ends()
        self._memory = MemoryWatch()
        self._on_lost, self._how_ended = on_lost, how_ended
        self.control = ControlChannel(self._event, self._lost)

    async def loaded(self, timeout: float) -> None:
        """Wait until the model is loaded; raises LoadFailed if it cannot be."""
        try:
            await asyncio.wait_for(asyncio.shield(self._loaded), timeout)
        except TimeoutError:
            self.kill()
            raise LoadFailed(f"the model was not loaded within {timeout:.0f} s") from None
        except EOFError:
            said = fate(await self.own_end(), lacked_memory=self._memory.is_short)
            raise LoadFailed(f"the process {said} while it loaded the model") from None

    async def employ(self, command: str, descriptor: int, edits: Sequence[Edit]) -> int:
        """Have it fork a worker (`work`), whose code is edited, or become one (`serve`); the worker's pid."""
        answer = await self.control.call({"command": command, "edits": list(edits)}, [descriptor])
        return int(answer["pid"])

    async def ended(self, pid: int) -> int | None:
        """The code with which a worker that it forked has ended; None if it does not say soon."""
        return await self._ends.code(pid)

    async def own_end(self) -> int | None:
        """The code with which it has ended itself; None where nobody knows."""
        return await self._how_ended(self.pid)

    def kill(self) -> None:
        """End it, its workers, and whatever the handler started in them."""
        self.control.close()
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def _event(self, header: Header) -> None:
        if header["event"] == "end":
            self._ends.tell(header["pid"], header["status"])
        elif self._loaded.done():
            return
        elif header["event"] == "loaded":
            self.unsafe, self.imported = header["unsafe"], header["imported"]
            self._loaded.set_result(None)
        elif header["event"] == "failed":
            self._refuse(LoadFailed(header["message"], header["trace"], header["findings"]))

    def _refuse(self, error: LoadFailed | EOFError) -> None:
        self._loaded.set_exception(error)
        self._loaded.exception()  # whoever waits is told; that nobody does is no fault

    def _lost(self) -> None:
        if not self._loaded.done():
            self._refuse(EOFError())
        self.kill()  # programs that the handler started live on
        self._on_lost()
