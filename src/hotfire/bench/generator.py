"""The load: requests over keep-alive connections, by as little Python a request as there can be.

In a closed loop each connection sends its next request when it has its answer. In an open one requests
are due at random moments of a given rate, whatever becomes of those before; a request's time counts from the
moment at which it was due, so that one that had to wait for a connection is as late as a client would see it.
"""

from __future__ import annotations

import asyncio
import random
import re
import ssl
import time
from array import array
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle
from threading import Event, Thread
from typing import Any

import httptools

from hotfire.bench.requests import SIGNED_SECONDS, Prepare, Prepared, Target

WARM_UP = 0.1
"""The part of a stage's time that goes before it and is not counted; at least `_LEAST_WARM_UP` seconds."""
_LEAST_WARM_UP = 0.5
_LONGEST_ANSWER = 70.0
"""Seconds until an answer is given up; SageMaker itself gives a model 60."""
_PAUSE = 0.1
"""Seconds before a connection is tried again that could not be made."""
_ERROR_TYPE = re.compile(rb"\r\nx-amzn-errortype: *([\w.]+)", re.IGNORECASE)
_NOT_SENT = "not sent in time"


@dataclass(frozen=True, slots=True)
class Stage:
    """A load: so many connections for so many seconds; `rate` requests a second, or in a closed loop."""

    connections: int
    seconds: float
    rate: float | None = None


@dataclass(slots=True)
class Measured:
    """What came of a stage. Times in seconds.

    `latencies` are those of good answers to the requests of the stage's time, `answered` how many came within
    it, `seconds` how long it was. `busy` is the part of that time in which the generator's own processor
    worked, `late` how much too late it was with the requests that were due.
    """

    stage: Stage
    latencies: array[float] = field(default_factory=lambda: array("d"))
    errors: Counter[str] = field(default_factory=Counter)
    answered: int = 0
    seconds: float = 0.0
    busy: float = 0.0
    late: array[float] = field(default_factory=lambda: array("d"))


class Generator:
    """Puts stages on an endpoint, one after the other."""

    def __init__(self, prepare: Prepare) -> None:
        self._prepare = prepare
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """End the stage at once; what was measured of it stands."""
        self._stopped.set()

    @property
    def is_stopped(self) -> bool:
        """Whether it was told to stop."""
        return self._stopped.is_set()

    async def run(self, stage: Stage) -> Measured:
        """Put one stage on the endpoint."""
        prepared = await asyncio.to_thread(self._prepare)
        run = _Run(stage, prepared)
        signing = asyncio.ensure_future(self._sign(run))
        try:
            await self._through(run)
        finally:
            signing.cancel()
            run.close()
        return run.measured

    async def _through(self, run: _Run) -> None:
        run.open()
        await self._pass(max(run.stage.seconds * WARM_UP, _LEAST_WARM_UP))
        if self.is_stopped:
            return
        run.count()
        await self._pass(run.stage.seconds)
        run.end()
        if not self.is_stopped:
            await run.drain(self._stopped)

    async def _pass(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopped.wait(), seconds)
        except TimeoutError:
            return

    async def _sign(self, run: _Run) -> None:
        while True:
            await asyncio.sleep(SIGNED_SECONDS)
            run.renew(await asyncio.to_thread(self._prepare))


