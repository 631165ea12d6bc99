"""An instance that answers over HTTP: what containers and applications of Ray have in common."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from hotfire.errors import LoadFailed, QueueFull
from hotfire.instances.base import Answer, Change, Request, failed_load
from hotfire.instances.connections import Disconnected, Reply
from hotfire.instances.replies import ReplyParts, time_limit

MOST_IN_HAND = 1000
"""Requests that one may have in hand or waiting."""


class RemoteInstance(ABC):
    """A server is brought up somewhere, watched, and had again when it is gone; until then requests wait."""

    def __init__(self) -> None:
        self._bringing: asyncio.Future[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._ready, self._quiet = asyncio.Event(), asyncio.Event()
        self._failure: LoadFailed | None = None
        self._stopping = False
        self._in_hand = 0

    @property
    def load(self) -> int:
        """How many requests it has in hand or waiting."""
        return self._in_hand

    @property
    def pids(self) -> Sequence[int]:
        """None: they are another's."""
        return ()

    async def start(self) -> None:
        """Have the server, and wait until it is up; raises LoadFailed."""
        self._bringing = asyncio.ensure_future(self._bring())
        await self._bringing
        self._watching = asyncio.ensure_future(self._watch())

    def successor(self, changes: Sequence[Change]) -> None:
        """None: what runs there is not edited from here."""
        return

    async def invoke(self, request: Request) -> Answer:
        """Answer a request; raises `DeadlineExceeded` past its limit, `QueueFull` when too many wait."""
        return await self._exchange(request, Reply.read)

    async def stream(self, request: Request) -> Answer:
        """Answer a request as `invoke` does, but in parts as they come."""
        return await self._exchange(request, Reply.part)

    async def stop(self) -> None:
        """End, after the requests in hand are answered."""
        self._stopping = True
        if self._in_hand:
            await self._quiet.wait()
        for task in (self._bringing, self._watching):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        await self._end()

    @abstractmethod
    async def _bring(self) -> None:
        """Have a server that is up. Raises LoadFailed; then nothing is left of it."""

    @abstractmethod
    async def _watch(self) -> None:
        """Have it again whenever it is gone; return when that has failed for good."""

    @abstractmethod
    async def _end(self) -> None:
        """Leave nothing of it."""

    @abstractmethod
    async def _ask(self, request: Request) -> Reply:
        """Send a request to it. Raises Disconnected."""

    @abstractmethod
    async def _broken(self, error: Disconnected) -> Answer:
        """What is answered to a request in whose middle it broke off."""

    def _answer(self, reply: Reply, body: bytes) -> Answer:
        """What a reply and its body, or the first part of that, say."""
        return Answer(reply.status, reply.headers, body)

    def _is_up(self) -> None:
        """Let the requests go that wait."""
        self._failure = None
        self._ready.set()

    def _has_failed(self, failure: LoadFailed) -> None:
        """Have the requests that wait, and those to come, told why."""
        self._failure = failure
        self._ready.set()

    async def _serving(self) -> None:
        """Raises LoadFailed where it is gone for good; then to have it again is begun anew."""
        await self._ready.wait()
        if self._failure is not None:
            if self._watching is not None and self._watching.done() and not self._stopping:
                self._watching = asyncio.ensure_future(self._watch())
            raise self._failure

    async def _exchange(self, request: Request, read: Callable[[Reply], Awaitable[bytes]]) -> Answer:
        until = asyncio.get_running_loop().time() + request.limit
        with contextlib.ExitStack() as hand:
            self._enter()
            hand.callback(self._leave)
            try:
                async with time_limit(until, request.limit):
                    await self._serving()
                    reply = await self._ask(request)
                    hand.callback(reply.close)
                    body = await read(reply)
            except Disconnected as error:
                return await self._broken(error)
            except LoadFailed as error:
                return failed_load(error)
            answer = self._answer(reply, body)
            if not body or reply.is_whole:
                return answer
            return replace(answer, rest=ReplyParts(reply, until, request.limit, hand.pop_all()))

    def _enter(self) -> None:
        if self._in_hand >= MOST_IN_HAND:
            raise QueueFull(f"{MOST_IN_HAND} requests wait already")
        self._in_hand += 1

    def _leave(self) -> None:
        self._in_hand -= 1
        if self._stopping and not self._in_hand:
            self._quiet.set()
