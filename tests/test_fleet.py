import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from hotfire.errors import LoadFailed, ValidationError
from hotfire.instances.base import Answer, Output, Request, Spec
from hotfire.region.fleet import Fleet, FleetPlan, Variant, VariantPlan

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Instance:
    """One that does as the host says, and writes down what befalls it."""

    def __init__(self, host: "Host", spec: Spec, output: Output) -> None:
        self.host, self.spec, self.output = host, spec, output
        self.load = 0
        self.events: list[str] = []

    async def start(self) -> None:
        self.events.append("start")
        self.output("r1", "hello")
        try:
            await self.host.starts(self.spec)
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            self.events.append("given up")
            raise
        self.events.append("ready")

    async def invoke(self, request: Request) -> Answer:
        return Answer(200, {}, self.spec.name.encode())

    async def stop(self) -> None:
        self.events.append("stop")


class Host:
    def __init__(self) -> None:
        self.instances: list[Instance] = []

    async def starts(self, spec: Spec) -> None:
        """Return when the instance is ready, raise if it cannot be."""

    def instance(self, spec: Spec, output: Output) -> Instance:
        self.instances.append(Instance(self, spec, output))
        return self.instances[-1]

    async def close(self) -> None: ...


def plan(name: str = "AllTraffic", weight: float = 1.0, count: int = 1, **more: Any) -> VariantPlan:
    values = {
        "instance_type": "ml.m5.large",
        "tree": "0" * 64,
        "environment": {},
        "python": "/usr/bin/python3",
    }
    return VariantPlan(name, weight, count, **{**values, "startup_timeout": 30.0, **more})


def fleet(host: Host, *plans: VariantPlan, output: Any = None) -> Fleet:
    variants = [Variant.made(one, host, Path("/tree"), output or (lambda *_: None)) for one in plans]
    return Fleet(FleetPlan(plans), variants)


def test_a_plan_outlives_the_region() -> None:
    whole = FleetPlan(
        (plan(environment={"A": "1"}, image="image:1"), plan("b", serverless={"MemorySizeInMB": 1024}))
    )
    assert FleetPlan.from_json(json.loads(json.dumps(whole.to_json()))) == whole


async def test_a_variant_has_as_many_instances_as_it_asks_for() -> None:
    host = Host()
    await fleet(host, plan("a", count=2), plan("b")).start()
    assert [one.spec.name.partition("/")[0] for one in host.instances] == ["a", "a", "b"]
    assert [one.events for one in host.instances] == [["start", "ready"]] * 3


async def test_a_serverless_variant_has_one() -> None:
    host = Host()
    await fleet(host, plan(count=0, serverless={"MaxConcurrency": 5})).start()
    assert len(host.instances) == 1


def test_an_instance_is_told_what_it_hosts() -> None:
    host = Host()
    fleet(host, plan(environment={"A": "1"}, startup_timeout=7.0))
    spec = host.instances[0].spec
    assert (spec.model_dir, spec.environment, spec.python) == (
        Path("/tree"),
        {"A": "1"},
        Path("/usr/bin/python3"),
    )
    assert spec.startup_timeout == 7.0


async def test_what_an_instance_prints_goes_to_its_own_stream() -> None:
    lines: list[tuple[str, str, str]] = []
    host = Host()
    await fleet(host, plan(count=2), output=lambda *line: lines.append(line)).start()
    streams = [one.spec.name for one in host.instances]
    assert lines == [(streams[0], "r1", "hello"), (streams[1], "r1", "hello")]
    assert streams[0] != streams[1]


@pytest.mark.parametrize("plans", [(plan("a", count=2),), (plan("a"), plan("b"))])
async def test_if_one_cannot_be_none_is_left(plans: tuple[VariantPlan, ...]) -> None:
    """Also those that are still being started: they are given up before they are stopped."""

    class Fails(Host):
        async def starts(self, spec: Spec) -> None:
            if spec is self.instances[0].spec:
                raise LoadFailed("OSError: no weights")
            await asyncio.Event().wait()

    host = Fails()
    with pytest.raises(LoadFailed, match="no weights"):
        await fleet(host, *plans).start()
    assert [one.events for one in host.instances] == [["start", "stop"], ["start", "given up", "stop"]]


async def test_a_start_that_is_given_up_leaves_none() -> None:
    class Waits(Host):
        async def starts(self, spec: Spec) -> None:
            await asyncio.Event().wait()

    host = Waits()
    starting = asyncio.create_task(fleet(host, plan(), plan("b")).start())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert [one.events for one in host.instances] == [["start", "given up", "stop"]] * 2


def test_the_instance_with_the_least_to_do_is_chosen() -> None:
    host = Host()
    one = fleet(host, plan(count=3)).variant(None)
    for instance, load in zip(host.instances, (2, 0, 1), strict=True):
        instance.load = load
    assert one.instance() is host.instances[1]


def test_variants_are_chosen_by_weight() -> None:
    both = fleet(Host(), plan("a", 3.0), plan("b", 1.0), plan("c", 0.0))
    chosen = Counter(both.variant(None).plan.name for _ in range(4000))
    assert chosen["c"] == 0
    assert 2800 < chosen["a"] < 3200


def test_a_variant_can_be_named_whatever_its_weight() -> None:
    assert fleet(Host(), plan("a"), plan("c", 0.0)).variant("c").plan.name == "c"


def test_a_variant_that_is_not_there() -> None:
    with pytest.raises(ValidationError, match="There is no variant c in this endpoint"):
        fleet(Host(), plan("a")).variant("c")


def test_a_variant_is_described_as_it_was_given() -> None:
    described = fleet(Host(), plan("a", 2.0, 3, image="image:1"), plan("b", serverless={"MaxConcurrency": 5}))
    assert described.summaries() == [
        {
            "VariantName": "a",
            "CurrentWeight": 2.0,
            "DesiredWeight": 2.0,
            "DeployedImages": [{"SpecifiedImage": "image:1", "ResolvedImage": "image:1"}],
            "CurrentInstanceCount": 3,
            "DesiredInstanceCount": 3,
        },
        {
            "VariantName": "b",
            "CurrentWeight": 1.0,
            "DesiredWeight": 1.0,
            "CurrentServerlessConfig": {"MaxConcurrency": 5},
        },
    ]


async def test_stopping_stops_all() -> None:
    host = Host()
    both = fleet(host, plan("a", count=2), plan("b"))
    await both.start()
    await both.stop()
    assert [one.events[-1] for one in host.instances] == ["stop"] * 3