class _Run:
    """One stage under way."""

    def __init__(self, stage: Stage, prepared: Prepared) -> None:
        self.stage = stage
        self.measured = Measured(stage)
        self._target = prepared.target
        self._wires: Iterator[bytes] = cycle(prepared.wires)
        self._connections: list[_Connection] = []
        self._opening: set[asyncio.Task[None]] = set()
        self._idle: deque[_Connection] = deque()
        self._due: deque[float] = deque()
        self._pace: _Pace | None = None
        self._counts_from = float("inf")
        self._counts_to = float("inf")
        self._processor = 0.0
        self._in_hand = 0
        self._all_in = asyncio.Event()
        self._tls = ssl.create_default_context() if prepared.target.is_encrypted else None
        self._watch: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Begin to connect and to send."""
        for _ in range(self.stage.connections):
            self._connect()
        if self.stage.rate is not None:
            self._pace = _Pace(self.stage.rate, self._fall_due)
        self._look()

    def renew(self, prepared: Prepared) -> None:
        """Send these from now on."""
        self._wires = cycle(prepared.wires)

    def count(self) -> None:
        """What is sent from now on counts."""
        self._counts_from, self._processor = time.perf_counter(), time.process_time()

    def end(self) -> None:
        """Send no more."""
        now, processor = time.perf_counter(), time.process_time()
        self._counts_to = now
        self.measured.seconds = now - self._counts_from
        self.measured.busy = (processor - self._processor) / self.measured.seconds
        if self._pace is not None:
            self._pace.stop()
        left = sum(self._counts(due) for due in self._due)
        if left:
            self.measured.errors[_NOT_SENT] += left
        self._due.clear()

    async def drain(self, stopped: asyncio.Event) -> None:
        """Wait for the answers that are under way, unless it is stopped."""
        if self._in_hand:
            waits = [asyncio.ensure_future(one.wait()) for one in (self._all_in, stopped)]
            await asyncio.wait(waits, timeout=_LONGEST_ANSWER, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()

    def close(self) -> None:
        """End all connections."""
        self._counts_to = min(self._counts_to, time.perf_counter())
        if self._pace is not None:
            self._pace.stop()
        if self._watch is not None:
            self._watch.cancel()
        for task in self._opening:
            task.cancel()
        for connection in self._connections:
            connection.close()

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be sent."""
        return self._counts_to != float("inf")

    def is_free(self, connection: _Connection) -> None:
        """Let a connection send the next request, when there is one."""
        if self.is_over:
            return
        if self.stage.rate is None:
            self._send(connection, time.perf_counter())
        elif self._due:
            self._send(connection, self._due.popleft())
        else:
            self._idle.append(connection)

    def ended(self, begun: float, error: str) -> None:
        """A request has its answer, or will have none; `error` is empty for a good answer."""
        now = time.perf_counter()
        self._in_hand -= 1
        if self.is_over and not self._in_hand:
            self._all_in.set()
        # Also those that began before, and not those that come after: as many as the time has room for.
        self.measured.answered += not error and self._counts(now)
        if not self._counts(begun):
            return
        if error:
            self.measured.errors[error] += 1
        else:
            self.measured.latencies.append(now - begun)

    def lost(self, connection: _Connection) -> None:
        """A connection is gone: another takes its place."""
        self._connections.remove(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if not self.is_over:
            self._connect()

    def _counts(self, begun: float) -> bool:
        return self._counts_from <= begun <= self._counts_to

    def _send(self, connection: _Connection, begun: float) -> None:
        self._in_hand += 1
        connection.send(next(self._wires), begun)

    def _fall_due(self, moments: list[float]) -> None:
        now = time.perf_counter()
        if self.is_over:
            return
        for moment in moments:
            if self._counts(moment):
                self.measured.late.append(now - moment)
            if self._idle:
                self._send(self._idle.popleft(), moment)
            else:
                self._due.append(moment)

    def _connect(self) -> None:
        task = asyncio.ensure_future(self._open(self._target))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self, target: Target) -> None:
        loop = asyncio.get_running_loop()
        while not self.is_over:
            try:
                _, connection = await loop.create_connection(
                    lambda: _Connection(self), target.host, target.port, ssl=self._tls
                )
            except OSError as error:
                if self._counts(time.perf_counter()):
                    self.measured.errors[f"no connection: {error.strerror or error}"] += 1
                await asyncio.sleep(_PAUSE)
                continue
            self._connections.append(connection)
            self.is_free(connection)
            return

    def _look(self) -> None:
        """Give up what takes too long."""
        latest = time.perf_counter() - _LONGEST_ANSWER
        for connection in list(self._connections):
            connection.give_up(latest)
        self._watch = asyncio.get_running_loop().call_later(1.0, self._look)


class _Connection(asyncio.Protocol):
    """Sends one request at a time and sees its answer through."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._transport: Any = None
        self._parser = httptools.HttpResponseParser(self)
        self._head = b""
        self._sent = 0.0
        self._begun: float | None = None
        self._is_given_up = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is there."""
        self._transport = transport

    def send(self, wire: bytes, begun: float) -> None:
        """Send a request, which began at that moment."""
        self._begun, self._head, self._sent = begun, b"", time.perf_counter()
        self._transport.write(wire)

    def data_received(self, data: bytes) -> None:
        """Read on in the answer."""
        self._head = self._head or data
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._finish("an answer that is no HTTP")
            self._transport.abort()

    def on_message_complete(self) -> None:
        """The answer is whole."""
        status = self._parser.get_status_code()
        keeps = self._parser.should_keep_alive()
        self._finish("" if 200 <= status < 300 else _kind(status, self._head))
        if keeps:
            self._run.is_free(self)
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone, by whichever side."""
        self._finish("no answer in time" if self._is_given_up else "the connection broke off")
        self._run.lost(self)

    def give_up(self, latest: float) -> None:
        """Wait no longer for an answer to what was sent before."""
        if self._begun is not None and self._sent < latest:
            self._is_given_up = True
            self._transport.abort()

    def close(self) -> None:
        """End it; what it has in hand is nobody's loss."""
        self._begun = None
        self._transport.abort()

    def _finish(self, error: str) -> None:
        if self._begun is not None:
            begun, self._begun = self._begun, None
            self._run.ended(begun, error)


class _Pace:
    """Tells of moments of a Poisson process, when they have come.

    A thread of its own sleeps until the next: the timers of event loops are exact to a millisecond only.
    """

    def __init__(self, rate: float, tell: Any) -> None:
        self._rate, self._tell = rate, tell
        self._loop = asyncio.get_running_loop()
        self._stop = Event()
        self._random = random.Random(0)  # the same moments at each run
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Tell of no more."""
        self._stop.set()

    def _run(self) -> None:
        due = time.perf_counter()
        while not self._stop.is_set():
            moments = []
            while due <= time.perf_counter():
                moments.append(due)
                due += self._random.expovariate(self._rate)
            if moments:
                try:
                    self._loop.call_soon_threadsafe(self._tell, moments)
                except RuntimeError:
                    return  # the loop has ended
            time.sleep(max(min(due - time.perf_counter(), 0.1), 0.0))


def _kind(status: int, head: bytes) -> str:
    """An error in a few words: its status and what AWS calls it."""
    found = _ERROR_TYPE.search(head)
    return f"{status} {found[1].decode()}" if found else str(status)
