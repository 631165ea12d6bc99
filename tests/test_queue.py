"""The queue, which outlives whoever fills it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hotfire.region.queue import Queue, Ticket
from hotfire.region.store import Store


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "region.sqlite"


@pytest.fixture
def queue(file: Path) -> Iterator[Queue]:
    with Store(file) as store:
        yield Queue(store)


def ticket(endpoint: str = "e", **given: Any) -> Ticket:
    values = {
        "number": 0,
        "aws_region": "eu-west-1",
        "received": 1000.0,
        "expires": 2000.0,
        "seconds": 900.0,
        "params": {"InferenceId": "i-1"},
        "output": "s3://b/o.out",
        "failure": "",
    }
    return Ticket(endpoint=endpoint, **{**values, **given})


def test_a_ticket_is_kept_as_it_was_given(queue: Queue) -> None:
    given = ticket(params={"InferenceId": "i-ü", "ContentType": "a/b"}, failure="file:///f")
    queue.add(given, None)
    found = queue.after("e", 0)
    assert found is not None
    assert (found.number, found.params, found.failure) == (1, given.params, "file:///f")
    assert (found.received, found.expires) == (1000.0, 2000.0)


def test_tickets_are_in_the_order_in_which_they_were_given(queue: Queue) -> None:
    for name in "abc":
        queue.add(ticket(output=name), None)
    assert [one.output for one in queue.all_after("e", 1)] == ["b", "c"]


def test_each_endpoint_has_its_own(queue: Queue) -> None:
    queue.add(ticket("e"), None)
    queue.add(ticket("f"), None)
    assert queue.endpoints() == ["e", "f"]
    assert [one.number for one in queue.all_after("f", 0)] == [2]


def test_a_number_is_never_given_again(queue: Queue) -> None:
    queue.add(ticket(), None)
    queue.remove(1)
    queue.add(ticket(), None)
    assert [one.number for one in queue.all_after("e", 0)] == [2]


def test_a_body_that_came_along_is_kept(queue: Queue) -> None:
    queue.add(ticket(), bytes(range(256)))
    queue.add(ticket(), None)
    assert queue.body(1) == bytes(range(256))
    assert queue.body(2) is None


def test_what_waits_too_long_is_found(queue: Queue) -> None:
    for moment in (30.0, 10.0, 20.0):
        queue.add(ticket(expires=moment), None)
    assert [one.number for one in queue.expired("e", 0, 20.0)] == [2, 3]
    assert (queue.next_expiry("e", 0), queue.next_expiry("e", 2), queue.next_expiry("e", 3)) == (
        10.0,
        20.0,
        None,
    )


def test_what_was_removed_is_gone(queue: Queue) -> None:
    queue.add(ticket(), b"")
    queue.remove(1)
    assert (queue.after("e", 0), queue.endpoints()) == (None, [])


def test_another_region_finds_what_waited(file: Path) -> None:
    with Store(file) as store:
        Queue(store).add(ticket(), b"body")
    with Store(file) as store:
        queue = Queue(store)
        assert [one.output for one in queue.all_after("e", 0)] == ["s3://b/o.out"]
        assert queue.body(1) == b"body"
