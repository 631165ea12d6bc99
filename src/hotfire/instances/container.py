"""An instance that is a container: any image that keeps SageMaker's contract, run as SageMaker runs it."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from hotfire import container_images
from hotfire.container_engine import Ending, Engine, Found, Recipe
from hotfire.errors import (
    EngineAway,
    EngineError,
    HostAway,
    InstanceError,
    LoadFailed,
    QueueFull,
)
from hotfire.instances.base import Answer, Change, Container, Output, Request, failed_load
from hotfire.instances.connections import Disconnected, Reply
from hotfire.instances.replies import ReplyParts, time_limit
from hotfire.instances.running import Running

MOST_IN_HAND = 1000
"""Requests that a container may have in hand or waiting."""

_PATIENCE = (0.0, 0.5, 2.0, 5.0, 15.0)
"""Seconds before each new try to replace a container that ended; the next request is another."""
_SECONDS_UNTIL_BACK = 1.0
"""Between two looks whether an engine that does not answer does again."""
_SECONDS_BETWEEN_PINGS = 10.0
_FAILED_PINGS = 3
"""After so many in a row the container is replaced. SageMaker pings too, and does not say how often."""
_SECONDS_TO_TAKE_OVER = 5.0
_SECONDS_TO_HEAR_WHY = 3.0
"""Docker tells at once that a container has ended, Podman after a second."""
_GIB = 1 << 30


class Yard(Protocol):
    """Where the containers of a region come from."""

    async def engine(self) -> Engine:
        """What runs them. Raises EngineError."""

    async def claim(self, recipe: Recipe) -> Found | None:
        """One by this recipe that the region before this one has left running."""

    def unclaim(self, recipe: Recipe) -> None:
        """An instance that may have claimed one has stopped."""

    def leave(self, container: str) -> None:
        """One that could not be removed, since the engine did not answer: it is to be, when that does."""


class ContainerInstance:
    """A model served by a container of this machine; one that ends while it serves is replaced."""

    def __init__(
        self, container: Container, recipe: Recipe, patience: float, yard: Yard, output: Output
    ) -> None:
        self._container, self._recipe, self._patience = container, recipe, patience
        self._yard, self._output = yard, output
        self._running: Running | None = None
        self._bringing: asyncio.Future[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._stopping = False
        self._failure: LoadFailed | None = None
        self._ready, self._quiet = asyncio.Event(), asyncio.Event()
        self._in_hand = 0

    @property
    def load(self) -> int:
        """How many requests it has in hand or waiting."""
        return self._in_hand

    @property
    def pids(self) -> Sequence[int]:
        """None: they are the container's."""
        return ()

    @property
    def running(self) -> Running | None:
        """The container that serves, or that did last; it is another one when it has been replaced."""
        return self._running

    async def start(self) -> None:
        """Have the image, start the container and wait until it is healthy; raises LoadFailed."""
        self._bringing = asyncio.ensure_future(self._bring())
        await self._bringing
        self._watching = asyncio.ensure_future(self._watch())

    def successor(self, changes: Sequence[Change]) -> None:
        """None: what runs in a container is not edited from here."""

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
        self._yard.unclaim(self._recipe)

    async def order(self, path: str, headers: Mapping[str, str], body: bytes, limit: float) -> bytes:
        """What the container answers to a POST that is no invocation. Raises InstanceError."""
        until = asyncio.get_running_loop().time() + limit
        async with time_limit(until, limit):
            reply = await self._ask(path, headers, body)
            try:
                answer = await reply.read()
            finally:
                reply.close()
        if reply.status != 200:
            raise InstanceError(f"the container answered {reply.status} to {path}")
        return answer

    async def _exchange(self, request: Request, read: Callable[[Reply], Awaitable[bytes]]) -> Answer:
        until = asyncio.get_running_loop().time() + request.limit
        with contextlib.ExitStack() as hand:
            self._enter()
            hand.callback(self._leave)
            try:
                path = f"/invocations?{request.query}" if request.query else "/invocations"
                async with time_limit(until, request.limit):
                    reply = await self._ask(path, request.headers, request.body)
                    hand.callback(reply.close)
                    body = await read(reply)
            except Disconnected as error:
                return await self._broken(error)
            except LoadFailed as error:
                return failed_load(error)
            if not body or reply.is_whole:
                return Answer(reply.status, reply.headers, body)
            parts = ReplyParts(reply, until, request.limit, hand.pop_all())
            return Answer(reply.status, reply.headers, body, rest=parts)

    async def _ask(self, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Send a request to the container that serves, as soon as one does.

        Raises LoadFailed, Disconnected.
        """
        await self._ready.wait()
        if self._failure is not None or self._running is None:
            if self._watching is not None and self._watching.done() and not self._stopping:
                self._watching = asyncio.ensure_future(self._watch())
            raise self._failure or LoadFailed("the container ended")
        return await self._running.connections.ask("POST", path, headers, body)

    async def _broken(self, error: Disconnected) -> Answer:
        """What is answered to a request in whose middle the container broke off."""
        said = f"The container broke off: {error.message}."
        if self._running is not None:
            await asyncio.wait([self._running.ended], timeout=_SECONDS_TO_HEAR_WHY)
            if self._running.ended.done():
                said = f"The container {self._running.ended.result()} with the request in hand."
        return Answer(500, {"Content-Type": "text/plain"}, said.encode())

    def _enter(self) -> None:
        if self._in_hand >= MOST_IN_HAND:
            raise QueueFull(f"{MOST_IN_HAND} requests wait already")
        self._in_hand += 1

    def _leave(self) -> None:
        self._in_hand -= 1
        if self._stopping and not self._in_hand:
            self._quiet.set()

    async def _bring(self) -> None:
        """Have a container that is healthy. Raises LoadFailed; then nothing is left of it."""
        try:
            engine = await self._yard.engine()
            found = await self._yard.claim(self._recipe)
            if found is None or not await self._take_over(engine, found):
                recipe = await asyncio.to_thread(self._prepared, engine, asyncio.get_running_loop())
                await self._run(Running(engine, recipe, self._print), self._patience)
        except EngineError as error:
            kind = HostAway if isinstance(error, EngineAway) else LoadFailed
            raise kind(". ".join(filter(None, (error.message, error.advice)))) from error
        self._failure = None
        self._ready.set()

    async def _take_over(self, engine: Engine, found: Found) -> bool:
        """Whether a container that is there already serves."""
        try:
            await self._run(Running(engine, self._recipe, self._print, found), _SECONDS_TO_TAKE_OVER)
        except InstanceError:
            return False
        self._say("the container that was there serves on")
        return True

    async def _run(self, running: Running, seconds: float) -> None:
        self._running = running
        try:
            await running.start(seconds)
        except BaseException:
            await self._end()
            raise

    def _prepared(self, engine: Engine, loop: asyncio.AbstractEventLoop) -> Recipe:
        """On a thread: the image is here, and the recipe fits the machine."""

        def say(line: str) -> None:
            loop.call_soon_threadsafe(self._say, line)

        image = container_images.fitting(engine, self._recipe.image)
        container_images.obtain(engine, image, say, lambda: self._stopping)
        recipe = replace(self._recipe, image=image, name=f"{self._recipe.name}-{secrets.token_hex(4)}")
        if recipe.processors is None:
            return recipe
        return replace(recipe, processors=min(recipe.processors, engine.processors()))

    async def _watch(self) -> None:
        """Replace the container whenever it ends, or is not healthy any more."""
        while self._running is not None:
            if self._failure is None:
                said = await self._over(self._running)
                self._ready.clear()
                self._say(f"the container {said}")
                await self._end()
            if self._stopping or not await self._replace():
                self._failure = self._failure or LoadFailed("the container ended")
                self._ready.set()
                return

    async def _over(self, running: Running) -> str:
        """When a container is of no use any more, what became of it."""
        failed = 0
        while failed < _FAILED_PINGS:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_SECONDS_BETWEEN_PINGS):
                    ending = await running.over()
                return f"{ending}{self._size(ending)}"
            failed = 0 if await running.is_healthy() else failed + 1
        return f"did not answer /ping with 200, {_FAILED_PINGS} times in a row"

    async def _replace(self) -> bool:
        """Whether there is a healthy container again; each new try is more patient."""
        pauses, told = deque(_PATIENCE), ""
        while pauses:
            await asyncio.sleep(pauses.popleft())
            try:
                await self._bring()
            except LoadFailed as error:
                failure = error
                if error.message != told:
                    told = error.message
                    self._say(f"the container could not be replaced: {told}")
            else:
                return True
            if isinstance(failure, HostAway):
                # However long that takes; meanwhile requests are told.
                self._failure, pauses = failure, deque([_SECONDS_UNTIL_BACK, *_PATIENCE[1:]])
                self._ready.set()
        self._failure = failure
        return False

    async def _end(self) -> None:
        """Leave nothing of the container."""
        if self._running is not None:
            try:
                await self._running.end()
            except EngineError as error:
                self._yard.leave(self._running.id)
                self._say(error.message)

    def _size(self, ending: Ending) -> str:
        """How much memory it had, and whose, where that may be the reason."""
        memory = self._container.memory
        if memory is None or not (ending.lacked_memory or ending.was_killed):
            return ""
        had = f"it had {memory / _GIB:g} GiB, as {self._container.sized_as} has"
        return f": {had}" if ending.lacked_memory else f" (for want of memory, perhaps: {had})"

    def _print(self, line: str) -> None:
        self._output("", line)

    def _say(self, line: str) -> None:
        """Add a line of our own to what is printed."""
        self._output("", f"hotfire: {line}")
