"""Where a developer's versions of a model are served from containers, for as long as one lease.

A container of our own image stays, and takes each version in (`server/versions`); of any other image there is
a new container for each.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from hotfire.container_engine import RECIPE_LABEL, Recipe
from hotfire.errors import DeadlineExceeded, InstanceError, LoadFailed
from hotfire.instances.base import (
    Answer,
    Change,
    Container,
    Instance,
    Output,
    Request,
    Spec,
    failed_load,
)
from hotfire.instances.container import ContainerInstance, Yard
from hotfire.instances.desk import FOUND_HEADER, LOOK_HEADER, MOUNTED, SECRET_HEADER, VERSION_HEADER, Desk
from hotfire.instances.running import Running

_SECONDS_TO_END = 3600.0
"""For what a version has in hand; an answer in parts may take long."""

Values = Mapping[str, Any]


class Ground(Yard, Protocol):
    """What a workshop stands on: the host of a region's containers."""

    def instance(self, spec: Spec, output: Output) -> Instance:
        """An instance that is a container of its own."""

    def recipe(self, spec: Spec) -> Recipe:
        """What that would be made of."""


class Workshop:
    """Makes instances for one lease, in `folder`."""

    def __init__(self, ground: Ground, folder: Path) -> None:
        self._ground, self._folder = ground, folder
        self._benches: dict[str, Bench] = {}

    def instance(self, spec: Spec, output: Output) -> Instance:
        """An instance that is not started yet."""
        if spec.container is None or not spec.container.takes_versions:
            return self._ground.instance(spec, output)
        return Version(self._bench(spec, output), spec)

    async def close(self) -> None:
        """End its containers; its instances have stopped."""
        await asyncio.gather(*(bench.close() for bench in self._benches.values()))
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    def _bench(self, spec: Spec, output: Output) -> Bench:
        """The container that this is to run in: one for all that differs in nothing but its files."""
        key = self._ground.recipe(replace(spec, model_dir=Path())).labels[RECIPE_LABEL]
        if key not in self._benches:
            desk = Desk(self._folder / str(len(self._benches)))
            recipe = replace(
                self._ground.recipe(replace(spec, model_dir=desk.folder)), mounted_at=str(MOUNTED)
            )
            self._benches[key] = Bench(spec, recipe, desk, self._ground, output)
        return self._benches[key]


