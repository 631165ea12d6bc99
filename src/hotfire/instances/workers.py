"""Workers as the region sees them, and the requests that they are given."""

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
from hotfire.instances.base import Answer, Request
from hotfire.instances.channel import FrameProtocol, connect
from hotfire_worker.wire import Header

_QUICK_SECONDS = 0.005
"""A worker whose recent median is below may have the next request in its socket already."""
_SECONDS_TO_COME_UP = 10.0
"""A forked worker that is not ready by then never will be."""


class Job:
    """A request and who waits for its answer.

    The service's time runs from its arrival, the container's from when a worker has it in hand.
    """

    def __init__(self, request: Request, expire: Callable[[Job], None]) -> None:
        loop = asyncio.get_running_loop()
        self.request = request
        self.future: asyncio.Future[Answer] = loop.create_future()
        self._patience = loop.call_later(request.limit, expire, self)
        self._turn: asyncio.TimerHandle | None = None

    def begin(self, seconds: float, overdue: Callable[[], None]) -> None:
        """A worker has it in hand now, and may have it for so long, whether or not anybody still waits."""
        seconds = min(seconds, self.request.limit)
        self._turn = asyncio.get_running_loop().call_later(seconds, overdue)

    def end(self) -> None:
        """No worker has it in hand any more."""
        if self._turn is not None:
            self._turn.cancel()

    def settle(self, answer: Answer) -> None:
        """Give the answer, if anybody still waits."""
        self._patience.cancel()
        if not self.future.done():
            self.future.set_result(answer)

    def fail(self, error: InstanceError) -> None:
        """Give the error, if anybody still waits."""
        if not self.future.done():
            self.future.set_exception(error)


class Worker:
    """A process that answers one request at a time."""

    def __init__(self, seconds: float, lost: Callable[[Worker], None], answered: Callable[[], None]) -> None:
        self.pid = 0
        self._seconds = seconds
        self.gone = False
        self.jobs: deque[Job] = deque()
        self.has_answered = False
        self._begun = 0.0
        self._durations: deque[float] = deque([_QUICK_SECONDS], maxlen=15)
        self._lost = lost
        self._answered = answered
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._protocol: FrameProtocol | None = None

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
        return len(self.jobs) == 1 and statistics.median(self._durations) < _QUICK_SECONDS

    def give(self, job: Job) -> None:
        """Send it a request."""
        assert self._protocol is not None
        self.jobs.append(job)
        if len(self.jobs) == 1:
            self._begin()
        request = job.request
        header = {"id": request.id, "headers": dict(request.headers), "query": request.query}
        self._protocol.send(header, request.body)

    def kill(self) -> None:
        """End it at once."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def _received(self, header: Header, body: bytearray) -> None:
        if "event" in header:
            if not self._ready.done():  # it may come too late
                self._ready.set_result(None)
            return
        self.has_answered = True
        self._durations.append(time.monotonic() - self._begun)
        job = self.jobs.popleft()
        job.end()
        job.settle(Answer(header["status"], header["headers"], bytes(body), header["times"]))
        if self.jobs:
            self._begin()
        self._answered()

    def _begin(self) -> None:
        self._begun = time.monotonic()
        self.jobs[0].begin(self._seconds, self.kill)

    def _disconnected(self) -> None:
        self.gone = True
        if not self._ready.done():
            self._ready.set_exception(InstanceError("a worker ended before it could answer"))
            self._ready.exception()
        self._lost(self)
