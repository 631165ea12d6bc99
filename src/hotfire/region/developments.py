"""What `hotfire dev` did to each endpoint that it has, for the pages that show it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hotfire.region.feed import Feed

_MOST_RELOADS = 50


@dataclass(frozen=True, slots=True)
class Reload:
    """A reload of the handler. `time` in seconds since the epoch, `seconds` until it could answer.

    `kept` is whether the loaded model was spared; `failure` why it could not be loaded, empty if it could.
    """

    time: float
    kept: bool
    seconds: float
    failure: str = ""


@dataclass(slots=True)
class Development:
    """What became of an endpoint since `hotfire dev`, the process `pid`, has it.

    `report` is what that process itself told last, as `hotfire dev --json` prints it: its examples with
    their differences, and profiles where it makes them.
    """

    pid: int
    since: float
    reloads: deque[Reload] = field(default_factory=lambda: deque(maxlen=_MOST_RELOADS))
    failed: int = 0
    """Requests of clients on which the handler failed."""
    report: Mapping[str, Any] | None = None


class Developments:
    """By endpoint, for as long as each is held. What is new goes to the feed, as `dev`."""

    def __init__(self, feed: Feed, clock: Callable[[], float] = time.time) -> None:
        self._feed, self._clock = feed, clock
        self._current: dict[str, Development] = {}

    def of(self, endpoint: str) -> Development | None:
        """What goes on there; None if nobody has it."""
        return self._current.get(endpoint)

    def began(self, endpoint: str, pid: int) -> None:
        """`hotfire dev` has the endpoint."""
        self._current[endpoint] = Development(pid, self._clock())
        self._tell(endpoint, "began")

    def ended(self, endpoint: str) -> None:
        """It has given it back."""
        if self._current.pop(endpoint, None) is not None:
            self._tell(endpoint, "ended")

    def reloaded(self, endpoint: str, seconds: float, *, kept: bool = False, failure: str = "") -> None:
        """It has loaded a newer handler, or failed to."""
        current = self._current.get(endpoint)
        if current is not None:
            current.reloads.append(Reload(self._clock(), kept, seconds, failure))
            self._tell(endpoint, "reloaded", kept=kept, seconds=seconds, failure=failure)

    def refused(self, endpoint: str, status: int) -> None:
        """The handler failed on a client's request."""
        current = self._current.get(endpoint)
        if current is not None:
            current.failed += 1
            self._tell(endpoint, "failed", status=status)

    def reported(self, endpoint: str, report: Mapping[str, Any]) -> None:
        """It has told what a save came to."""
        current = self._current.get(endpoint)
        if current is not None:
            current.report = report
            self._tell(endpoint, "report")

    def _tell(self, endpoint: str, event: str, **more: Any) -> None:
        self._feed.publish("dev", endpoint, {"event": event, **more})