class Bench:
    """A container that takes versions, and the desk by which it gets them."""

    def __init__(self, spec: Spec, recipe: Recipe, desk: Desk, yard: Yard, output: Output) -> None:
        self.desk = desk
        container = spec.container or Container(recipe.image)
        self._container = ContainerInstance(container, recipe, spec.startup_timeout, yard, output)
        self._opening: asyncio.Task[None] | None = None
        self._named = 0

    @property
    def running(self) -> Running | None:
        """The container; another one knows none of the versions of the one before."""
        return self._container.running

    def name(self) -> str:
        """Of a new version."""
        self._named += 1
        return str(self._named)

    async def open(self) -> None:
        """Have the container. Raises LoadFailed."""
        failed = self._opening is not None and self._opening.done() and self._opening.exception()
        if self._opening is None or failed:
            self._opening = asyncio.ensure_future(self._open())
        await asyncio.shield(self._opening)

    async def order(self, what: str, values: Values, limit: float) -> dict[str, Any]:
        """Have an order obeyed. Raises InstanceError."""
        headers = {SECRET_HEADER: self.desk.secret, "Content-Type": "application/json"}
        body = json.dumps(values).encode()
        answer = await self._container.order(f"/_hotfire/{what}", headers, body, limit)
        obeyed: dict[str, Any] = json.loads(answer)
        return obeyed

    async def ask(self, request: Request, *, streams: bool) -> Answer:
        """What the container answers to a request."""
        headers = {**request.headers, SECRET_HEADER: self.desk.secret}
        ask = self._container.stream if streams else self._container.invoke
        return await ask(replace(request, headers=headers))

    async def close(self) -> None:
        """Leave nothing of it."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait([self._opening])
            await self._container.stop()

    async def _open(self) -> None:
        if not self.desk.folder.exists():
            await asyncio.to_thread(self.desk.make)
        await self._container.start()


class Version:
    """An instance: one version of a model in a container that has several."""

    def __init__(
        self, bench: Bench, spec: Spec, before: Version | None = None, changes: Sequence[Change] = ()
    ) -> None:
        self._bench, self._spec = bench, spec
        self._before, self._changes = before, changes
        self._files = ""
        self._name = ""
        self._running: Running | None = None
        """The container in which it is loaded."""
        self._coming: asyncio.Task[None] | None = None
        self._in_hand = 0
        self._stopping = False
        self._quiet = asyncio.Event()

    @property
    def load(self) -> int:
        """How many requests it has in hand or waiting."""
        return self._in_hand

    @property
    def pids(self) -> Sequence[int]:
        """None: they are the container's."""
        return ()

    async def start(self) -> None:
        """Load the model, or go on with the one that is loaded; raises LoadFailed, InstanceError."""
        try:
            await self._bench.open()
            if self._before is None:
                self._files = await asyncio.to_thread(self._bench.desk.lay, self._spec.model_dir)
                await self._come()
            else:
                await self._inherit(self._before)
        except OSError as error:
            raise LoadFailed(f"its files cannot be laid for the container: {error}") from error

    def successor(self, changes: Sequence[Change]) -> Version:
        """The same loaded model with newer code; its start raises InstanceError where that cannot be."""
        return Version(self._bench, self._spec, self, changes)

    async def invoke(self, request: Request) -> Answer:
        """Answer a request; raises `DeadlineExceeded` past its limit, `QueueFull` when too many wait."""
        return await self._ask(request, streams=False)

    async def stream(self, request: Request) -> Answer:
        """Answer a request as `invoke` does, but in parts as they come."""
        return await self._ask(request, streams=True)

    async def stop(self) -> None:
        """End, after the requests in hand are answered."""
        self._stopping = True
        if self._in_hand:
            await self._quiet.wait()
        if self._coming is not None:
            self._coming.cancel()
            await asyncio.wait([self._coming])
        if self._name:
            with contextlib.suppress(InstanceError):  # the container has ended, and this with it
                await self._end(self._name)
        if self._files:
            await asyncio.to_thread(self._bench.desk.drop, self._files)

    async def _ask(self, request: Request, *, streams: bool) -> Answer:
        self._in_hand += 1
        try:
            await self._be_there(request.limit)
            words = ["examined"] * request.examined + ["streams"] * streams
            headers = {**request.headers, VERSION_HEADER: self._name, LOOK_HEADER: " ".join(words)}
            answer = await self._bench.ask(replace(request, headers=headers), streams=streams)
        except LoadFailed as error:
            return failed_load(error)
        finally:
            self._in_hand -= 1
            if self._stopping and not self._in_hand:
                self._quiet.set()
        return _with_what_was_found(answer)

    async def _be_there(self, limit: float) -> None:
        """Be loaded in the container that serves now, which may have taken another's place.

        Raises DeadlineExceeded, LoadFailed.
        """
        if self._running is self._bench.running:
            return
        if self._coming is None or self._coming.done():
            self._coming = asyncio.ensure_future(self._come())
        done, _ = await asyncio.wait([self._coming], timeout=limit)
        if not done:
            raise DeadlineExceeded(f"no answer within {limit:g} s")
        try:
            self._coming.result()
        except LoadFailed:
            raise
        except InstanceError as error:
            raise LoadFailed(error.message) from error

    async def _come(self) -> None:
        """Be loaded, with all changes, in the container that serves. Raises InstanceError."""
        running = self._bench.running
        await self._load()
        if self._changes:
            base = self._name
            await self._edit(base)
            await self._end(base)
        self._running = running

    async def _load(self) -> None:
        self._name = self._bench.name()
        order = {
            "version": self._name,
            "files": self._files,
            "environment": dict(self._spec.environment),
            "startup_timeout": self._spec.startup_timeout,
        }
        done = await self._bench.order("load", order, self._spec.startup_timeout)
        if done["failure"] is not None:
            raise LoadFailed(**done["failure"])

    async def _inherit(self, before: Version) -> None:
        running, self._files = before._running, before._files
        self._bench.desk.keep(self._files)
        if running is not self._bench.running:
            raise InstanceError("the container with the loaded model has ended")
        await self._edit(before._name)
        self._running, self._before = running, None

    async def _edit(self, before: str) -> None:
        self._name = self._bench.name()
        changes = [
            {"place": one.place, "source": one.source, "names": one.names, "removed": one.removed}
            for one in self._changes
        ]
        order = {"version": self._name, "before": before, "changes": changes}
        done = await self._bench.order("edit", order, self._spec.startup_timeout)
        if not done["is_made"]:
            raise InstanceError("the loaded model cannot go on with newer code")

    async def _end(self, name: str) -> None:
        await self._bench.order("end", {"version": name}, _SECONDS_TO_END)


def _with_what_was_found(answer: Answer) -> Answer:
    """Read what the container found about a request out of the answer's headers."""
    headers = dict(answer.headers)
    said = headers.pop(FOUND_HEADER, None)
    if said is None:
        return answer
    found = json.loads(said)
    return replace(answer, headers=headers, times=found["times"], findings=found["findings"])
