"""An image of one's own on its way to where it serves: this machine's engine, or ECR by way of that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from hotfire import container_builds
from hotfire.container_builds import Telling
from hotfire.container_engine import Engine
from hotfire.deployment import Report
from hotfire.destination import Carriage
from hotfire.environment import Environment, variables_of_process
from hotfire.image_build import OwnImage, is_built, repository
from hotfire.image_recipe import Recipe
from hotfire.image_registry import Registry
from hotfire.images import is_gpu
from hotfire.wanted import PROJECT_TAG, tag_value

UNKNOWN = "not-locked"
"""The tag in a dry run, of an image whose versions nobody has chosen yet."""


def telling(report: Report) -> Telling:
    """Tell a deploy's report."""
    return Telling(report.call, report.passing)


class Delivery:
    """The image of one environment; `registry` is where it is pushed to, if it does not serve here."""

    def __init__(self, environment: Environment, registry: Registry | None = None) -> None:
        self._environment, self._registry = environment, registry

    def planned(self, requirements: Path | None, tell: Telling, *, dry_run: bool) -> Carriage:
        """What has to be done for the image of these requirements. Raises ProjectError, EngineError."""
        own = OwnImage(self._environment, requirements)
        lock = own.lock()
        if not dry_run and (lock is None or not self._has(own.recipe(lock))):
            with _engine() as engine:
                lock = own.locked(engine, tell)
        if lock is None:
            image = f"{self._address}:{UNKNOWN}"
            return Carriage(image, (f"lock {own.order.file.name}", *self._steps(image)), note=_UNKNOWN_NAMES)
        made = own.recipe(lock)
        image = f"{self._address}:{made.tag}"
        steps = () if self._has(made) else tuple(self._steps(image))
        return Carriage(image, steps, made, self._note())

    def carry(self, requirements: Path | None, carriage: Carriage, tell: Telling) -> None:
        """Build it, and push it if it serves elsewhere. Raises EngineError, DeployError."""
        if carriage.recipe is None or not carriage.steps:
            return
        with _engine() as engine:
            tell.step(f"build image {carriage.image}")
            OwnImage(self._environment, requirements).build(engine, carriage.recipe, self._address, tell)
            if self._registry is None:
                return
            if not self._registry.exists():
                tell.step(f"create repository {self._registry.name} in ECR")
                self._registry.create(self._tags)
            tell.step(f"push image {carriage.image}")
            container_builds.push(engine, str(carriage.image), self._registry.login(), tell)

    def brought(self, requirements: Path | None, tell: Telling) -> str:
        """The image's name, once it is there. Raises ProjectError, EngineError, DeployError."""
        carriage = self.planned(requirements, tell, dry_run=False)
        self.carry(requirements, carriage, tell)
        return str(carriage.image)

    def removed(self) -> tuple[str, ...]:
        """Remove what was pushed; what was done, a line each. The engine's images stay, as pulled ones do."""
        if self._registry is None or not self._registry.remove(self._tags[PROJECT_TAG]):
            return ()
        return (f"delete repository {self._registry.name} in ECR",)

    @property
    def _address(self) -> str:
        return repository(self._environment) if self._registry is None else self._registry.address

    @property
    def _tags(self) -> Mapping[str, str]:
        return {**self._environment.tags, PROJECT_TAG: tag_value(self._environment.project)}

    def _has(self, made: Recipe) -> bool:
        """Whether it is where it is to serve."""
        if self._registry is not None:
            return self._registry.has(made.tag)
        with _engine() as engine:
            return is_built(engine, f"{self._address}:{made.tag}", made)

    def _steps(self, image: str) -> Iterator[str]:
        yield f"build image {image}"
        if self._registry is not None:
            if not self._registry.exists():
                yield f"create repository {self._registry.name} in ECR"
            yield f"push image {image}"

    def _note(self) -> str:
        kind = self._environment.instance_type or ""
        if self._environment.own_image.cuda or not (is_gpu(kind) or kind == "local_container_gpu"):
            return ""
        return f"{kind} has GPUs, and the image's torch is for processors: `own_image: {{cuda: true}}`."


_UNKNOWN_NAMES = (
    "The versions are not locked yet: names of the image, model and config are known when they are."
)


@contextmanager
def _engine() -> Iterator[Engine]:
    engine = Engine.connect(variables_of_process())
    try:
        yield engine
    finally:
        engine.close()
