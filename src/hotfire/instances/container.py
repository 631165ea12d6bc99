"""An instance that is a container: any image that keeps SageMaker's contract, run as SageMaker runs it."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from hotfire import container_images
from hotfire.container_engine import Engine, Found, Recipe
from hotfire.errors import EngineAway, EngineError, HostAway, InstanceError, LoadFailed
from hotfire.instances.base import Answer, Container, Output, Request
from hotfire.instances.connections import Disconnected, Reply
from hotfire.instances.remote import RemoteInstance
from hotfire.instances.replies import time_limit
from hotfire.instances.running import Running

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


class ContainerInstance(RemoteInstance):
    """A model served by a container of this machine; one that ends while it serves is replaced."""

    def __init__(
        self, container: Container, recipe: Recipe, patience: float, yard: Yard, output: Output
    ) -> None:
        super().__init__()
        self._container, self._recipe, self._patience = container, recipe, patience
        self._yard, self._output = yard, output
        self._running: Running | None = None

    @property
    def running(self) -> Running | None:
        """The container that serves, or that did last; it is another one when it has been replaced."""
        return self._running

    async def stop(self) -> None:
        """End, after the requests in hand are answered."""
        await super().stop()
        self._yard.unclaim(self._recipe)

    async def order(self, path: str, headers: Mapping[str, str], body: bytes, limit: float) -> bytes:
        """What the container answers to a POST that is no invocation. Raises InstanceError."""
        until = asyncio.get_running_loop().time() + limit
        async with time_limit(until, limit):
            await self._serving()
            reply = await self._post(path, headers, body)
            try:
                answer = await reply.read()
            finally:
                reply.close()
        if reply.status != 200:
            raise InstanceError(f"the container answered {reply.status} to {path}")
        return answer

    async def _ask(self, request: Request) -> Reply:
        path = f"/invocations?{request.query}" if request.query else "/invocations"
        return await self._post(path, request.headers, request.body)

    async def _post(self, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Send it to the container that serves. Raises Disconnected."""
        assert self._running is not None
        return await self._running.connections.ask("POST", path, headers, body)

    async def _broken(self, error: Disconnected) -> Answer:
        said = f"The container broke off: {error.message}."
        if self._running is not None:
            await asyncio.wait([self._running.ended], timeout=_SECONDS_TO_HEAR_WHY)
            if self._running.ended.done():
                said = f"The container {self._running.ended.result()} with the request in hand."
        return Answer(500, {"Content-Type": "text/plain"}, said.encode())

    async def _bring(self) -> None:
        try:
            engine = await self._yard.engine()
            found = await self._yard.claim(self._recipe)
            if found is None or not await self._take_over(engine, found):
                recipe = await asyncio.to_thread(self._prepared, engine, asyncio.get_running_loop())
                await self._run(Running(engine, recipe, self._size(), self._print), self._patience)
        except EngineError as error:
            kind = HostAway if isinstance(error, EngineAway) else LoadFailed
            raise kind(". ".join(filter(None, (error.message, error.advice)))) from error
        self._is_up()

    async def _take_over(self, engine: Engine, found: Found) -> bool:
        """Whether a container that is there already serves."""
        try:
            running = Running(engine, self._recipe, self._size(), self._print, found)
            await self._run(running, _SECONDS_TO_TAKE_OVER)
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
        while self._running is not None:
            if self._failure is None:
                said = await self._over(self._running)
                self._ready.clear()
                self._say(f"the container {said}")
                await self._end()
            if self._stopping or not await self._replace():
                self._has_failed(self._failure or LoadFailed("the container ended"))
                return

    async def _over(self, running: Running) -> str:
        """When a container is of no use any more, what became of it."""
        failed = 0
        while failed < _FAILED_PINGS:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_SECONDS_BETWEEN_PINGS):
                    ending = await running.over()
                return str(ending)
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
                self._has_failed(failure)
                pauses = deque([_SECONDS_UNTIL_BACK, *_PATIENCE[1:]])
        self._failure = failure
        return False

    async def _end(self) -> None:
        if self._running is not None:
            try:
                await self._running.end()
            except EngineError as error:
                self._yard.leave(self._running.id)
                self._say(error.message)

    def _size(self) -> str:
        """How much memory it has, and as what; nothing, where it has no limit."""
        memory = self._container.memory
        return "" if memory is None else f"{memory / _GIB:g} GiB, as {self._container.sized_as} has"

    def _print(self, line: str) -> None:
        self._output("", line)

    def _say(self, line: str) -> None:
        """Add a line of our own to what is printed."""
        self._output("", f"hotfire: {line}")
