"""Holders as the region sees them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Sequence
from typing import Protocol

from hotfire.errors import LoadFailed
from hotfire.instances.channel import ControlChannel
from hotfire_worker.edits import Edit
from hotfire_worker.wire import Header

_SECONDS_TO_SAY_HOW = 1.0
"""A holder that has not said how a worker ended by then will not."""


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

    def __init__(self, on_lost: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        self.pid = 0
        self.unsafe = ""
        self.imported: Sequence[str] = ()
        """The third-party modules that the handler was the first to import."""
        self._loaded: asyncio.Future[None] = loop.create_future()
        self._ends: dict[int, asyncio.Future[int]] = {}
        self._on_lost = on_lost
        self.control = ControlChannel(self._event, self._lost)

    async def loaded(self, timeout: float) -> None:
        """Wait until the model is loaded; raises LoadFailed if it cannot be."""
        try:
            await asyncio.wait_for(asyncio.shield(self._loaded), timeout)
        except TimeoutError:
            self.kill()
            raise LoadFailed(f"the model was not loaded within {timeout:.0f} s") from None

    async def employ(self, command: str, descriptor: int, edits: Sequence[Edit]) -> int:
        """Have it fork a worker (`work`), whose code is edited, or become one (`serve`); the worker's pid."""
        answer = await self.control.call({"command": command, "edits": list(edits)}, [descriptor])
        return int(answer["pid"])

    async def ended(self, pid: int) -> int | None:
        """How a worker that it forked has ended, as `os.wait` has it; None if it does not say soon."""
        try:
            return await asyncio.wait_for(asyncio.shield(self._end_of(pid)), _SECONDS_TO_SAY_HOW)
        except TimeoutError:
            return None
        finally:
            self._ends.pop(pid, None)

    def _end_of(self, pid: int) -> asyncio.Future[int]:
        return self._ends.setdefault(pid, asyncio.get_running_loop().create_future())

    def kill(self) -> None:
        """End it, its workers, and whatever the handler started in them."""
        self.control.close()
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def _event(self, header: Header) -> None:
        if header["event"] == "end":
            end = self._end_of(header["pid"])
            if not end.done():
                end.set_result(header["status"])
        elif self._loaded.done():
            return
        elif header["event"] == "loaded":
            self.unsafe, self.imported = header["unsafe"], header["imported"]
            self._loaded.set_result(None)
        elif header["event"] == "failed":
            self._refuse(LoadFailed(header["message"], header["trace"], header["findings"]))

    def _refuse(self, error: LoadFailed) -> None:
        self._loaded.set_exception(error)
        self._loaded.exception()  # whoever waits is told; that nobody does is no fault

    def _lost(self) -> None:
        if not self._loaded.done():
            self._refuse(LoadFailed("the process ended while it loaded the model"))
        self.kill()  # programs that the handler started live on
        self._on_lost()
