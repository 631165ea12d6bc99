"""Endpoints' lives over instances that do as their model data says: a word in the file `behaviour`."""

import asyncio
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from hotfire.errors import LoadFailed, StoreError, ValidationError
from hotfire.instances.base import Answer, Output, Request, Spec
from hotfire.region.blueprints import Blueprints
from hotfire.region.buckets import Buckets
from hotfire.region.endpoints import Endpoints
from hotfire.region.requirements import PythonEnvironments
from hotfire.region.store import Store
from hotfire.region.trees import Trees
from hotfire.resources import Endpoint, EndpointConfig, Model

pytestmark = pytest.mark.anyio

TRACE = "Traceback (most recent call last):\n  in model_fn\nOSError: no weights\n"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Instance:
    """Is ready at once, never, or when the host opens; answers what it serves."""

    def __init__(self, host: "Host", spec: Spec, output: Output) -> None:
        self.host, self.output = host, output
        self.model_dir = spec.model_dir
        self.behaviour = (spec.model_dir / "behaviour").read_text()
        self.load = 0
        self.state = "new"
        self.idle = asyncio.Event()
        self.idle.set()

    async def start(self) -> None:
        self.state = "starting"
        await asyncio.sleep(0)
        if self.behaviour.startswith("slow"):
            await self.host.open.wait()
        if "broken" in self.behaviour:
            raise LoadFailed("OSError: no weights", TRACE)
        if self.behaviour.startswith("bug"):
            raise ZeroDivisionError
        self.state = "ready"

    async def invoke(self, request: Request) -> Answer:
        if self.state != "ready":
            return Answer(500, {}, b"not there")
        self.load += 1
        self.idle.clear()
        await asyncio.sleep(0.001)
        if self.behaviour.startswith("long"):
            await self.host.open.wait()
        self.load -= 1
        if not self.load:
            self.idle.set()
        return Answer(200, {}, self.behaviour.encode())

    async def stop(self) -> None:
        await self.idle.wait()
        self.state = "stopped"


class Host:
    def __init__(self) -> None:
        self.instances: list[Instance] = []
        self.open = asyncio.Event()
        self.closed = False

    def instance(self, spec: Spec, output: Output) -> Instance:
        self.instances.append(Instance(self, spec, output))
        return self.instances[-1]

    async def close(self) -> None:
        self.closed = True

    @property
    def states(self) -> list[str]:
        return [instance.state for instance in self.instances]


