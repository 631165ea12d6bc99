"""One container, from its making to its removal."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from time import sleep
from typing import Any

from hotfire.container_engine import Ending, Engine, Found, Recipe
from hotfire.errors import ContainerGone, EngineAway, EngineError, LoadFailed, PortTaken
from hotfire.instances.base import LOAD_FAILED
from hotfire.instances.connections import Connections, Disconnected

SECONDS_TO_END = 30
"""Between SIGTERM and SIGKILL: SageMaker's own."""
_SECONDS_TO_PING = 2.0
"""What SageMaker gives an answer to /ping."""
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5
_SHARE = 0.02
"""It is asked again after so much of the time that it has had: soon, but not often if it takes long."""
_LAST_LINES = 20
_LONGEST_LINE = 1024 * 1024
_SECONDS_TO_LOOK_AGAIN = 0.05
_SECONDS_TO_ASK_AGAIN = 0.5
"""Of an engine that does not answer: the container may well run on."""
_PORTS = 3
"""So many may turn out to be taken, of those that the engine chooses."""


class Running:
    """A container by a recipe, or one that is found running by the same.

    `size` says how much memory it has, and as what. What it prints goes to `output`, line by line; `ended` is
    set when it has ended, whoever ended it.
    """

    def __init__(
        self,
        engine: Engine,
        recipe: Recipe,
        size: str,
        output: Callable[[str], None],
        found: Found | None = None,
    ) -> None:
        self._engine, self._recipe, self._size = engine, recipe, size
        self._output, self._found = output, found
        self._loop = asyncio.get_running_loop()
        self._id = found.id if found else ""
        self._making: asyncio.Future[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._last: deque[str] = deque(maxlen=_LAST_LINES)
        self._told: deque[str] = deque(maxlen=_LAST_LINES)
        self._is_followed = self._has_been_healthy = self._is_given_up = False
        self.ended: asyncio.Future[Ending] = self._loop.create_future()
        self.connections = Connections(0)
        self._pings = Connections(0)

    @property
    def id(self) -> str:
        """The engine's name of it; empty while there is none."""
        return self._id

    async def start(self, seconds: float) -> None:
        """Return when it answers /ping as it is to. Raises EngineError, LoadFailed."""
        # It goes on when this is given up; `end` waits for it.
        self._making = asyncio.ensure_future(asyncio.to_thread(self._make))
        await asyncio.shield(self._making)
        healthy = asyncio.ensure_future(self._until_healthy())
        either: set[asyncio.Future[Any]] = {healthy, self.ended}
        try:
            await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if self.ended.done():
                raise self._failed(f"the container {self.ended.result()} before it was healthy")
            if not healthy.done():
                raise self._failed(f"the container did not answer /ping with 200 within {seconds:g} s")
            healthy.result()
        finally:
            healthy.cancel()
        self._has_been_healthy = True

    async def is_healthy(self) -> bool:
        """Whether it answers /ping with 200, in the time that there is for that."""
        return (await self._ping())[0] == 200

    async def _ping(self) -> tuple[int, bytes]:
        """What it answers to /ping; 0 is nothing in time."""
        try:
            async with asyncio.timeout(_SECONDS_TO_PING):
                reply = await self._pings.ask("GET", "/ping")
                try:
                    return reply.status, await reply.read()
                finally:
                    reply.close()
        except (Disconnected, TimeoutError):
            return 0, b""

    async def over(self) -> Ending:
        """How it ended, when it has; who gives up waiting for that takes it from nobody else."""
        return await asyncio.shield(self.ended)

    async def end(self) -> None:
        """Have it end, and return when nothing of it is left and all it printed is told."""
        if self._ending is None:
            self._ending = asyncio.ensure_future(self._end())
        await asyncio.shield(self._ending)

    async def _end(self) -> None:
        if self._making is not None:
            with contextlib.suppress(EngineError):
                await self._making
        self.connections.close()
        self._pings.close()
        if not self._id:
            return
        # What has never been healthy has nothing in hand.
        grace = SECONDS_TO_END if self._has_been_healthy and not self.ended.done() else 0
        try:
            await asyncio.to_thread(self._engine.remove, self._id, grace)
        finally:
            self._is_given_up = True
            if self._is_followed:
                await self.over()

    def _make(self) -> None:
        port = self._started() if self._found is None else self._found.port or 0
        # Whether it is healthy is to be seen however many requests it has in hand.
        self.connections, self._pings = Connections(port), Connections(port)
        self._is_followed = True
        threading.Thread(target=self._follow, name=f"log of {self._recipe.name}", daemon=True).start()

    def _started(self) -> int:
        """The port of a new container. Raises EngineError."""
        for left in reversed(range(_PORTS)):
            self._id = self._engine.create(self._recipe)
            try:
                return self._engine.start(self._id)
            except PortTaken:
                if not left:
                    raise
                self._engine.remove(self._id)
        raise AssertionError

    async def _until_healthy(self) -> None:
        """Raises LoadFailed as soon as a server of ours says that its model cannot be loaded."""
        begun = self._loop.time()
        while (said := await self._ping())[0] != 200:
            if (reason := _reason(said[1])) is not None:
                raise LoadFailed(reason, "\n".join(self._last))
            waited = self._loop.time() - begun
            await asyncio.sleep(min(max(waited * _SHARE, _SHORTEST_PAUSE), _LONGEST_PAUSE))

    def _failed(self, message: str) -> LoadFailed:
        said = next((line for line in reversed(self._last) if line.strip()), "")
        return LoadFailed(f"{message}: {said.strip()}" if said else message, "\n".join(self._last))

    def _follow(self) -> None:
        """On a thread of its own: tell what it prints, and how it ended."""
        ending: Ending | None = None
        only_new = self._found is not None
        is_away = False
        while ending is None:
            try:
                with contextlib.suppress(ContainerGone):
                    self._pass_on(only_new)
                ending = self._engine.ending(self._id)
                is_away = False
            except EngineAway as error:
                if not is_away:
                    self._tell(self._printed, f"hotfire: {error.message}")
                is_away = True
                if self._is_given_up:
                    ending = Ending(1)
                sleep(_SECONDS_TO_ASK_AGAIN)
            except EngineError as error:
                self._tell(self._printed, f"hotfire: {error.message}")
                ending = Ending(1)
            if ending is None:
                # The end of the output is known before the end of the container, or was not that.
                only_new = True
                sleep(_SECONDS_TO_LOOK_AGAIN)
        if not only_new:
            self._pass_on_rest()
        self._tell(self._over, ending)

    def _pass_on(self, only_new: bool) -> None:
        for line in _lines(self._engine.output(self._id, only_new=only_new)):
            self._told.append(line)
            self._tell(self._printed, line)

    def _pass_on_rest(self) -> None:
        """The engine may end the output of a container that ends before all of it is passed on."""
        told = list(self._told)
        try:
            last = list(_lines(iter([self._engine.last_output(self._id, _LAST_LINES)])))
        except EngineError:
            return
        # Fewer lines than were asked for are all that there are, and what is told is among them.
        unknown = 0 if len(last) == _LAST_LINES or not told else len(last)
        known = range(min(len(last), len(told)), 0, -1)
        begin = next((count for count in known if last[:count] == told[-count:]), unknown)
        for line in last[begin:]:
            self._tell(self._printed, line)

    def _tell(self, take: Callable[[Any], None], value: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the region has ended, and its loop
            self._loop.call_soon_threadsafe(take, value)

    def _printed(self, line: str) -> None:
        self._last.append(line)
        self._output(line)

    def _over(self, ending: Ending) -> None:
        if not self.ended.done():
            self.ended.set_result(replace(ending, memory=self._size))


def _reason(body: bytes) -> str | None:
    """Why a model cannot be loaded, as our own server says it to /ping; None of any other answer."""
    try:
        said = json.loads(body)
    except ValueError:
        return None
    if not isinstance(said, dict) or said.get("status") != LOAD_FAILED:
        return None
    reason = said.get("reason")
    return reason if isinstance(reason, str) else None


def _lines(blocks: Iterator[bytes]) -> Iterator[str]:
    partial = b""
    for block in blocks:
        *lines, partial = (partial + block).split(b"\n")
        if len(partial) > _LONGEST_LINE:
            lines, partial = [*lines, partial], b""
        for line in lines:
            yield line.decode("utf-8", "replace").rstrip("\r")
    if partial:
        yield partial.decode("utf-8", "replace")
