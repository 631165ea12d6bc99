"""Jobs whose answers come in parts, in the hands of a worker that only notes what it is told."""

import asyncio
from typing import Any

import pytest

from hotfire.errors import DeadlineExceeded, InstanceError, StreamBroken
from hotfire.instances.base import Answer, Parts, Request
from hotfire.instances.jobs import Job, StreamJob
from hotfire_worker.wire import CHUNK

pytestmark = pytest.mark.anyio

START = {"status": 200, "headers": {"content-type": "text/plain"}, "times": {}, "more": True}
MORE: dict[str, Any] = {"more": True}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Hand:
    """A worker that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def kill(self) -> None:
        self.told.append("kill")

    def hold(self) -> None:
        self.told.append("hold")

    def release(self) -> None:
        self.told.append("release")

    def cancel(self, job: Job) -> None:
        self.told.append(f"cancel {job.request.id}")


@pytest.fixture
def hand() -> Hand:
    return Hand()


def begun(hand: Hand, seconds: float = 60.0) -> StreamJob:
    job = StreamJob(Request("r", {}, b"", 60.0), lambda job: None)
    job.begin(seconds, hand)
    return job


def given(job: StreamJob, *parts: bytes) -> Parts:
    """What follows the first part, of which these came."""
    job.add(START, bytearray(b"first"))
    rest = job.future.result().rest
    assert rest is not None
    for part in parts:
        job.add(MORE, bytearray(part))
    return rest


async def collected(rest: Parts) -> list[bytes]:
    return [part async for part in rest]


async def test_an_answer_begins_with_its_first_part(hand: Hand) -> None:
    job = begun(hand)
    given(job)
    answer = job.future.result()
    assert (answer.status, answer.headers, answer.body) == (200, {"content-type": "text/plain"}, b"first")
    assert not job.over.done()


async def test_parts_come_in_their_order_until_the_end(hand: Hand) -> None:
    job = begun(hand)
    rest = given(job, b"a", b"b")
    job.finish({}, bytearray())
    assert await collected(rest) == [b"a", b"b"]
    assert job.over.done()


async def test_whoever_is_ahead_of_the_parts_waits_for_them(hand: Hand) -> None:
    job = begun(hand)
    rest = given(job)
    waiting = asyncio.ensure_future(anext(aiter(rest)))
    await asyncio.sleep(0)
    job.add(MORE, bytearray(b"late"))
    assert await waiting == b"late"


async def test_an_answer_in_one_part_is_whole(hand: Hand) -> None:
    job = begun(hand)
    job.finish({"status": 201, "headers": {}, "times": {}}, bytearray(b"all"))
    assert job.future.result() == Answer(201, {}, b"all")
    await asyncio.wait_for(job.over, 5)


@pytest.mark.parametrize(
    "break_off",
    [
        lambda job: job.finish({"failed": True}, bytearray()),
        lambda job: job.settle(Answer(500, {}, b"Worker died.")),
    ],
    ids=["the handler fails", "the worker ends"],
)
async def test_what_came_before_an_answer_broke_off_is_given(hand: Hand, break_off: Any) -> None:
    job = begun(hand)
    rest = given(job, b"a")
    break_off(job)
    assert await anext(aiter(rest)) == b"a"
    with pytest.raises(StreamBroken):
        await anext(aiter(rest))


async def test_an_answer_that_takes_too_long_says_so(hand: Hand) -> None:
    job = begun(hand)
    rest = given(job)
    job.fail(DeadlineExceeded("too long"))
    with pytest.raises(DeadlineExceeded):
        await anext(aiter(rest))


async def test_the_worker_waits_while_more_lies_here_than_is_taken(hand: Hand) -> None:
    job = begun(hand)
    rest = given(job, b"x" * CHUNK, b"y", b"z")
    assert hand.told == ["hold"]
    parts = aiter(rest)
    await anext(parts)
    assert hand.told == ["hold", "release"]


async def test_a_worker_that_waits_for_a_slow_client_is_not_overdue(hand: Hand) -> None:
    job = begun(hand, seconds=0.02)
    rest = given(job, b"x" * CHUNK, b"y")
    await asyncio.sleep(0.06)
    assert hand.told == ["hold"]
    await anext(aiter(rest))
    await asyncio.sleep(0.06)
    assert hand.told == ["hold", "release", "kill"]
    job.end()


async def test_a_worker_that_is_done_is_not_overdue_though_its_parts_are_not_taken(hand: Hand) -> None:
    job = begun(hand, seconds=0.02)
    rest = given(job, b"x" * CHUNK, b"y")
    job.end()
    job.finish({}, bytearray())
    await asyncio.sleep(0.06)
    assert hand.told == ["hold", "release"]
    assert len(await collected(rest)) == 2


async def test_each_part_gives_the_worker_its_time_anew(hand: Hand) -> None:
    job = begun(hand, seconds=1.0)
    given(job)
    for _ in range(3):
        await asyncio.sleep(0.4)
        job.add(MORE, bytearray(b"a"))
    assert hand.told == []
    job.end()


async def test_closing_stops_the_worker_and_drops_what_it_still_sends(hand: Hand) -> None:
    job = begun(hand)
    rest = given(job, b"a")
    await rest.aclose()
    job.add(MORE, bytearray(b"b"))
    job.finish({}, bytearray())
    assert await collected(rest) == []
    assert hand.told == ["cancel r"]
    assert job.over.done()


async def test_closing_after_the_end_tells_nobody(hand: Hand) -> None:
    job = begun(hand)
    rest = given(job)
    job.finish({}, bytearray())
    await rest.aclose()
    assert hand.told == []


async def test_closing_lets_a_worker_go_on_that_was_held(hand: Hand) -> None:
    rest = given(begun(hand), b"x" * CHUNK, b"y")
    await rest.aclose()
    assert hand.told == ["hold", "cancel r", "release"]


async def test_giving_up_before_the_first_part_stops_the_worker(hand: Hand) -> None:
    job = begun(hand)
    job.future.cancel()
    await asyncio.sleep(0)
    job.add(START, bytearray(b"first"))
    assert hand.told == ["cancel r"]
    assert job.over.done()


async def test_giving_up_before_its_turn_stops_it_when_that_comes(hand: Hand) -> None:
    job = StreamJob(Request("r", {}, b"", 60.0), lambda job: None)
    job.future.cancel()
    await asyncio.sleep(0)
    job.begin(60.0, hand)
    assert hand.told == ["cancel r"]


async def test_an_error_before_the_first_part_is_raised(hand: Hand) -> None:
    job = begun(hand)
    job.fail(InstanceError("no"))
    with pytest.raises(InstanceError):
        await job.future
    await asyncio.wait_for(job.over, 5)