class World:
    """A store with models named by their behaviour, and endpoints over it."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder, self.store = folder, store
        self.trees = Trees(folder / "model-data")
        self.lines: list[tuple[str, ...]] = []
        self.host, self.endpoints = self.region()

    def region(self) -> tuple[Host, Endpoints]:
        """A region over the same files, as after a kill."""
        host = Host()
        environments = PythonEnvironments(self.folder / "environments", {})
        buckets = Buckets(self.folder / "objects", self.store)
        blueprints = Blueprints(self.store, self.trees, buckets, environments, Path(sys.executable))
        endpoints = Endpoints(
            self.store, self.trees, host, blueprints, lambda *line: self.lines.append(line), lambda: 5.0
        )
        return host, endpoints

    def config(self, *behaviours: str) -> str:
        """A config with a variant for each model."""
        variants = []
        for behaviour in behaviours:
            data = self.folder / "data" / behaviour
            data.mkdir(parents=True, exist_ok=True)
            (data / "behaviour").write_text(behaviour)
            source = {"S3Uri": f"file://{data}/", "S3DataType": "S3Prefix", "CompressionType": "None"}
            variables = {"HOTFIRE_UPDATE": "in_place"} if "large" in behaviour else {}
            container = {"ModelDataSource": {"S3DataSource": source}, "Environment": variables}
            self.store.put_model(Model(behaviour, "arn", 1.0, {"PrimaryContainer": container}))
            variants.append({"VariantName": behaviour, "ModelName": behaviour, "InstanceType": "local"})
        name = "-".join(behaviours)
        self.store.put_config(EndpointConfig(name, "arn", 1.0, {"ProductionVariants": variants}))
        return name

    def create(self, *behaviours: str, name: str = "e") -> None:
        config = self.config(*behaviours)
        self.endpoints.create(Endpoint(name, "arn", config, "Creating", 1.0, 1.0), {"k": "v"})

    def update(self, *behaviours: str) -> None:
        self.endpoints.update("e", self.config(*behaviours))

    async def settled(self, name: str = "e") -> Endpoint | None:
        await self.endpoints.settled(name, 20.0)
        return self.store.endpoint(name)

    def state(self, name: str = "e") -> str:
        endpoint = self.store.endpoint(name)
        return endpoint.status if endpoint else "gone"

    async def ask(self, target: str | None = None, name: str = "e") -> str:
        variant = await self.endpoints.variant(name, target)
        answer = await variant.instance().invoke(Request("r", {}, b""))
        assert answer.status == 200
        return answer.body.decode()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "region.sqlite") as store:
        yield store


@pytest.fixture
async def world(tmp_path: Path, store: Store) -> World:
    return World(tmp_path, store)


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.001)


async def test_an_endpoint_comes_into_service(world: World) -> None:
    world.create("good")
    assert (world.state(), world.store.tags("arn")) == ("Creating", {"k": "v"})
    endpoint = await world.settled()
    assert endpoint == Endpoint("e", "arn", "good", "InService", 1.0, 5.0)
    assert await world.ask() == "good"
    assert [one["VariantName"] for one in world.endpoints.variants("e")] == ["good"]


async def test_a_model_that_cannot_load_makes_the_endpoint_fail_and_says_why(world: World) -> None:
    world.create("broken")
    endpoint = await world.settled()
    assert endpoint == Endpoint("e", "arn", "broken", "Failed", 1.0, 5.0, "OSError: no weights")
    assert world.lines == [("e", "AllTraffic/load", "", line) for line in TRACE.splitlines()]
    assert world.endpoints.variants("e") == []
    assert world.host.states == ["stopped"]


async def test_an_endpoint_that_is_not_in_service_says_so(world: World) -> None:
    world.create("broken")
    await world.settled()
    with pytest.raises(ValidationError) as caught:
        await world.ask()
    assert caught.value.message == "Endpoint e is not in service: its state is Failed. OSError: no weights"


async def test_an_endpoint_that_is_being_created_answers_nobody_yet(world: World) -> None:
    world.create("slow")
    await until(lambda: world.host.states == ["starting"])
    with pytest.raises(ValidationError, match="its state is Creating"):
        await world.ask()
    await world.endpoints.close()


async def test_an_endpoint_that_is_not_there(world: World) -> None:
    with pytest.raises(ValidationError, match="Endpoint e of account 000000000000 not found"):
        await world.ask()


@pytest.mark.parametrize(
    ("request_of_model", "reason"),
    [
        ({"PrimaryContainer": {"ModelDataUrl": "s3://bucket/k"}}, "has no bucket bucket"),
        ({"PrimaryContainer": {"ModelDataUrl": "file:///absent.tar.gz"}}, "/absent.tar.gz"),
        ({"Containers": [{"Image": "a"}, {"Image": "b"}]}, "has 2 containers"),
    ],
)
async def test_model_data_that_cannot_be_had_makes_the_endpoint_fail(
    world: World, request_of_model: dict[str, Any], reason: str
) -> None:
    config = world.config("good")
    world.store.put_model(Model("good", "arn", 1.0, request_of_model))
    world.endpoints.create(Endpoint("e", "arn", config, "Creating", 1.0, 1.0), {})
    endpoint = await world.settled()
    assert endpoint is not None
    assert (endpoint.status, reason in endpoint.failure_reason) == ("Failed", True)


async def test_a_bug_of_ours_leaves_no_endpoint_moving(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.create("bug")
    endpoint = await world.settled()
    assert endpoint is not None
    assert endpoint.status == "Failed"
    assert endpoint.failure_reason == "A fault of the local region: ZeroDivisionError()"
    assert "Traceback" in caplog.text
    await world.endpoints.close()
    assert world.host.states == ["stopped"]


async def test_a_store_that_cannot_be_written_leaves_no_waiter(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: Any) -> None:
        raise StoreError("No space is left.")

    world.create("slow")
    await until(lambda: world.host.states == ["starting"])
    monkeypatch.setattr(world.store, "put_fleet", full)
    monkeypatch.setattr(world.store, "put_endpoint", full)
    world.host.open.set()
    await asyncio.wait_for(world.endpoints.settled("e", 1000), 20)
    assert "No space is left" in caplog.text


async def test_settled_returns_when_the_state_changes_and_not_before(world: World) -> None:
    world.create("slow")
    waiting = asyncio.create_task(world.settled())
    await until(lambda: world.host.states == ["starting"])
    assert not waiting.done()
    world.host.open.set()
    endpoint = await waiting
    assert endpoint is not None
    assert endpoint.status == "InService"


async def test_settled_waits_no_longer_than_it_may(world: World) -> None:
    world.create("slow")
    await world.endpoints.settled("e", 0.01)
    assert world.state() == "Creating"
    await world.endpoints.close()


async def test_settled_of_an_endpoint_that_is_not_there_returns_at_once(world: World) -> None:
    await world.endpoints.settled("absent", 1000.0)


async def test_nobody_is_held_when_the_region_ends(world: World) -> None:
    world.create("slow")
    waiting = asyncio.create_task(world.endpoints.settled("e", 1000.0))
    await asyncio.sleep(0)
    world.endpoints.release()
    await waiting
    assert world.state() == "Creating"
    await world.endpoints.close()


async def test_an_update_loses_no_request(world: World) -> None:
    world.create("good-0")
    await world.settled()
    answers: list[str] = []
    done = False

    async def client() -> None:
        while not done:
            answers.append(await world.ask())

    clients = [asyncio.create_task(client()) for _ in range(8)]
    for number in range(1, 6):
        world.update(f"good-{number}")
        await world.settled()
        asked = len(answers)
        await until(lambda asked=asked: len(answers) > asked + 20)
    done = True
    await asyncio.gather(*clients)
    assert set(answers) == {f"good-{number}" for number in range(6)}
    await until(lambda: world.host.states == ["stopped"] * 5 + ["ready"])


async def test_requests_in_flight_end_on_the_old_fleet(world: World) -> None:
    world.create("long")
    await world.settled()
    in_flight = asyncio.create_task(world.ask())
    await until(lambda: world.host.instances[0].load == 1)
    world.update("good")
    endpoint = await world.settled()
    assert endpoint is not None
    assert endpoint.config_name == "good"
    assert await world.ask() == "good"
    world.host.open.set()
    assert await in_flight == "long"
    await until(lambda: world.host.states == ["stopped", "ready"])


async def test_the_old_fleet_answers_while_the_new_one_comes_up(world: World) -> None:
    world.create("good")
    await world.settled()
    world.update("slow")
    await until(lambda: world.host.states == ["ready", "starting"])
    assert (world.state(), await world.ask()) == ("Updating", "good")
    await world.endpoints.close()


async def test_a_failed_update_keeps_the_old_fleet_and_the_reason(world: World) -> None:
    world.create("good")
    await world.settled()
    world.update("broken")
    endpoint = await world.settled()
    assert endpoint == Endpoint("e", "arn", "good", "InService", 1.0, 5.0, "OSError: no weights")
    assert await world.ask() == "good"
    assert world.host.states == ["ready", "stopped"]


async def test_what_is_too_large_to_be_there_twice_ends_before_the_next_one_starts(world: World) -> None:
    world.create("good-large")
    await world.settled()
    world.update("slow-large")
    await until(lambda: world.host.states == ["stopped", "starting"])
    waiting = asyncio.create_task(world.ask())
    await asyncio.sleep(0.01)
    assert (world.state(), waiting.done()) == ("Updating", False)
    world.host.open.set()
    assert await waiting == "slow-large"
    endpoint = await world.settled()
    assert endpoint is not None
    assert (endpoint.status, endpoint.config_name) == ("InService", "slow-large")


@pytest.mark.parametrize("target", ["good", "good-large"])
async def test_one_that_is_too_large_is_enough(world: World, target: str) -> None:
    world.create("long" if "large" in target else "long-large")
    await world.settled()
    in_hand = asyncio.create_task(world.ask())
    await until(lambda: world.host.instances[0].load == 1)
    world.update(target)
    await asyncio.sleep(0.01)
    assert len(world.host.instances) == 1
    world.host.open.set()
    assert (await in_hand).startswith("long")
    assert await world.ask() == target


async def test_a_failed_update_in_place_brings_the_old_one_back(world: World) -> None:
    world.create("good-large")
    await world.settled()
    world.update("broken-large")
    assert await world.ask() == "good-large"
    endpoint = await world.settled()
    assert endpoint == Endpoint("e", "arn", "good-large", "InService", 1.0, 5.0, "OSError: no weights")
    assert world.host.states == ["stopped", "stopped", "ready"]


async def test_model_data_that_is_not_there_does_not_end_what_is_large(world: World) -> None:
    world.create("good-large")
    await world.settled()
    config = world.config("other-large")
    shutil.rmtree(world.folder / "data" / "other-large")
    world.endpoints.update("e", config)
    endpoint = await world.settled()
    assert endpoint is not None
    assert (endpoint.status, world.host.states) == ("InService", ["ready"])


async def test_an_update_in_place_after_which_nothing_starts_says_both_reasons(world: World) -> None:
    world.create("good-large")
    await world.settled()
    world.update("slow-broken-large")
    await until(lambda: world.host.states == ["stopped", "starting"])
    behaviour = world.host.instances[0].model_dir / "behaviour"
    behaviour.chmod(0o600)
    behaviour.write_text("broken-too")
    world.host.open.set()
    endpoint = await world.settled()
    assert endpoint is not None
    assert endpoint.status == "Failed"
    assert endpoint.failure_reason == "OSError: no weights; and what served before: OSError: no weights"
    with pytest.raises(ValidationError, match="its state is Failed"):
        await world.ask()


async def test_an_endpoint_can_be_deleted_while_it_is_updated_in_place(world: World) -> None:
    world.create("good-large")
    await world.settled()
    world.update("slow-large")
    await until(lambda: world.host.states == ["stopped", "starting"])
    waiting = asyncio.create_task(world.ask())
    world.endpoints.delete("e")
    with pytest.raises(ValidationError, match="its state is Deleting"):
        await waiting
    assert await world.settled() is None
    assert world.host.states == ["stopped", "stopped"]


async def test_the_next_update_takes_the_reason_away(world: World) -> None:
    world.create("good")
    await world.settled()
    world.update("broken")
    await world.settled()
    world.update("slow")
    endpoint = world.store.endpoint("e")
    assert endpoint is not None
    assert (endpoint.status, endpoint.failure_reason) == ("Updating", "")
    world.host.open.set()
    endpoint = await world.settled()
    assert endpoint is not None
    assert (endpoint.config_name, endpoint.failure_reason) == ("slow", "")


async def test_a_deleted_endpoint_is_gone(world: World) -> None:
    world.create("good")
    await world.settled()
    world.endpoints.delete("e")
    assert world.state() == "Deleting"
    assert await world.settled() is None
    assert (world.host.states, world.store.fleet("e")) == (["stopped"], None)


async def test_deleting_answers_requests_in_hand_and_takes_no_more(world: World) -> None:
    world.create("long")
    await world.settled()
    in_hand = asyncio.create_task(world.ask())
    await until(lambda: world.host.instances[0].load == 1)
    world.endpoints.delete("e")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    with pytest.raises(ValidationError, match="its state is Deleting"):
        await world.ask()
    world.host.open.set()
    assert await in_hand == "long"
    assert await world.settled() is None


async def test_an_endpoint_can_be_deleted_while_it_is_created(world: World) -> None:
    world.create("slow")
    await until(lambda: world.host.states == ["starting"])
    world.endpoints.delete("e")
    assert await world.settled() is None
    assert world.host.states == ["stopped"]


async def test_an_endpoint_can_be_deleted_in_the_moment_of_its_creation(world: World) -> None:
    world.create("good")
    world.endpoints.delete("e")
    assert await world.settled() is None
    assert set(world.host.states) <= {"stopped"}


async def test_who_waits_for_a_deletion_is_not_told_by_the_end_of_what_it_gave_up(world: World) -> None:
    world.create("long")
    await world.settled()
    asking = asyncio.create_task(world.ask())
    await until(lambda: world.host.instances[0].load == 1)
    world.update("slow")
    await until(lambda: len(world.host.instances) == 2)
    world.endpoints.delete("e")
    waiting = asyncio.create_task(world.settled())
    await until(lambda: world.host.states[1] == "stopped")  # the update is given up
    await asyncio.sleep(0.01)
    assert not waiting.done()
    world.host.open.set()
    assert await waiting is None
    assert await asking == "long"


async def test_an_endpoint_can_be_deleted_while_it_is_updated(world: World) -> None:
    world.create("good")
    await world.settled()
    world.update("slow")
    await until(lambda: world.host.states == ["ready", "starting"])
    world.endpoints.delete("e")
    assert await world.settled() is None
    assert world.host.states == ["stopped", "stopped"]


async def test_an_endpoint_that_failed_can_be_deleted_and_made_again(world: World) -> None:
    world.create("broken")
    await world.settled()
    world.endpoints.delete("e")
    assert await world.settled() is None
    world.create("good")
    await world.settled()
    assert await world.ask() == "good"


async def test_variants_are_chosen_by_name_and_by_weight(world: World) -> None:
    world.create("good-a", "good-b")
    await world.settled()
    assert await world.ask("good-b") == "good-b"
    assert {await world.ask() for _ in range(50)} == {"good-a", "good-b"}
    with pytest.raises(ValidationError, match="There is no variant good-c"):
        await world.ask("good-c")


async def test_endpoints_do_not_meet(world: World) -> None:
    world.create("good-a", name="a")
    world.create("broken", name="b")
    world.create("good-c", name="c")
    for name in "abc":
        await world.settled(name)
    assert [world.state(name) for name in "abc"] == ["InService", "Failed", "InService"]
    assert (await world.ask(name="a"), await world.ask(name="c")) == ("good-a", "good-c")


# A region that was killed and is started again, over the same store.


async def killed(world: World) -> None:
    """The region ends at once: its tasks go, the store stays as it is."""
    for life in world.endpoints._lives.values():
        if life.task is not None:
            life.task.cancel()
            with suppress(asyncio.CancelledError):
                await life.task
    world.host, world.endpoints = world.region()


async def test_a_region_started_again_serves_what_it_served(world: World) -> None:
    world.create("good")
    await world.settled()
    await killed(world)
    world.store.delete_model("good")
    world.store.delete_config("good")
    world.endpoints.resume()
    assert world.state() == "SystemUpdating"
    endpoint = await world.settled()
    assert endpoint is not None
    assert endpoint.status == "InService"
    assert await world.ask() == "good"


async def test_a_request_to_a_region_that_is_just_started_again_waits(world: World) -> None:
    world.create("slow")
    world.host.open.set()
    await world.settled()
    await killed(world)
    world.endpoints.resume()
    asking = asyncio.create_task(world.ask())
    await until(lambda: world.host.states == ["starting"])
    assert not asking.done()
    world.host.open.set()
    assert await asking == "slow"


async def test_an_update_that_was_cut_short_leaves_the_old_fleet(world: World) -> None:
    world.create("good")
    await world.settled()
    world.update("slow")
    await until(lambda: world.host.states == ["ready", "starting"])
    await killed(world)
    world.endpoints.resume()
    endpoint = await world.settled()
    assert endpoint is not None
    assert (endpoint.status, endpoint.config_name) == ("InService", "good")
    assert await world.ask() == "good"


async def test_a_creation_that_was_cut_short_begins_again(world: World) -> None:
    world.create("slow")
    await until(lambda: world.host.states == ["starting"])
    await killed(world)
    world.host.open.set()
    world.endpoints.resume()
    assert world.state() == "Creating"
    await world.settled()
    assert await world.ask() == "slow"


async def test_a_deletion_that_was_cut_short_is_done(world: World) -> None:
    world.create("long")
    await world.settled()
    asking = asyncio.create_task(world.ask())
    await until(lambda: world.host.instances[0].load == 1)
    world.endpoints.delete("e")
    await asyncio.sleep(0.01)
    old = world.host
    await killed(world)
    world.endpoints.resume()
    assert await world.settled() is None
    old.open.set()
    await asking


async def test_an_endpoint_that_failed_stays_so(world: World) -> None:
    world.create("broken")
    await world.settled()
    await killed(world)
    world.endpoints.resume()
    endpoint = await world.settled()
    assert endpoint is not None
    assert (endpoint.status, endpoint.failure_reason) == ("Failed", "OSError: no weights")
    assert world.host.instances == []
    world.endpoints.delete("e")
    assert await world.settled() is None


async def test_an_endpoint_whose_model_data_is_gone_says_so(world: World) -> None:
    world.create("good")
    await world.settled()
    await killed(world)
    world.trees.remove(set())
    world.endpoints.resume()
    endpoint = await world.settled()
    assert endpoint is not None
    assert endpoint.status == "Failed"
    assert endpoint.failure_reason.startswith("The local region holds no model data")


async def test_trees_that_serve_or_that_models_name_are_in_use(world: World) -> None:
    world.create("good")
    await world.settled()
    named = world.trees.admit_folder(world.folder / "data" / "good")
    source = {"S3Uri": f"file://{world.folder}/model-data/trees/{'1' * 64}/"}
    world.store.put_model(
        Model("other", "arn", 1.0, {"PrimaryContainer": {"ModelDataSource": {"S3DataSource": source}}})
    )
    assert {named, "1" * 64} <= world.endpoints.trees_in_use()


async def test_closing_ends_all_and_changes_no_record(world: World) -> None:
    world.create("good", name="a")
    await world.settled("a")
    world.create("long", name="b")
    await world.settled("b")
    world.create("slow", name="c")
    asking = asyncio.create_task(world.ask(name="b"))
    await until(lambda: len(world.host.instances) == 3 and world.host.instances[1].load == 1)
    closing = asyncio.create_task(world.endpoints.close())
    await asyncio.sleep(0.01)
    assert (closing.done(), world.host.closed) == (False, False)
    world.host.open.set()
    await closing
    assert await asking == "long"
    assert (world.host.states, world.host.closed) == (["stopped"] * 3, True)
    assert [world.state(name) for name in "abc"] == ["InService", "InService", "Creating"]


async def test_closing_in_the_moment_of_a_creation_leaves_nothing(world: World) -> None:
    world.create("good")
    await world.endpoints.close()
    assert (set(world.host.states) <= {"stopped"}, world.state()) == (True, "Creating")


async def test_closing_during_a_deletion_answers_its_requests_first(world: World) -> None:
    world.create("long")
    await world.settled()
    asking = asyncio.create_task(world.ask())
    await until(lambda: world.host.instances[0].load == 1)
    world.endpoints.delete("e")
    await asyncio.sleep(0.01)
    closing = asyncio.create_task(world.endpoints.close())
    await asyncio.sleep(0.01)
    assert not closing.done()
    world.host.open.set()
    await closing
    assert (await asking, world.host.states) == ("long", ["stopped"])


async def test_whoever_follows_is_told_of_every_change(world: World) -> None:
    seen: list[tuple[str, str]] = []
    world.endpoints.on_change = lambda name: seen.append((world.state(name), world.endpoints.holder(name)))
    world.create("good")
    await world.settled()
    world.update("better")
    await world.settled()
    world.endpoints.hold("e", "dev")
    world.endpoints.give_back("e")
    world.endpoints.delete("e")
    await world.settled()
    await until(lambda: world.state() == "gone")
    assert seen == [
        ("Creating", ""),
        ("InService", ""),
        ("Updating", ""),
        ("InService", ""),
        ("InService", "dev"),
        ("InService", ""),
        ("Deleting", ""),
        ("gone", ""),
    ]
