"""What an endpoint prints, out of CloudWatch Logs."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from heapq import heappop, heappush
from typing import Any

from hotfire.deployment import LogEvent
from hotfire.errors import DeployError
from hotfire.inventory import errors

GROUP = "/aws/sagemaker/Endpoints/"

_OVERLAP = 5_000
"""Milliseconds that are read again when following: streams are not written in step."""
_LAG = 3_600_000
"""Milliseconds by which CloudWatch may know a stream's last line too late."""
_MOST_STREAMS = 50
_MOST_EVENTS = 10_000


_TORCHSERVE = re.compile(r"^.*?-std(?:out|err) MODEL_LOG - ")
"""What TorchServe, which serves in AWS's image, puts before what a worker prints."""
_EXCEPTION = re.compile(r"(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception)(?:: .*)?")


class Tail:
    """The lines that an endpoint printed since a time (seconds since the epoch), each read once.

    `without` names streams that are left out.
    """

    def __init__(
        self, client: Any, endpoint: str, since: float | None = None, without: Collection[str] = ()
    ) -> None:
        self._client, self._endpoint, self._without = client, endpoint, without
        self._start = 0 if since is None else int(since * 1000)
        self._seen: dict[str, int] = {}

    def read(self) -> Iterator[LogEvent]:
        """What is new since the last time, oldest first. Raises DeployError if there is no log."""
        for event in self._events():
            if event["eventId"] not in self._seen and event["logStreamName"] not in self._without:
                self._seen[event["eventId"]] = event["timestamp"]
                yield LogEvent(event["timestamp"] / 1000, event["logStreamName"], event["message"])
        self._start = max(self._start, max(self._seen.values(), default=0) - _OVERLAP)
        self._seen = {name: moment for name, moment in self._seen.items() if moment >= self._start}

    def _events(self) -> Iterator[dict[str, Any]]:
        params: dict[str, Any] = {"logGroupName": GROUP + self._endpoint, "startTime": self._start}
        while True:
            answer = self._page(params)
            yield from answer["events"]
            if "nextToken" not in answer:
                return
            params["nextToken"] = answer["nextToken"]

    def _page(self, params: dict[str, Any]) -> dict[str, Any]:
        with _told(self._client, self._endpoint):
            return dict(self._client.filter_log_events(**params))


def events(
    client: Any,
    endpoint: str,
    since: float | None = None,
    *,
    lines: int | None = None,
    follow: float | None = None,
) -> Iterator[LogEvent]:
    """The lines printed since then (seconds since the epoch), oldest first, or the last `lines` of them.

    `follow` is how many seconds to wait before looking for more; then it never ends. Raises DeployError if
    the endpoint has no log.
    """
    if lines is not None:
        since = max(since or 0.0, _start_of_last(client, endpoint, lines))
    tail = Tail(client, endpoint, since)
    yield from tail.read() if lines is None else deque(tail.read(), lines)
    while follow is not None:
        time.sleep(follow)
        yield from tail.read()


def _start_of_last(client: Any, endpoint: str, count: int) -> float:
    """When the first of an endpoint's last so many lines was printed, or earlier.

    A long log is not read from its beginning for its end.
    """
    moments: list[int] = []  # a heap: the earliest of the latest is its first
    with _told(client, endpoint):
        pages = client.get_paginator("describe_log_streams").paginate(
            logGroupName=GROUP + endpoint, orderBy="LastEventTime", descending=True
        )
        for stream in (stream for page in pages for stream in page["logStreams"]):
            if len(moments) > count and stream.get("lastEventTimestamp", 0) + _LAG < moments[0]:
                break
            for moment in _last_moments(client, endpoint, stream["logStreamName"], count + 1):
                heappush(moments, moment)
                if len(moments) > count + 1:
                    heappop(moments)
    return moments[0] / 1000 if len(moments) > count else 0.0


def _last_moments(client: Any, endpoint: str, stream: str, count: int) -> Iterator[int]:
    """The times of a stream's last lines. A page may be empty and not be the last."""
    params = {"logGroupName": GROUP + endpoint, "logStreamName": stream, "limit": min(count, _MOST_EVENTS)}
    token = None
    while count > 0:
        answer = client.get_log_events(**params)
        yield from (event["timestamp"] for event in reversed(answer["events"]))
        count -= len(answer["events"])
        if answer["nextBackwardToken"] == token:
            return
        token = params["nextToken"] = answer["nextBackwardToken"]


@contextmanager
def _told(client: Any, endpoint: str) -> Iterator[None]:
    """Translate what CloudWatch Logs refuses."""
    with errors(f"read the log of {endpoint}"):
        try:
            yield
        except client.exceptions.ResourceNotFoundException as error:
            message = f"the endpoint {endpoint!r} has no log"
            advice = "It begins with what the endpoint first prints; if there is none, deploy it first."
            raise DeployError(message, advice) from error


def last_exception(lines: Iterable[str]) -> str:
    """The last exception whose traceback Python printed among these lines; empty if there is none."""
    found, is_traceback = "", False
    for line in lines:
        text = _TORCHSERVE.sub("", line).rstrip()
        if text.startswith("Traceback (most recent call last)"):
            is_traceback = True
        elif is_traceback and _EXCEPTION.fullmatch(text):
            found, is_traceback = text, False
    return found


def streams(client: Any, endpoint: str) -> frozenset[str]:
    """The streams that were written last; none where there is no log, or it may not be read."""
    with suppress(DeployError), errors(f"read the log of {endpoint}"):
        given = {"orderBy": "LastEventTime", "descending": True, "limit": _MOST_STREAMS}
        found = client.describe_log_streams(logGroupName=GROUP + endpoint, **given)
        return frozenset(stream["logStreamName"] for stream in found["logStreams"])
    return frozenset()
