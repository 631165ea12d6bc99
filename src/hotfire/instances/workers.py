"""Workers as the region sees them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import statistics
import time
from collections import deque
from collections.abc import Callable

from hotfire.errors import InstanceError
from hotfire.instances.channel import FrameProtocol, connect
from hotfire.instances.fates import MemoryWatch
from hotfire.instances.jobs import Job
from hotfire_worker.wire import Header

_QUICK_SECONDS = 0.005
"""A worker whose recent median is below may have the next request in its socket already."""
_SECONDS_TO_COME_UP = 10.0
"""A forked worker that is not ready by then never will be."""


class Worker:
    """A process that answers one request at a time."""

    def __init__(
        self,
        seconds: float,
        lost: Callable[[Worker], None],
        answered: Callable[[], None],
        held: Callable[[], None],
    ) -> None:
        self.pid = 0
        self._seconds = seconds
        self.gone = False
        self.jobs: deque[Job] = deque()
        self.has_answered = False
        self.is_debugged = False
        """Whether a request may be held in it for as long as somebody looks."""
        self.is_killed = False
        """Whether we have ended it."""
        self.memory = MemoryWatch()
        self._begun = 0.0
        self._durations: deque[float] = deque([_QUICK_SECONDS], maxlen=15)
        self._lost = lost
        self._answered = answered
        self._held = held
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._protocol: FrameProtocol | None = None
        self._debugger: asyncio.Future[int] | None = None

    async def open(self, sock: socket.socket) -> None:
        """Use our end of its socket pair."""
        self._protocol = await connect(sock, self._received, self._disconnected)

    async def ready(self) -> None:
        """Wait until it can be given requests; raises TimeoutError or InstanceError."""
        await asyncio.wait_for(self._ready, _SECONDS_TO_COME_UP)

    @property
    def has_room(self) -> bool:
        """Whether it may be given a request now."""
        if not self.jobs:
            return True
        if len(self.jobs) > 1 or self.jobs[0].mark or self.is_debugged:
            return False
        return statistics.median(self._durations) < _QUICK_SECONDS

    def give(self, job: Job) -> None:
        """Send it a request."""
        assert self._protocol is not None
        self.jobs.append(job)
        if len(self.jobs) == 1:
            self._begin()
        request = job.request
        header = {"id": request.id, "headers": dict(request.headers), "query": request.query, **job.mark}
        if request.examined:
            header["examined"] = True
        if request.profiled:
            header["profiled"] = True
        self._protocol.send(header, request.body)

    @property
    def seconds(self) -> float:
        """For how long it has had its request in hand."""
        return time.monotonic() - self._begun

    async def debug(self) -> int:
        """Have debugpy listen in it, when it has no request in hand; the port. Raises InstanceError."""
        assert self._protocol is not None
        if self._debugger is None:
            self.is_debugged = True
            self._debugger = asyncio.get_running_loop().create_future()
            self._protocol.send({"debug": True})
        return await asyncio.shield(self._debugger)

    def kill(self) -> None:
        """End it at once."""
        self.is_killed = True
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def hold(self) -> None:
        """Take nothing from it for now."""
        if self._protocol is not None:
            self._protocol.hold()

    def release(self) -> None:
        """Take what it sends again."""
        if self._protocol is not None:
            self._protocol.release()

    def cancel(self, job: Job) -> None:
        """Tell it that nobody wants the rest of an answer."""
        if self._protocol is not None and not self.gone:
            self._protocol.send({"cancel": job.request.id})

    def _received(self, header: Header, body: bytearray) -> None:
        if "event" in header:
            self._hear(header)
            return
        self.has_answered = True
        if "more" in header:
            self.jobs[0].add(header, body)
            return
        self._durations.append(time.monotonic() - self._begun)
        job = self.jobs.popleft()
        job.end()
        job.finish(header, body)
        if self.jobs:
            self._begin()
        self._answered()

    def _hear(self, header: Header) -> None:
        """Something besides an answer."""
        if header["event"] == "held":
            self.is_debugged = True
            self.jobs[0].take_time()
            self._held()
        elif header["event"] == "released":
            self.is_debugged = self._debugger is not None
        elif header["event"] == "debugger" and self._debugger is not None:
            if "port" in header:
                self._debugger.set_result(header["port"])
            else:
                self._debugger.set_exception(InstanceError(header["error"]))
        elif not self._ready.done():  # it may come too late
            self._ready.set_result(None)

    def _begin(self) -> None:
        self._begun = time.monotonic()
        if self.is_debugged:
            self.jobs[0].take_time()
        self.jobs[0].begin(self._seconds, self)

    def _disconnected(self) -> None:
        self.gone = True
        if self._debugger is not None and not self._debugger.done():
            self._debugger.set_exception(InstanceError("the worker ended before it could be debugged"))
            self._debugger.exception()
        if not self._ready.done():
            self._ready.set_exception(InstanceError("a worker ended before it could answer"))
            self._ready.exception()
        self._lost(self)
