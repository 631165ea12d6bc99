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
    """A request and who waits for its answer."""

    def __init__(self, request: Request, seconds: float, expire: Callable[[Job], None]) -> None:
        self.request = request
        self.future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._seconds, self._expire = seconds, expire
        self.wind()

    def wind(self) -> None:
        """Let its time run from now."""
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._expire, self)

    def settle(self, answer: Answer) -> None:
        """Give the answer, if anybody still waits."""
        self._timer.cancel()
        if not self.future.done():
            self.future.set_result(answer)

    def fail(self, error: InstanceError) -> None:
        """Give the error, if anybody still waits."""
        if not self.future.done():
            self.future.set_exception(error)


class Worker:
    """A process that answers one request at a time."""

    def __init__(self, lost: Callable[[Worker], None], answered: Callable[[], None]) -> None:
        self.pid = 0
        self.gone = False
        self.jobs: deque[Job] = deque()
        self.has_answered = False
        self._given = 0.0
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
        if not self.jobs:
            self._given = time.monotonic()
        self.jobs.append(job)
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
        now = time.monotonic()
        self._durations.append(now - self._given)
        self._given = now
        self.jobs.popleft().settle(Answer(header["status"], header["headers"], bytes(body), header["times"]))
        self._answered()

    def _disconnected(self) -> None:
        self.gone = True
        if not self._ready.done():
            self._ready.set_exception(InstanceError("a worker ended before it could answer"))
            self._ready.exception()
        self._lost(self)
