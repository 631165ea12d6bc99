"""Recorded requests that are sent once more."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hotfire.console.recorded import compared
from hotfire.errors import DeadlineExceeded, UsageError, ValidationError
from hotfire.instances.base import Answer, Request
from hotfire.region.caller import Caller
from hotfire.region.records import Invocation, Message
from hotfire.region.replays import Replay, Replays, Target
from hotfire.region.runtime import Outcome
from hotfire.region.store import Store
from hotfire.resources import DEV_TAG, Endpoint, EndpointConfig

pytestmark = pytest.mark.anyio

JSON = {"Content-Type": "application/json"}
SENT = {**JSON, "Accept": "text/plain", "X-Amzn-SageMaker-Target-Variant": "b", "Content-Length": "3"}
HERE, ELSEWHERE, VERSION = Target("endpoint", "news"), Target("endpoint", "other"), Target("version", "c1")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Runtime:
    """Answers as the test says."""

    def __init__(self) -> None:
        self.asked: list[Mapping[str, Any]] = []
        self.outcome = Outcome(7, "b", 0.5, Answer(200, JSON, b"[2]", {"predict_fn": 0.1}), None)

    async def ask(self, caller: Caller, params: Mapping[str, Any]) -> Outcome:
        assert caller.via == "page"
        self.asked.append(params)
        return self.outcome


class Fleet:
    """One instance, which answers `[3]` until it is stopped."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.requests: list[Request] = []
        self.failure, self.stopped = failure, False

    def variant(self, name: str | None) -> "Fleet":
        return self

    def instance(self) -> "Fleet":
        return self

    async def invoke(self, request: Request) -> Answer:
        assert not self.stopped
        self.requests.append(request)
        if self.failure is not None:
            raise self.failure
        return Answer(200, JSON, b"[3]")

    async def stop(self) -> None:
        self.stopped = True


class Endpoints:
    def __init__(self) -> None:
        self.fleet = Fleet()

    async def prepare(self, name: str, plan: str) -> Fleet:
        assert (name, plan) == ("news", "the plan of c1")
        return self.fleet


class Blueprints:
    def draw(self, config: str) -> str:
        return f"the plan of {config}"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "region.sqlite") as store:
        store.put_endpoint(Endpoint("news", "arn", "c2", "InService", 0.0, 0.0))
        for number, name in enumerate(("c1", "c2")):
            store.put_config(EndpointConfig(name, f"arn:{name}", float(number), {"ProductionVariants": []}))
        tags = {DEV_TAG: "1"}
        store.put_config(EndpointConfig("news-dev", "arn:d", 5.0, {"ProductionVariants": []}), tags)
        yield store


@pytest.fixture
def runtime() -> Runtime:
    return Runtime()


@pytest.fixture
def endpoints() -> Endpoints:
    return Endpoints()


@pytest.fixture
def replays(store: Store, endpoints: Endpoints, runtime: Runtime) -> Replays:
    return Replays(store, endpoints, Blueprints(), runtime)  # type: ignore[arg-type]


INVOCATION = Invocation(
    id=1,
    request="r",
    time=0,
    endpoint="news",
    variant="b",
    version="c1",
    via="invoke",
    status=200,
    error="",
    message="",
    seconds=0.1,
    first=None,
    has_bodies=True,
    times={},
    findings=None,
    sent=Message(SENT, b"[1]", 3),
    answer=Message(JSON, b"[2]", 3),
)


def test_it_can_go_to_endpoints_and_to_versions_the_latest_first(replays: Replays) -> None:
    assert list(map(str, replays.targets())) == ["endpoint:news", "version:c2", "version:c1"]


@pytest.mark.parametrize("target", [HERE, VERSION])
def test_a_target_is_read_as_it_is_written(target: Target) -> None:
    assert Target.read(str(target)) == target


@pytest.mark.parametrize("text", ["", "news", "endpoint:", "model:m"])
def test_what_is_no_target_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="neither an endpoint nor a version"):
        Target.read(text)


