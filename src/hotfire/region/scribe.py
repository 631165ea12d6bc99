"""Takes down what becomes of each request, while it is served: for the journal, the figures and the feed."""

from __future__ import annotations

import time
from asyncio import CancelledError
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Protocol, Self

from hotfire.errors import HotfireError, ServiceError, Throttling
from hotfire.instances.base import Answer, Request
from hotfire.region.feed import Feed
from hotfire.region.fleet import VariantPlan
from hotfire.region.records import Record, Via, cut
from hotfire.region.traffic import Counter, Traffic

CLIENT_LEFT = "ClientLeft"
"""The error of an answer whose parts the client did not wait for: none of the model's."""

_NOTHING: Mapping[str, Any] = {}


class Keeper(Protocol):
    """Keeps records."""

    def next_id(self) -> int:
        """The id of the next one."""
        ...

    def record(self, record: Record) -> None:
        """Keep one."""


class Forgetful:
    """Keeps none."""

    def next_id(self) -> int:
        """Of none."""
        return 0

    def record(self, record: Record) -> None:
        """Nothing."""


class Scribe:
    """Has an entry for each request in hand. `is_known` tells whether there is an endpoint of that name."""

    def __init__(
        self,
        keeper: Keeper | None = None,
        traffic: Traffic | None = None,
        feed: Feed | None = None,
        is_known: Callable[[str], bool] = bool,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.keeper, self.traffic, self.feed = keeper or Forgetful(), traffic or Traffic(), feed or Feed()
        self.is_known, self.clock = is_known, clock

    def entry(self, via: Via, endpoint: str, size: int = 0) -> Entry:
        """Of a request whose body has so many bytes. To be entered; it ends with the block."""
        return Entry(self, via, endpoint, size)


class Entry:
    """What is known of one request until now.

    The block that it is entered for ends it, with the error that leaves the block, unless something goes on.
    Nothing of a body is kept where the variant's plan says that none is recorded, or where there is none.
    """

    __slots__ = (
        "_begun",
        "_counter",
        "_endpoint",
        "_first",
        "_goes_on",
        "_is_over",
        "_plan",
        "_scribe",
        "_size",
        "_time",
        "_via",
        "answer",
        "id",
        "request",
        "seconds",
    )

    def __init__(self, scribe: Scribe, via: Via, endpoint: str, size: int) -> None:
        self._scribe, self._via, self._endpoint, self._size = scribe, via, endpoint, size
        self._plan: VariantPlan | None = None
        self._counter: Counter | None = None
        self._first: float | None = None
        self._goes_on = self._is_over = False
        self._time, self._begun = scribe.clock(), time.perf_counter()
        self.id = 0
        self.request: Request | None = None
        self.answer: Answer | None = None
        self.seconds = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None or not self._goes_on:
            self.end(error)

    def give(self, plan: VariantPlan, request: Request) -> None:
        """The request goes to a variant now."""
        self._plan, self.request = plan, request
        self._counter = self._scribe.traffic.enter(self._endpoint, plan.name)

    def go_on(self) -> None:
        """It does not end with the block: it has an answer, of which more comes."""
        self._first = time.perf_counter() - self._begun
        self._goes_on = True

    def leave_to_another(self) -> None:
        """It does not end with the block, nor ever: what becomes of the request is in an entry of its own."""
        self._goes_on = self._is_over = True

    def end(
        self, error: BaseException | None = None, *, size: int | None = None, code: str | None = None
    ) -> None:
        """The request is answered or has failed; only the first end counts.

        `size` is that of the whole answer, where it came in parts; `code` is the error's, if it is not one
        that a client was told.
        """
        if self._is_over:
            return
        self._is_over = True
        self.seconds = time.perf_counter() - self._begun
        if code is None:
            code = "" if error is None else _code(error)
        self._count(error, code)
        self._take_down(error, code, size)

    def _count(self, error: BaseException | None, code: str) -> None:
        traffic, failed = self._scribe.traffic, "" if code == CLIENT_LEFT else code
        if self._counter is not None:
            had_it = not isinstance(error, Throttling)
            traffic.leave(self._counter, self.seconds if had_it else None, failed)
        elif self._scribe.is_known(self._endpoint):
            traffic.refuse(self._endpoint, "", failed)

    def _take_down(self, error: BaseException | None, code: str, size: int | None) -> None:
        scribe, plan, request, answer = self._scribe, self._plan, self.request, self.answer
        keeps = plan is not None and plan.journal
        answered = answer.body if answer is not None else b""
        whole = len(answered) if size is None else size
        self.id = scribe.keeper.next_id()
        record = Record(
            id=self.id,
            request=request.id if request is not None else "",
            time=int(self._time * 1000),
            endpoint=self._endpoint,
            variant=plan.name if plan is not None else "",
            version=plan.version if plan is not None else "",
            via=self._via,
            status=answer.status if answer is not None else 0,
            error=code,
            # Without a plan it is about the endpoint, and nothing of what was sent.
            message=_message(error) if keeps or plan is None else "",
            seconds=self.seconds,
            first=self._first,
            times=answer.times if answer is not None else _NOTHING,
            findings=answer.findings if answer is not None and keeps else None,
            sent_headers=request.headers if request is not None and keeps else _NOTHING,
            sent=cut(request.body) if request is not None and keeps else None,
            sent_size=self._size if request is None else len(request.body),
            answer_headers=answer.headers if answer is not None and keeps else _NOTHING,
            answer=cut(answered) if keeps else None,
            answer_size=whole,
        )
        scribe.keeper.record(record)
        if scribe.feed.has_listeners("requests", self._endpoint):
            scribe.feed.publish("requests", self._endpoint, _summary(record))


def _code(error: BaseException) -> str:
    """The code that the client is told, or what it was where none is."""
    if isinstance(error, ServiceError):
        return error.code
    return type(error).__name__ if isinstance(error, HotfireError | CancelledError) else "InternalFailure"


def _message(error: BaseException | None) -> str:
    if error is None:
        return ""
    # Other errors may have all that was sent in their words; the region's log tells of them.
    return error.message if isinstance(error, HotfireError) else type(error).__name__


def _summary(record: Record) -> dict[str, Any]:
    """A record without headers and bodies, as JSON has it."""
    return {
        "id": record.id,
        "request": record.request,
        "time": record.time,
        "endpoint": record.endpoint,
        "variant": record.variant,
        "version": record.version,
        "via": record.via,
        "status": record.status,
        "error": record.error,
        "seconds": record.seconds,
        "sent_size": record.sent_size,
        "answer_size": record.answer_size,
    }
