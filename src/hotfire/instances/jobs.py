"""Requests in an instance's hands, and who waits for their answers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar, Protocol, Self

from hotfire.errors import InstanceError, StreamBroken
from hotfire.instances.base import Answer, Request
from hotfire_worker.wire import CHUNK, Header

_MOST_BYTES_HELD = CHUNK
"""Of an answer's parts that nobody has taken yet; its worker waits from then on."""


class Hand(Protocol):
    """A worker as the job sees it that it has in hand."""

    def kill(self) -> None:
        """End it at once."""

    def hold(self) -> None:
        """Take nothing from it for now."""

    def release(self) -> None:
        """Take what it sends again."""

    def cancel(self, job: Job) -> None:
        """Tell it that nobody wants the rest of an answer."""


class Job:
    """A request that is answered whole.

    The service's time runs from its arrival, the container's from when a worker has it in hand.
    """

    mark: ClassVar[Header] = {}
    """What a worker is told besides the request."""

    def __init__(self, request: Request, expire: Callable[[Job], None]) -> None:
        loop = asyncio.get_running_loop()
        self.request = request
        self.future: asyncio.Future[Answer] = loop.create_future()
        self.over: asyncio.Future[Any] = self.future
        self._patience = loop.call_later(request.limit, expire, self)
        self._turn: asyncio.TimerHandle | None = None
        self._is_hurried = True

    def begin(self, seconds: float, worker: Hand) -> None:
        """A worker has it in hand now, and may have it for so long, whether or not anybody still waits."""
        if not self._is_hurried:
            return
        seconds = min(seconds, self.request.limit)
        self._turn = asyncio.get_running_loop().call_later(seconds, worker.kill)

    def add(self, header: Header, body: bytearray) -> None:
        """A part of the answer came, and more will."""
        raise NotImplementedError("an answer that is wanted whole came in parts")

    def finish(self, header: Header, body: bytearray) -> None:
        """The answer came, or the last of it."""
        self.settle(_answer(header, body))

    def end(self) -> None:
        """No worker has it in hand any more."""
        if self._turn is not None:
            self._turn.cancel()

    def take_time(self) -> None:
        """Let it take as long as somebody looks at it in a debugger."""
        self._is_hurried = False
        self._patience.cancel()
        self.end()

    def settle(self, answer: Answer) -> None:
        """Give the answer, if anybody still waits."""
        self._patience.cancel()
        if not self.future.done():
            self.future.set_result(answer)

    def fail(self, error: InstanceError) -> None:
        """Give the error, if anybody still waits."""
        if not self.future.done():
            self.future.set_exception(error)


def _answer(header: Header, body: bytearray) -> Answer:
    times, findings = header["times"], header.get("findings")
    return Answer(header["status"], header["headers"], bytes(body), times, findings=findings)


class StreamJob(Job):
    """A request whose answer may come in parts. The container's time begins anew with each of them."""

    mark: ClassVar[Header] = {"stream": True}

    def __init__(self, request: Request, expire: Callable[[Job], None]) -> None:
        super().__init__(request, expire)
        self.over = asyncio.get_running_loop().create_future()
        self.future.add_done_callback(self._given)
        self._rest: Rest | None = None
        self._seconds = 0.0
        self._worker: Hand | None = None
        self._is_in_hand = False

    def begin(self, seconds: float, worker: Hand) -> None:
        """A worker has it in hand now."""
        self._seconds, self._worker, self._is_in_hand = seconds, worker, True
        super().begin(seconds, worker)
        if self.future.cancelled():
            worker.cancel(self)

    def end(self) -> None:
        """No worker has it in hand any more."""
        self._is_in_hand = False
        super().end()

    def add(self, header: Header, body: bytearray) -> None:
        """Give a part."""
        self._restart()
        if self._rest is not None:
            self._rest.feed(bytes(body))
        elif not self.future.done():
            self._rest = Rest(self)
            self.future.set_result(replace(_answer(header, body), rest=self._rest))

    def finish(self, header: Header, body: bytearray) -> None:
        """Give the answer, or end the one that was given in parts."""
        self._patience.cancel()
        if self._rest is not None:
            self._rest.end(StreamBroken("the handler failed in the middle") if "failed" in header else None)
        elif "status" in header:
            super().finish(header, body)

    def settle(self, answer: Answer) -> None:
        """Give an answer in place of the worker's, or break off the one that was begun."""
        if self._rest is not None:
            self._patience.cancel()
            self._rest.end(StreamBroken("the worker ended in the middle"))
        else:
            super().settle(answer)

    def fail(self, error: InstanceError) -> None:
        """Give the error, in the middle of the answer if need be."""
        if self._rest is not None:
            self._rest.end(error)
        else:
            super().fail(error)

    def hold(self) -> None:
        """Have the worker wait, which costs it none of its time."""
        if self._worker is not None:
            super().end()
            self._worker.hold()

    def release(self) -> None:
        """Have the worker go on."""
        if self._worker is not None:
            self._restart()
            self._worker.release()

    def close(self) -> None:
        """Nobody wants the rest: have the worker stop."""
        if self._worker is not None:
            self._worker.cancel(self)

    def is_closed(self) -> None:
        """Nothing is owed to anybody any more."""
        if not self.over.done():
            self.over.set_result(None)

    def _restart(self) -> None:
        """Begin the container's time anew, if it still runs."""
        super().end()
        if self._worker is not None and self._is_in_hand:
            super().begin(self._seconds, self._worker)

    def _given(self, future: asyncio.Future[Answer]) -> None:
        if future.cancelled():
            self.close()
        if self._rest is None:
            self.is_closed()


class Rest:
    """What follows the first part of an answer."""

    def __init__(self, job: StreamJob) -> None:
        self._job = job
        self._parts: deque[bytes] = deque()
        self._size = 0
        self._held = False
        self._ended = False
        self._error: InstanceError | None = None
        self._news = asyncio.Event()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while not self._parts:
            if self._ended:
                if self._error is not None:
                    raise self._error
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        part = self._parts.popleft()
        self._size -= len(part)
        if self._held and self._size <= _MOST_BYTES_HELD // 2:
            self._held = False
            self._job.release()
        return part

    async def aclose(self) -> None:
        """Want no more of it."""
        self._parts.clear()
        if not self._ended:
            self._job.close()
            self.end()

    def feed(self, part: bytes) -> None:
        """Add a part, unless nobody wants it."""
        if self._ended:
            return
        self._parts.append(part)
        self._size += len(part)
        self._news.set()
        if not self._held and self._size > _MOST_BYTES_HELD:
            self._held = True
            self._job.hold()

    def end(self, error: InstanceError | None = None) -> None:
        """No more comes, for this reason."""
        if self._ended:
            return
        self._ended, self._error = True, error
        self._news.set()
        if self._held:
            self._held = False
            self._job.release()
        self._job.is_closed()
