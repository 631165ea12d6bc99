"""What serves one endpoint config: its variants, each with its instances."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hotfire.errors import InstanceError, LoadFailed, ValidationError
from hotfire.images import is_gpu
from hotfire.instance_types import memory, vcpus
from hotfire.instances.base import (
    Answer,
    Change,
    Cluster,
    Container,
    Debuggable,
    Host,
    Instance,
    Request,
    Spec,
    failed_load,
)

Output = Callable[[str, str, str], None]
"""Takes a log stream, the id of the request in hand and a line."""


@dataclass(frozen=True, slots=True)
class VariantPlan:
    """A variant with all that it needs to be served, whatever becomes of its model and config."""

    name: str
    weight: float
    count: int
    instance_type: str
    tree: str
    environment: Mapping[str, str]
    python: str
    startup_timeout: float
    image: str = ""
    project: str = ""
    serverless: Mapping[str, Any] | None = None
    asynchronous: Mapping[str, Any] | None = None
    """The AsyncInferenceConfig, of a variant that answers queued requests alone."""
    sized_as: str | None = None
    """Of a variant of containers: the `ml.*` type whose memory and processors they get, or empty."""
    ray_address: str = ""
    """Of a variant that a Ray cluster hosts: the cluster's."""
    ray_options: Mapping[str, Any] = field(default_factory=dict)
    takes_versions: bool = False
    """Whether its image is one of our own, which can take newer versions in while somebody develops."""
    in_place: bool = False
    """Whether it is too large to be there twice, so that an update ends it before the next one starts."""
    version: str = ""
    """The endpoint config that it is of."""
    journal: bool = True
    """Whether what its requests say is recorded."""


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """The variants of an endpoint config; it is kept, so that a region started again serves the same."""

    variants: tuple[VariantPlan, ...]

    @property
    def in_place(self) -> bool:
        """Whether one of its variants is too large to be there twice."""
        return any(variant.in_place for variant in self.variants)

    def to_json(self) -> dict[str, Any]:
        """As the store keeps it."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> FleetPlan:
        """As the store kept it."""
        return cls(tuple(VariantPlan(**variant) for variant in value["variants"]))


class Variant:
    """A variant's instances."""

    def __init__(self, plan: VariantPlan, instances: Sequence[Instance]) -> None:
        self.plan = plan
        self._instances = instances

    @classmethod
    def made(cls, plan: VariantPlan, host: Host, tree: Path, output: Output, endpoint: str = "") -> Variant:
        """A variant of new instances."""
        # On a cluster they are the replicas of one application.
        count = 1 if plan.ray_address else max(plan.count, 1)
        return cls(plan, [_instance(plan, host, tree, output, endpoint) for _ in range(count)])

    def successor(self, changes: Sequence[Change]) -> Variant | None:
        """The same variant with newer code, as an instance's successor is; None where one has none."""
        heirs = [instance.successor(changes) for instance in self._instances]
        able = [heir for heir in heirs if heir is not None]
        return Variant(self.plan, able) if len(able) == len(heirs) else None

    async def start(self) -> None:
        """Start all instances; raises LoadFailed."""
        await _all(instance.start() for instance in self._instances)

    def instance(self) -> Instance:
        """The one with the least to do."""
        return min(self._instances, key=lambda instance: instance.load)

    @property
    def pids(self) -> list[int]:
        """The processes that answer."""
        return [pid for instance in self._instances for pid in instance.pids]

    async def stop(self) -> None:
        """Stop all instances when their requests are answered."""
        await asyncio.gather(*(instance.stop() for instance in self._instances))

    def summary(self) -> dict[str, Any]:
        """The variant as DescribeEndpoint shows it."""
        plan = self.plan
        summary: dict[str, Any] = {
            "VariantName": plan.name,
            "CurrentWeight": plan.weight,
            "DesiredWeight": plan.weight,
        }
        if plan.image:
            summary["DeployedImages"] = [{"SpecifiedImage": plan.image, "ResolvedImage": plan.image}]
        if plan.serverless:
            return {**summary, "CurrentServerlessConfig": plan.serverless}
        return {**summary, "CurrentInstanceCount": plan.count, "DesiredInstanceCount": plan.count}


