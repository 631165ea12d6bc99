"""What is taken down of requests, whichever way they came and however they ended."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from hotfire.errors import DeadlineExceeded, QueueFull, ServiceError, StreamBroken, ValidationError
from hotfire.instances.base import Answer, Request
from hotfire.region.caller import Caller
from hotfire.region.feed import Feed
from hotfire.region.fleet import Variant, VariantPlan
from hotfire.region.queue import Ticket
from hotfire.region.records import MOST_OF_BODY, Record
from hotfire.region.runtime import Runtime
from hotfire.region.scribe import Scribe
from hotfire.region.traffic import Figures, Traffic

pytestmark = pytest.mark.anyio

CALLER = Caller("us-east-1")
PLAN = VariantPlan("blue", 1.0, 1, "local", "0" * 64, {}, "python", 60.0, version="e-2")
GOOD = Answer(200, {"content-type": "text/csv"}, b"1,2", {"predict_fn": 0.5})


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Parts:
    """What follows the first part of an answer; an exception is where it breaks off."""

    def __init__(self, *parts: bytes | Exception) -> None:
        self._parts = list(parts)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._parts:
            raise StopAsyncIteration
        part = self._parts.pop(0)
        if isinstance(part, Exception):
            raise part
        return part

    async def aclose(self) -> None: ...


class World:
    """An endpoint `e` whose container answers as the test says, and all that is seen of it."""

    def __init__(self) -> None:
        self.answer: Answer | Exception = GOOD
        self.plan = PLAN
        self.load = 0
        self.is_cancelled = False
        self.records: list[Record] = []
        self.examined: list[bool] = []
        self.traffic, self.feed = Traffic(), Feed()
        scribe = Scribe(self, self.traffic, self.feed, lambda name: name == "e", lambda: 5.0)
        self.runtime = Runtime(self, self, scribe)  # type: ignore[arg-type]  # what it uses of Endpoints

    def next_id(self) -> int:
        return len(self.records) + 1

    def record(self, record: Record) -> None:
        self.records.append(record)

    async def variant(self, name: str, target: str | None) -> Variant:
        if name != "e":
            raise ValidationError(f"Endpoint {name} not found.")
        return Variant(self.plan, [self])  # type: ignore[list-item]  # what is used of an instance

    def accept(self, caller: Caller, variant: Variant, params: Mapping[str, Any]) -> Ticket:
        return Ticket(1, "e", "us-east-1", 0.0, 1.0, 1.0, {"InferenceId": "i"}, "s3://b/o", "")

    async def invoke(self, request: Request) -> Answer:
        self.examined.append(request.examined)
        if self.is_cancelled:
            raise asyncio.CancelledError
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    stream = invoke

    async def send(self, operation: str = "InvokeEndpoint", caller: Caller = CALLER, **params: Any) -> Any:
        """Send a request; what is answered, or the error."""
        given = {"EndpointName": "e", "Body": b"[1]", "ContentType": "application/json", **params}
        try:
            answer = self.runtime.operations[operation](caller, given)
            return await answer  # type: ignore[misc]  # all of the runtime's are coroutines
        except ServiceError as error:
            return error


@pytest.fixture
def world() -> World:
    return World()


async def test_an_answered_request(world: World) -> None:
    await world.send(CustomAttributes="a=1")
    (record,) = world.records
    assert record.seconds >= 0
    assert record._replace(seconds=0.0, request="") == Record(
        id=1,
        request="",
        time=5_000,
        endpoint="e",
        variant="blue",
        version="e-2",
        via="invoke",
        status=200,
        error="",
        message="",
        seconds=0.0,
        first=None,
        times={"predict_fn": 0.5},
        findings=None,
        sent_headers={
            "Content-Type": "application/json",
            "X-Amzn-SageMaker-Custom-Attributes": "a=1",
            "Content-Length": "3",
        },
        sent=b"[1]",
        sent_size=3,
        answer_headers={"content-type": "text/csv"},
        answer=b"1,2",
        answer_size=3,
    )
    assert (world.traffic.figures("e").requests, world.traffic.totals()[0].in_flight) == (1, 0)


async def test_long_bodies_are_cut_at_once(world: World) -> None:
    world.answer = replace(GOOD, body=bytes(MOST_OF_BODY + 5))
    await world.send(Body=bytes(MOST_OF_BODY + 7))
    (record,) = world.records
    assert (len(record.sent or b""), record.sent_size) == (65_536, 65_543)
    assert (len(record.answer or b""), record.answer_size) == (65_536, 65_541)


async def test_a_failure_of_the_model(world: World) -> None:
    world.answer = Answer(500, {}, b"no", findings={"failure": {"message": "no"}})
    await world.send()
    (record,) = world.records
    assert (record.status, record.error, record.answer) == (500, "ModelError", b"no")
    assert record.findings == {"failure": {"message": "no"}}
    assert 'with message "no"' in record.message
    assert world.traffic.totals()[0].errors == {"ModelError": 1}


@pytest.mark.parametrize(
    ("error", "code", "has_time"),
    [(DeadlineExceeded("late"), "ModelError", True), (QueueFull("too many"), "ThrottlingException", False)],
)
async def test_a_request_without_an_answer(world: World, error: Exception, code: str, has_time: bool) -> None:
    world.answer = error
    await world.send()
    (record,) = world.records
    assert (record.status, record.error, record.sent, record.answer) == (0, code, b"[1]", b"")
    assert record.message
    assert (world.traffic.figures("e").p50 is not None) == has_time


async def test_a_request_that_no_variant_can_take(world: World) -> None:
    world.plan = replace(PLAN, asynchronous={})
    await world.send()
    (record,) = world.records
    assert (record.variant, record.status, record.error) == ("", 0, "ValidationError")
    # Whether its body may be kept is not known.
    assert (record.sent, record.sent_size) == (None, 3)
    assert world.traffic.figures("e") == Figures(1, 1)


async def test_names_that_nobody_knows_are_not_counted(world: World) -> None:
    await world.send(EndpointName="made-up")
    assert [record.endpoint for record in world.records] == ["made-up"]
    assert world.traffic.totals() == []


async def test_a_bug_of_ours_is_recorded_as_what_the_client_is_told(world: World) -> None:
    world.answer = ZeroDivisionError("oops")
    with pytest.raises(ZeroDivisionError):
        await world.send()
    assert [record.error for record in world.records] == ["InternalFailure"]


async def test_a_request_that_is_given_up(world: World) -> None:
    world.is_cancelled = True
    with pytest.raises(asyncio.CancelledError):
        await world.send()
    assert [record.error for record in world.records] == ["CancelledError"]
    assert world.traffic.totals()[0].in_flight == 0


@pytest.mark.parametrize("via", ["page", "api"])
async def test_what_comes_by_our_own_pages(world: World, via: Any) -> None:
    await world.send(caller=Caller("us-east-1", via=via))
    assert [record.via for record in world.records] == [via]


@pytest.mark.parametrize(
    "answer", [GOOD, Answer(500, {"x-secret": "s"}, b"secret", findings={"failure": {}})]
)
async def test_nothing_of_what_is_said_is_kept_where_that_is_the_wish(world: World, answer: Answer) -> None:
    world.plan = replace(PLAN, journal=False)
    world.answer = answer
    await world.send(Body=b"secret", CustomAttributes="secret")
    (record,) = world.records
    assert (record.sent, record.answer, record.message, record.findings) == (None, None, "", None)
    assert (record.sent_size, record.answer_size) == (6, len(answer.body))
    assert "secret" not in repr(record)


async def test_a_stream(world: World) -> None:
    world.answer = replace(GOOD, body=b"first", rest=Parts(b"second", b"third"))
    answer = await world.send("InvokeEndpointWithResponseStream")
    assert world.records == []
    assert world.traffic.totals()[0].in_flight == 1
    parts = [part["PayloadPart"]["Bytes"] async for part in answer["Body"]]
    await answer["Body"].aclose()
    assert parts == [b"first", b"second", b"third"]
    (record,) = world.records
    assert (record.via, record.error, record.answer, record.answer_size) == ("stream", "", b"first", 16)
    assert record.first is not None
    assert record.first <= record.seconds
    assert world.traffic.totals()[0].in_flight == 0


async def test_a_stream_that_breaks_off(world: World) -> None:
    world.answer = replace(GOOD, body=b"first", rest=Parts(b"second", StreamBroken("gone")))
    answer = await world.send("InvokeEndpointWithResponseStream")
    with pytest.raises(ServiceError):
        [part async for part in answer["Body"]]
    await answer["Body"].aclose()
    (record,) = world.records
    assert (record.status, record.error, record.answer_size) == (200, "ModelStreamError", 11)
    assert world.traffic.figures("e").errors == 1


async def test_a_stream_that_nobody_waits_for(world: World) -> None:
    world.answer = replace(GOOD, body=b"first", rest=Parts(b"second"))
    answer = await world.send("InvokeEndpointWithResponseStream")
    await anext(answer["Body"])
    await answer["Body"].aclose()
    (record,) = world.records
    assert (record.error, record.answer_size) == ("ClientLeft", 5)
    # That is no error of the model's.
    assert world.traffic.figures("e").errors == 0


async def test_a_queued_request_is_recorded_when_it_is_answered(world: World) -> None:
    world.plan = replace(PLAN, asynchronous={})
    await world.send("InvokeEndpointAsync", Body=b"1")
    assert world.records == []


async def test_one_that_is_not_queued_is_recorded_at_once(world: World) -> None:
    await world.send("InvokeEndpointAsync", Body=b"1")
    assert [(record.via, record.error) for record in world.records] == [("async", "ValidationError")]


async def test_a_look_at_all_that_comes_of_a_request(world: World) -> None:
    outcome = await world.runtime.ask(Caller("us-east-1", via="page"), {"EndpointName": "e", "Body": b"1"})
    assert (outcome.id, outcome.variant, outcome.answer, outcome.error) == (1, "blue", GOOD, None)
    assert world.examined == [True]
    world.answer = Answer(500, {}, b"no")
    outcome = await world.runtime.ask(CALLER, {"EndpointName": "e", "Body": b"1"})
    assert outcome.answer == world.answer
    assert outcome.error is not None
    assert outcome.error.code == "ModelError"


async def test_who_listens_is_told_a_summary(world: World) -> None:
    listener = world.feed.subscribe(("requests",))
    await world.send()
    (event,) = listener.take()
    assert event.endpoint == "e"
    assert {
        "id": 1,
        "status": 200,
        "error": "",
        "via": "invoke",
        "sent_size": 3,
    }.items() <= event.data.items()
