"""The containers of one region: made by its instances, found again by the region that comes after it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from hotfire import container_images
from hotfire.container_engine import (
    ENDPOINT_LABEL,
    HOME_LABEL,
    INSTANCE_LABEL,
    RECIPE_LABEL,
    Engine,
    Found,
    Recipe,
)
from hotfire.errors import EngineAway, EngineError
from hotfire.instances.base import Container, Output, Spec
from hotfire.instances.container import ContainerInstance
from hotfire.instances.workshop import Workshop

_MARK = "containers"
"""A file that is there while there may be containers: without it no engine is asked."""
_NO_METADATA = {"AWS_EC2_METADATA_DISABLED": "true"}
"""On a machine of EC2 the credentials of its role are a request away; they are the user's."""
_SECONDS_TO_LOOK_AGAIN = 0.5
"""For what a region that was killed has left, where the engine does not answer yet."""
_log = logging.getLogger("hotfire.region")

_Key = tuple[str, str]


class ContainerHost:
    """Makes instances that are containers. `variables` may name the engine."""

    def __init__(self, home: Path, variables: Mapping[str, str]) -> None:
        self._home, self._variables = home, variables
        self._engine: Engine | None = None
        self._connecting = asyncio.Lock()
        self._workshops = 0
        self._is_closing = False
        self._search: asyncio.Task[None] | None = None
        self._there: Counter[_Key] = Counter()
        self._expected: Counter[_Key] = Counter()
        self._left: set[str] = set()
        self._kept: dict[_Key, list[Found]] = defaultdict(list)

    def open(self) -> None:
        """Look for what a region that was killed has left, once the instances that may claim it are made.

        What none of them will is ended.
        """
        if (self._home / _MARK).exists():
            self._search = asyncio.get_running_loop().create_task(self._look())

    def instance(self, spec: Spec, output: Output) -> ContainerInstance:
        """An instance that is not started yet."""
        container = spec.container or Container("")
        recipe = self.recipe(spec)
        key = _key(recipe.labels)
        self._there[key] += 1
        if self._search is not None and not self._search.done():
            # One that could not start yet, for want of the engine, is made again.
            self._expected[key] = max(self._expected[key], self._there[key])
        return ContainerInstance(container, recipe, spec.startup_timeout, self, output)

    def workshop(self) -> Workshop:
        """What hosts instances for one lease."""
        self._workshops += 1
        return Workshop(self, self._home / "instances" / f"lease-{self._workshops}")

    def recipe(self, spec: Spec) -> Recipe:
        """What an instance's container is made of, with the labels by which it is found again."""
        return _recipe(spec, spec.container or Container(""), self._home)

    async def engine(self) -> Engine:
        """What runs the containers. Raises EngineError."""
        async with self._connecting:
            if self._engine is None:
                engine = await asyncio.to_thread(Engine.connect, self._variables)
                try:
                    (self._home / _MARK).touch()
                except OSError as error:
                    engine.close()
                    message = f"{self._home} cannot be written to: {error.strerror}"
                    raise EngineError(message, "Free space there, or use another disk.") from error
                self._engine = engine
        return self._engine

    async def has_image(self, image: str) -> bool:
        """Whether the engine has what a container of this image is made of. Raises EngineError."""
        engine = await self.engine()

        def look() -> bool:
            return engine.image_id(container_images.fitting(engine, image)) is not None

        return await asyncio.to_thread(look)

    async def claim(self, recipe: Recipe) -> Found | None:
        """One by this recipe that the region before this one has left running."""
        if self._search is not None:
            await asyncio.wait([self._search])
        if self._engine is not None:
            for container in tuple(self._left):
                await asyncio.to_thread(self._engine.remove, container)
                self._left.discard(container)
        kept = self._kept[_key(recipe.labels)]
        return kept.pop() if kept else None

    def unclaim(self, recipe: Recipe) -> None:
        """An instance that may have claimed one has stopped."""
        self._there[_key(recipe.labels)] -= 1

    def leave(self, container: str) -> None:
        """One that could not be removed, since the engine did not answer: it is to be, when that does."""
        self._left.add(container)

    async def close(self) -> None:
        """End what nobody has claimed, and let the engine go."""
        if self._search is not None:
            self._is_closing = True
            await asyncio.wait([self._search])
        if self._engine is not None:
            await asyncio.to_thread(_clear, self._engine, self._home)
            self._engine.close()

    async def _look(self) -> None:
        try:
            engine = await self._engine_when_it_answers()
            found = await asyncio.to_thread(engine.of_region, self._home)
            for one in found:
                key = _key(one.labels)
                if one.port is not None and self._expected[key] > 0:
                    self._expected[key] -= 1
                    self._kept[key].append(one)
                else:
                    await asyncio.to_thread(engine.remove, one.id)
        except EngineError as error:
            _log.warning("containers of the region before this one may be left: %s", error.message)

    async def _engine_when_it_answers(self) -> Engine:
        """The engine, which may come up after this region. Raises EngineError when the region ends first."""
        while True:
            try:
                return await self.engine()
            except EngineAway:
                if self._is_closing:
                    raise
            await asyncio.sleep(_SECONDS_TO_LOOK_AGAIN)


def clear(home: Path, variables: Mapping[str, str]) -> None:
    """End what a region that had to be killed has left. Raises EngineError."""
    if (home / _MARK).exists():
        engine = Engine.connect(variables)
        try:
            _clear(engine, home)
        finally:
            engine.close()


def _clear(engine: Engine, home: Path) -> None:
    try:
        for one in engine.of_region(home):
            engine.remove(one.id)
        (home / _MARK).unlink(missing_ok=True)
    except EngineError as error:
        _log.warning("containers may be left: %s", error.message)


def _recipe(spec: Spec, container: Container, home: Path) -> Recipe:
    recipe = Recipe(
        name=f"hotfire-{spec.endpoint}",
        image=container.image,
        environment={**_NO_METADATA, **spec.environment},
        model_dir=spec.model_dir,
        memory=container.memory,
        processors=container.processors,
        gpus=container.gpus,
    )
    facts = (recipe.image, recipe.environment, str(recipe.model_dir), recipe.memory, recipe.processors)
    text = json.dumps([*facts, recipe.gpus], sort_keys=True)
    labels = {
        HOME_LABEL: str(home),
        ENDPOINT_LABEL: spec.endpoint,
        INSTANCE_LABEL: spec.name,
        RECIPE_LABEL: hashlib.sha256(text.encode()).hexdigest(),
    }
    return replace(recipe, labels=labels)


def _key(labels: Mapping[str, str]) -> _Key:
    """By what a container is told from others: whose it is, and what it was made of."""
    return labels.get(ENDPOINT_LABEL, ""), labels.get(RECIPE_LABEL, "")
