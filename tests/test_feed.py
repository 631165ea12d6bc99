"""What is told to those who listen, while it happens."""

import asyncio

import pytest

from hotfire.region.feed import Event, Feed

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_each_listener_is_told_what_it_listens_to() -> None:
    feed = Feed()
    everything, states = feed.subscribe(), feed.subscribe(("endpoints",), "a")
    feed.publish("endpoints", "a", {"status": "Creating"})
    feed.publish("endpoints", "b", {})
    feed.publish("lines", "a", {})
    assert [(event.topic, event.endpoint) for event in everything.take()] == [
        ("endpoints", "a"),
        ("endpoints", "b"),
        ("lines", "a"),
    ]
    assert states.take() == [Event(1, "endpoints", "a", {"status": "Creating"})]


async def test_events_come_while_one_waits() -> None:
    feed = Feed()
    listener = feed.subscribe()
    waiting = asyncio.ensure_future(anext(listener))
    await asyncio.sleep(0)
    feed.publish("dev", "a", {"event": "began"})
    assert (await asyncio.wait_for(waiting, 10)).data == {"event": "began"}


async def test_nothing_is_lost_when_one_gives_up_waiting() -> None:
    feed = Feed()
    listener = feed.subscribe()
    waiting = asyncio.ensure_future(anext(listener))
    await asyncio.sleep(0)
    feed.publish("dev", "a", {})
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert len(listener.take()) == 1


async def test_who_does_not_read_misses_the_oldest() -> None:
    feed = Feed()
    listener = feed.subscribe(most=3)
    for number in range(5):
        feed.publish("lines", "a", {"number": number})
    assert listener.missed() == 2
    assert listener.missed() == 0
    assert [event.data["number"] for event in listener.take()] == [2, 3, 4]


async def test_who_has_left_is_told_nothing() -> None:
    feed = Feed()
    listener = feed.subscribe()
    feed.publish("lines", "a", {})
    await listener.aclose()
    feed.publish("lines", "a", {})
    assert not feed.has_listeners()
    assert [event async for event in listener] == []


async def test_it_ends_with_the_region_after_what_waits() -> None:
    feed = Feed()
    listener = feed.subscribe()
    feed.publish("lines", "a", {})
    feed.close()
    feed.publish("lines", "a", {})
    assert len([event async for event in listener]) == 1
    assert [event async for event in feed.subscribe()] == []
    assert not feed.has_listeners()


async def test_whether_anybody_listens() -> None:
    feed = Feed()
    assert not feed.has_listeners()
    feed.subscribe(("lines",), "a")
    assert feed.has_listeners()
    assert feed.has_listeners("lines", "a")
    assert not feed.has_listeners("lines", "b")
    assert not feed.has_listeners("requests", "a")