def _instance(plan: VariantPlan, host: Host, tree: Path, output: Output, endpoint: str) -> Instance:
    stream = f"{plan.name}/i-{uuid.uuid4().hex[:17]}"
    spec = Spec(
        name=stream,
        model_dir=tree,
        environment=plan.environment,
        python=Path(plan.python),
        startup_timeout=plan.startup_timeout,
        project=plan.project,
        endpoint=endpoint,
        container=_container(plan),
        cluster=Cluster(plan.ray_address, plan.ray_options, plan.count) if plan.ray_address else None,
    )
    return host.instance(spec, lambda request, line: output(stream, request, line))


def _container(plan: VariantPlan) -> Container | None:
    """What its instances are to be; None for processes."""
    if plan.sized_as is None:
        return None
    if plan.serverless:
        most = plan.serverless["MemorySizeInMB"]
        size = f"a serverless endpoint of {most} MB"
        return Container(plan.image, size, most << 20, takes_versions=plan.takes_versions)
    most = memory(plan.sized_as)
    return Container(
        image=plan.image,
        sized_as=plan.sized_as,
        memory=None if most is None else int(most),
        processors=vcpus(plan.sized_as),
        gpus=plan.instance_type == "local_container_gpu"
        or (plan.instance_type.startswith("ml.") and is_gpu(plan.instance_type)),
        takes_versions=plan.takes_versions,
    )


class Fleet:
    """All that serves an endpoint at one time."""

    def __init__(self, plan: FleetPlan, variants: list[Variant]) -> None:
        self.plan = plan
        self._variants = variants
        self._weights = [variant.plan.weight for variant in variants]

    async def start(self) -> None:
        """Start every variant; if one cannot be, none is left running. Raises LoadFailed."""
        try:
            await _all(variant.start() for variant in self._variants)
        except BaseException:
            await self.stop()
            raise

    def successor(self, changes: Sequence[Change]) -> Fleet | None:
        """A fleet, to be started, of the same loaded models with newer code; then this one is to stop."""
        heirs = [variant.successor(changes) for variant in self._variants]
        able = [heir for heir in heirs if heir is not None]
        return Fleet(self.plan, able) if len(able) == len(heirs) else None

    def variant(self, name: str | None) -> Variant:
        """The variant named, or one by weight."""
        if name is None:
            if len(self._variants) == 1:
                return self._variants[0]
            return random.choices(self._variants, self._weights)[0]
        for variant in self._variants:
            if variant.plan.name == name:
                return variant
        raise ValidationError(f"There is no variant {name} in this endpoint.")

    async def debug(self) -> tuple[int, Path]:
        """Have debugpy listen, as `Debuggable` says; raises InstanceError."""
        instance = self.variant(None).instance()
        if not isinstance(instance, Debuggable):
            raise InstanceError("what serves here cannot be debugged")
        return await instance.debug()

    def summaries(self) -> list[dict[str, Any]]:
        """Every variant as DescribeEndpoint shows it."""
        return [variant.summary() for variant in self._variants]

    @property
    def pids(self) -> list[int]:
        """The processes that answer."""
        return [pid for variant in self._variants for pid in variant.pids]

    async def stop(self) -> None:
        """Stop every variant when its requests are answered."""
        await asyncio.gather(*(variant.stop() for variant in self._variants))


class Broken:
    """Stands for a fleet whose handler cannot be loaded: every request is told why."""

    def __init__(
        self,
        variant: str,
        failure: LoadFailed,
        version: str = "",
        *,
        journal: bool = True,
        asynchronous: Mapping[str, Any] | None = None,
    ) -> None:
        self.reason = failure.message
        plan = VariantPlan(
            variant, 1.0, 1, "", "", {}, "", 0.0, version=version, journal=journal, asynchronous=asynchronous
        )
        self._variant = Variant(plan, [_BrokenInstance(failure)])
        self.pids: list[int] = []

    def variant(self, name: str | None) -> Variant:
        """What answers for the variant."""
        return self._variant

    async def stop(self) -> None:
        """There is nothing to end."""


class _BrokenInstance:
    """Answers as the container does whose model cannot be loaded."""

    load = 0
    pids = ()

    def __init__(self, failure: LoadFailed) -> None:
        self._answer = failed_load(failure)

    async def start(self) -> None:
        """It cannot be."""

    async def invoke(self, request: Request) -> Answer:
        return self._answer

    async def stream(self, request: Request) -> Answer:
        return self._answer

    def successor(self, changes: Sequence[Change]) -> None:
        """Nothing is loaded."""

    async def stop(self) -> None:
        """There is nothing to end."""


async def _all(starts: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Start side by side. The first that fails ends the others, and is raised when they have ended."""
    try:
        async with asyncio.TaskGroup() as group:
            for start in starts:
                group.create_task(start)
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