async def test_the_same_is_sent_to_the_endpoint(replays: Replays, runtime: Runtime) -> None:
    replay = await replays.send(INVOCATION, HERE)
    assert runtime.asked == [
        {
            "EndpointName": "news",
            "Body": b"[1]",
            "ContentType": "application/json",
            "Accept": "text/plain",
            "TargetVariant": "b",
        }
    ]
    assert (replay.status, replay.body, replay.record, replay.times) == (200, b"[2]", 7, {"predict_fn": 0.1})


async def test_elsewhere_there_is_no_such_variant(replays: Replays, runtime: Runtime) -> None:
    await replays.send(INVOCATION, ELSEWHERE)
    assert "TargetVariant" not in runtime.asked[0]


async def test_what_is_not_answered_says_why(replays: Replays, runtime: Runtime) -> None:
    runtime.outcome = Outcome(8, "", 0.1, None, ValidationError("It is not in service."))
    replay = await replays.send(INVOCATION, HERE)
    assert (replay.status, replay.message) == (0, "It is not in service.")


async def test_a_version_is_started_for_it_and_ended(replays: Replays, endpoints: Endpoints) -> None:
    replay = await replays.send(INVOCATION, VERSION)
    assert (replay.body, replay.record, endpoints.fleet.stopped) == (b"[3]", 0, True)
    assert endpoints.fleet.requests[0].body == b"[1]"


async def test_a_version_that_takes_too_long_is_ended_too(replays: Replays, endpoints: Endpoints) -> None:
    endpoints.fleet = Fleet(DeadlineExceeded("no answer within 60 s"))
    replay = await replays.send(INVOCATION, VERSION)
    assert (replay.status, replay.message, endpoints.fleet.stopped) == (0, "no answer within 60 s", True)


async def test_a_version_that_is_gone_is_refused(replays: Replays) -> None:
    with pytest.raises(UsageError, match="no endpoint config gone"):
        await replays.send(INVOCATION, Target("version", "gone"))


@pytest.mark.parametrize(
    "sent",
    [Message(SENT, b"[1]", 100_000), Message(SENT, None, 3), Message({**SENT, "X": "***"}, b"[1]", 3)],
)
async def test_what_is_not_known_whole_is_not_sent(replays: Replays, runtime: Runtime, sent: Message) -> None:
    with pytest.raises(UsageError, match="not recorded as it was sent"):
        await replays.send(replace(INVOCATION, sent=sent), HERE)
    assert runtime.asked == []


def test_answers_are_compared_field_by_field() -> None:
    before = Message(JSON, b'{"a": [1, 2], "b": "x"}', 23)
    now = Replay(HERE, 200, "application/json", b'{"a": [1, 2.5], "c": 1}')
    found = compared(before, 200, now).differences
    assert [(one.place, one.was, one.now, one.change) for one in found] == [
        ("a[1]", "2", "2.5", "+0.5"),
        ("b", '"x"', "(not there)", ""),
        ("c", "(not there)", "1", ""),
    ]


def test_a_status_and_a_content_type_differ_too() -> None:
    found = compared(Message(JSON, b"[2]", 3), 200, Replay(HERE, 500, "text/plain", b"[2]"))
    assert [one.place for one in found.differences][:2] == ["status", "content type"]


def test_an_answer_that_was_cut_is_not_compared() -> None:
    found = compared(Message(JSON, b"[2", 3_000_000), 200, Replay(HERE, 200, "application/json", b"[2]"))
    assert (found.comparable, list(found.differences)) == (False, [])


def test_of_many_differences_some_are_shown_and_all_are_counted() -> None:
    body = ("[" + ",".join("1" * 5_000) + "]").encode()
    now = Replay(HERE, 200, "application/json", body.replace(b"1", b"2"))
    found = compared(Message(JSON, body, len(body)), 200, now)
    assert (len(found.differences), found.count) == (200, 5_000)
