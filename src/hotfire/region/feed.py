"""What happens in the region, told while it happens to whoever listens."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

Topic = Literal["endpoints", "requests", "lines", "dev"]
"""An endpoint's state changed; a request was answered, or was not; a line was printed; `hotfire dev` did
something."""

TOPICS: tuple[Topic, ...] = get_args(Topic)
MOST_WAITING = 1_000
"""So many events wait for a listener that does not come to take them; the oldest go first."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to an endpoint; `data` is as JSON has it. The ids of a region only grow."""

    id: int
    topic: Topic
    endpoint: str
    data: Mapping[str, Any]


class Subscription:
    """The events that one listener is told, as they come, until it is closed or the region ends.

    To be iterated once, by one task. `missed` counts those that were dropped since somebody last looked.
    """

    def __init__(
        self,
        topics: Collection[Topic],
        endpoint: str | None,
        most: int,
        leave: Callable[[Subscription], None],
    ) -> None:
        self._topics, self._endpoint, self._leave = frozenset(topics), endpoint, leave
        self._events: deque[Event] = deque(maxlen=most)
        self._news = asyncio.Event()
        self._ended = False
        self._missed = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while not self._events:
            if self._ended:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        return self._events.popleft()

    def take(self) -> list[Event]:
        """All that wait now, without waiting."""
        events = list(self._events)
        self._events.clear()
        return events

    def missed(self) -> int:
        """How many were dropped since this was last asked, because nobody took them."""
        missed, self._missed = self._missed, 0
        return missed

    def wants(self, topic: Topic, endpoint: str) -> bool:
        """Whether such an event is for this listener."""
        return topic in self._topics and self._endpoint in (None, endpoint)

    def tell(self, event: Event) -> None:
        """Give it an event."""
        if len(self._events) == self._events.maxlen:
            self._missed += 1
        self._events.append(event)
        self._news.set()

    def end(self) -> None:
        """There is nothing more to come; what waits can still be taken."""
        self._ended = True
        self._news.set()

    async def aclose(self) -> None:
        """Listen no more."""
        self._leave(self)
        self._events.clear()
        self.end()


class Feed:
    """Tells events to listeners. While there is none, to publish costs a look at an empty list."""

    def __init__(self) -> None:
        self._listeners: tuple[Subscription, ...] = ()
        self._ids = 0
        self._ended = False

    def publish(self, topic: Topic, endpoint: str, data: Mapping[str, Any]) -> None:
        """Tell all who listen to it. Not to be called from another thread than the loop's."""
        if not self._listeners:
            return
        event: Event | None = None
        for listener in self._listeners:
            if listener.wants(topic, endpoint):
                if event is None:
                    self._ids += 1
                    event = Event(self._ids, topic, endpoint, data)
                listener.tell(event)

    def has_listeners(self, topic: Topic | None = None, endpoint: str = "") -> bool:
        """Whether anybody listens, or to that topic of that endpoint; what is costly to tell asks first."""
        if topic is None:
            return bool(self._listeners)
        return any(listener.wants(topic, endpoint) for listener in self._listeners)

    def subscribe(
        self, topics: Collection[Topic] = TOPICS, endpoint: str | None = None, most: int = MOST_WAITING
    ) -> Subscription:
        """Listen from now on to topics, of one endpoint or of all. Whoever listens closes it."""
        subscription = Subscription(topics, endpoint, most, self._leave)
        if self._ended:
            subscription.end()
        else:
            self._listeners = (*self._listeners, subscription)
        return subscription

    def close(self) -> None:
        """Let every listener know that the region ends; those who come later hear so at once."""
        self._ended = True
        listeners, self._listeners = self._listeners, ()
        for listener in listeners:
            listener.end()

    def _leave(self, subscription: Subscription) -> None:
        self._listeners = tuple(one for one in self._listeners if one is not subscription)
