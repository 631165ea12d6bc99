"""The dispatcher over a real store and real files; the container answers as the test says."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from hotfire.errors import DeadlineExceeded, ValidationError
from hotfire.instances.base import Answer, Request
from hotfire.region.buckets import Buckets
from hotfire.region.caller import Caller
from hotfire.region.dispatcher import Dispatcher
from hotfire.region.fleet import Variant, VariantPlan
from hotfire.region.queue import Queue, Ticket
from hotfire.region.records import Record
from hotfire.region.scribe import Scribe
from hotfire.region.store import Store

pytestmark = pytest.mark.anyio

PLAN = VariantPlan("AllTraffic", 1.0, 1, "local", "0" * 64, {}, "python", 60.0)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass
class Clock:
    """A time that the test moves."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


class Container:
    """The endpoints, their variant and its instance. An answer waits for `gate`."""

    def __init__(self, plan: VariantPlan) -> None:
        self.plan = plan
        self.answer: Answer | Exception = Answer(200, {"Content-Type": "text/csv"}, b"1,2")
        self.requests: list[Request] = []
        self.in_hand = self.most = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.serves = True
        self.comes_up = asyncio.Event()
        self.comes_up.set()
        self.load = 0
        self.successor: Container | None = None
        """What serves in its place after an update."""

    async def variant(self, name: str, target: str | None) -> Variant:
        await self.comes_up.wait()
        if not self.serves:
            raise ValidationError("not in service")
        return Variant(self.plan, [self.successor or self])  # type: ignore[list-item]  # what is used of an instance

    async def invoke(self, request: Request) -> Answer:
        self.requests.append(request)
        self.in_hand += 1
        self.most = max(self.most, self.in_hand)
        try:
            await self.gate.wait()
        finally:
            self.in_hand -= 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class World:
    """A dispatcher and what it works with."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder = folder
        config = {
            "OutputConfig": {
                "S3OutputPath": f"file://{folder}/out/",
                "S3FailurePath": f"file://{folder}/failed",
            },
            "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 2},
        }
        self.container = Container(replace(PLAN, asynchronous=config))
        self.buckets = Buckets(folder / "objects", store)
        self.queue = Queue(store)
        self.clock = Clock()
        self.said: list[str] = []
        self.records: list[Record] = []
        self.dispatcher = self.region()

    def region(self) -> Dispatcher:
        """A dispatcher, as another region makes it."""

        def say(endpoint: str, stream: str, request: str, line: str) -> None:
            self.said.append(line)

        return Dispatcher(self.queue, self.buckets, self.container, say, self.clock, Scribe(self))

    def next_id(self) -> int:
        return len(self.records)

    def record(self, record: Record) -> None:
        self.records.append(record)

    def hand_in(self, body: bytes | None = b"[1]", **params: Any) -> Ticket:
        given = {"EndpointName": "e", **params, **({} if body is None else {"Body": body})}
        variant = Variant(self.container.plan, [])
        return self.dispatcher.accept(Caller("eu-west-1"), variant, given)

    async def outcome(self, ticket: Ticket) -> bytes:
        """What is written, when it is."""
        path = self.buckets.path(ticket.output)
        await until(lambda: path.exists() and not self.queue.endpoints())
        return path.read_bytes()

    async def failure(self, ticket: Ticket) -> str:
        path = self.buckets.path(ticket.failure)
        await until(lambda: path.exists() and not self.queue.endpoints())
        assert not self.buckets.path(ticket.output).exists()
        return path.read_text()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.002)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    with Store(tmp_path / "region.sqlite") as store:
        world = World(tmp_path, store)
        yield world
        world.container.gate.set()
        await world.dispatcher.close()


async def test_an_answer_is_written_where_the_ticket_says(world: World) -> None:
    ticket = world.hand_in(b"[7]", ContentType="application/json", Accept="text/csv")
    assert ticket.output.startswith(f"file://{world.folder}/out/")
    assert await world.outcome(ticket) == b"1,2"
    (request,) = world.container.requests
    assert request.body == b"[7]"
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Accept"] == "text/csv"
    assert request.headers["X-Amzn-SageMaker-Inference-Id"] == ticket.params["InferenceId"]
    assert request.limit == 900


async def test_a_request_goes_to_what_serves_when_its_input_is_there(world: World) -> None:
    source = world.folder / "input"
    os.mkfifo(source)
    ticket = world.hand_in(None, InputLocation=f"file://{source}")
    file = await asyncio.to_thread(source.open, "wb")  # as soon as it is being read
    old, new = world.container, Container(world.container.plan)
    old.successor = new
    with file:
        file.write(b"[7]")
    await world.outcome(ticket)
    assert (len(old.requests), [request.body for request in new.requests]) == (0, [b"[7]"])


async def test_an_object_has_the_containers_content_type(world: World) -> None:
    world.container.plan = replace(PLAN, asynchronous={"OutputConfig": {"S3OutputPath": "s3://answers/a"}})
    ticket = world.hand_in()
    assert await world.outcome(ticket) == b"1,2"
    key = ticket.output.removeprefix("s3://answers/")
    stored = world.buckets.find("answers", key)
    assert stored is not None
    assert stored.facts["ContentType"] == "text/csv"


@pytest.mark.parametrize("scheme", ["file", "s3"])
async def test_the_input_may_lie_elsewhere(world: World, scheme: str) -> None:
    if scheme == "file":
        (world.folder / "input").write_bytes(b"from a file")
        address = f"file://{world.folder}/input"
    else:
        address = "s3://inputs/a/b"
        world.buckets.write(address, b"from a file", "text/plain")
    await world.outcome(world.hand_in(None, InputLocation=address))
    assert world.container.requests[0].body == b"from a file"


async def test_an_input_that_is_not_there_is_a_failure(world: World) -> None:
    ticket = world.hand_in(None, InputLocation="s3://inputs/absent")
    assert await world.failure(ticket) == (
        "There is no s3://inputs/absent: the local region has no bucket inputs."
    )
    assert world.container.requests == []


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({}, "Exactly one of Body and InputLocation must be given."),
        ({"Body": b"1", "InputLocation": "s3://a/b"}, "Exactly one of Body and InputLocation must be given."),
        ({"InputLocation": "https://a/b"}, "InputLocation is https://a/b: the local region reads s3://"),
    ],
)
async def test_a_request_without_one_input_is_refused(
    world: World, params: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        world.hand_in(None, **params)
    assert caught.value.message.startswith(said)
    assert world.queue.endpoints() == []


async def test_places_are_named_as_the_request_wants(world: World) -> None:
    ticket = world.hand_in(S3OutputPathExtension="/x/y/", Filename="z.json", InferenceId="mine")
    assert ticket.output == f"file://{world.folder}/out/x/y/z.json"
    assert ticket.failure == f"file://{world.folder}/failed/z-error.out"
    assert ticket.params["InferenceId"] == "mine"
    await world.outcome(ticket)


async def test_requests_of_one_inference_id_have_places_of_their_own(world: World) -> None:
    tickets = [world.hand_in(InferenceId="same") for _ in range(2)]
    assert tickets[0].output != tickets[1].output
    for ticket in tickets:
        await world.outcome(ticket)


async def test_an_error_of_the_container_is_a_failure(world: World) -> None:
    world.container.answer = Answer(500, {}, b"no such word\nTraceback")
    message = await world.failure(world.hand_in())
    assert message.startswith(
        'Received server error (500) from primary with message "no such word\nTraceback". See '
    )


async def test_a_container_that_takes_too_long_is_a_failure(world: World) -> None:
    world.container.answer = DeadlineExceeded("no answer within 3 s")
    ticket = world.hand_in(InvocationTimeoutSeconds=3)
    assert "Your invocation timed out" in await world.failure(ticket)
    assert world.container.requests[0].limit == 3


async def test_where_no_place_is_for_failures_the_log_alone_has_them(world: World) -> None:
    outputs = {"S3OutputPath": f"file://{world.folder}/out"}
    world.container.plan = replace(PLAN, asynchronous={"OutputConfig": outputs})
    world.container.answer = Answer(500, {}, b"no")
    ticket = world.hand_in()
    assert ticket.failure == ""
    await until(lambda: not world.queue.endpoints())
    assert world.said[0].startswith(f"request {ticket.params['InferenceId']} failed: Received server error")


async def test_an_output_that_cannot_be_written_is_a_failure(world: World) -> None:
    (world.folder / "out").write_text("a file where the folder should be")
    ticket = world.hand_in()
    path = world.buckets.path(ticket.failure)
    await until(lambda: path.exists() and not world.queue.endpoints())
    assert str(world.folder / "out") in path.read_text()


async def test_a_fault_of_ours_is_a_failure_and_does_not_come_again(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.container.answer = KeyError("bug")
    assert await world.failure(world.hand_in()) == "A fault of the local region; its log says more."
    assert "KeyError" in caplog.text


async def test_no_more_are_in_hand_than_the_config_lets(world: World) -> None:
    world.container.gate.clear()
    tickets = [world.hand_in() for _ in range(5)]
    await until(lambda: world.container.in_hand == 2)
    world.container.gate.set()
    for ticket in tickets:
        await world.outcome(ticket)
    assert world.container.most == 2


async def test_each_instance_may_have_as_many(world: World) -> None:
    world.container.plan = replace(world.container.plan, count=2)
    world.container.gate.clear()
    tickets = [world.hand_in() for _ in range(6)]
    await until(lambda: world.container.in_hand == 4)
    world.container.gate.set()
    for ticket in tickets:
        await world.outcome(ticket)
    assert world.container.most == 4


async def test_a_request_that_waited_too_long_is_a_failure(world: World) -> None:
    world.container.gate.clear()
    first = [world.hand_in() for _ in range(2)]
    await until(lambda: world.container.in_hand == 2)
    late = world.hand_in(RequestTTLSeconds=60)
    world.clock.now += 61
    world.container.gate.set()
    message = await world.failure(late)
    assert message == "The request expired: it waited longer than its RequestTTLSeconds."
    for ticket in first:
        await world.outcome(ticket)


async def test_a_request_expires_though_nothing_else_happens(world: World) -> None:
    world.container.serves = False
    late = world.hand_in(RequestTTLSeconds=0)  # less than SageMaker takes, to be over at once
    assert "expired" in await world.failure(late)


async def test_what_waits_for_an_endpoint_that_is_deleted_fails(world: World) -> None:
    world.container.gate.clear()
    in_hand = [world.hand_in() for _ in range(2)]
    await until(lambda: world.container.in_hand == 2)
    waiting = world.hand_in()
    world.dispatcher.abandon("e")
    assert world.buckets.path(waiting.failure).read_text() == (
        "Endpoint e was deleted before the request's turn came."
    )
    world.container.gate.set()
    for ticket in in_hand:
        await world.outcome(ticket)


async def test_an_endpoint_of_the_same_name_begins_anew(world: World) -> None:
    world.container.gate.clear()
    old = world.hand_in(b"old")
    await until(lambda: world.container.in_hand == 1)
    world.dispatcher.abandon("e")
    new = world.hand_in(b"new")
    await until(lambda: world.container.in_hand == 2)
    world.container.gate.set()
    for ticket in (old, new):
        await world.outcome(ticket)
    assert [request.body for request in world.container.requests] == [b"old", b"new"]


async def test_an_endpoint_that_is_deleted_while_it_comes_up_gets_none(world: World) -> None:
    world.container.comes_up.clear()
    ticket = world.hand_in()
    await asyncio.sleep(0)
    world.dispatcher.abandon("e")
    world.container.comes_up.set()
    assert "was deleted" in await world.failure(ticket)
    new = world.hand_in(b"new")
    await world.outcome(new)
    assert [request.body for request in world.container.requests] == [b"new"]


async def test_what_waited_for_an_endpoint_that_is_gone_when_the_region_is_back_fails(world: World) -> None:
    world.container.serves = False
    ticket = world.hand_in()
    world.dispatcher = world.region()
    world.dispatcher.resume([])
    assert "was deleted" in await world.failure(ticket)


async def test_what_is_not_answered_when_the_region_ends_the_next_one_answers(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hotfire.region.dispatcher._SECONDS_TO_END", 0.01)
    world.container.gate.clear()
    tickets = [world.hand_in() for _ in range(3)]
    await until(lambda: world.container.in_hand == 2)
    await world.dispatcher.close()
    assert world.container.in_hand == 0
    assert len(world.queue.all_after("e", 0)) == 3
    world.container.gate.set()
    world.dispatcher = world.region()
    world.dispatcher.resume(["e"])
    for ticket in tickets:
        await world.outcome(ticket)
    assert len(world.container.requests) == 5  # those that were in hand a second time


async def test_a_region_that_ends_answers_what_is_soon_answered(world: World) -> None:
    world.container.gate.clear()
    ticket = world.hand_in()
    await until(lambda: world.container.in_hand == 1)
    closing = asyncio.ensure_future(world.dispatcher.close())
    await asyncio.sleep(0)
    world.container.gate.set()
    await closing
    assert world.buckets.path(ticket.output).exists()


async def test_the_log_says_what_became_of_each_request(world: World) -> None:
    ticket = world.hand_in(InferenceId="i-7")
    await world.outcome(ticket)
    assert world.said == [f"request i-7 answered: {ticket.output}"]


async def test_what_is_answered_is_recorded(world: World) -> None:
    await world.outcome(world.hand_in(b"[7]"))
    (record,) = world.records
    assert (record.via, record.endpoint, record.variant, record.status) == ("async", "e", "AllTraffic", 200)
    assert (record.sent, record.answer, record.error) == (b"[7]", b"1,2", "")


async def test_a_failure_is_recorded(world: World) -> None:
    world.container.answer = Answer(500, {}, b"no")
    await world.failure(world.hand_in())
    assert [(record.status, record.error, record.answer) for record in world.records] == [
        (500, "ModelError", b"no")
    ]


async def test_what_no_model_had_is_recorded_too(world: World) -> None:
    world.container.serves = False
    expired = world.hand_in(b"12", RequestTTLSeconds=60)
    world.clock.now += 61
    world.dispatcher.resume(["e"])
    await world.failure(expired)
    abandoned = world.hand_in(b"123")
    world.dispatcher.abandon("e")
    await world.failure(abandoned)
    assert [(one.error, one.sent_size, one.sent) for one in world.records] == [
        ("Expired", 2, None),
        ("Deleted", 3, None),
    ]
    assert "RequestTTLSeconds" in world.records[0].message


async def test_an_input_that_is_not_there_is_recorded(world: World) -> None:
    await world.failure(world.hand_in(None, InputLocation=f"file://{world.folder}/absent"))
    assert [(record.status, bool(record.error)) for record in world.records] == [(0, True)]
