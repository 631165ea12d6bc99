"""What an endpoint prints, out of CloudWatch Logs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from hotfire.deployment import LogEvent
from hotfire.errors import DeployError
from hotfire.inventory import errors

GROUP = "/aws/sagemaker/Endpoints/"

_POLL_SECONDS = 0.5
_OVERLAP = 5_000
"""Milliseconds that are read again when following: streams are not written in step."""


def events(
    client: Any, endpoint: str, since: float | None = None, *, follow: bool = False
) -> Iterator[LogEvent]:
    """The lines printed since then (seconds since the epoch), oldest first; with `follow` it never ends.

    Raises DeployError if the endpoint has no log.
    """
    start = 0 if since is None else int(since * 1000)
    seen: dict[str, int] = {}
    while True:
        for event in _read(client, endpoint, start):
            if event["eventId"] not in seen:
                seen[event["eventId"]] = event["timestamp"]
                yield LogEvent(event["timestamp"] / 1000, event["logStreamName"], event["message"])
        if not follow:
            return
        start = max(start, max(seen.values(), default=0) - _OVERLAP)
        seen = {name: moment for name, moment in seen.items() if moment >= start}
        time.sleep(_POLL_SECONDS)


def _read(client: Any, endpoint: str, start: int) -> Iterator[dict[str, Any]]:
    params: dict[str, Any] = {"logGroupName": GROUP + endpoint, "startTime": start}
    while True:
        answer = _page(client, endpoint, params)
        yield from answer["events"]
        if "nextToken" not in answer:
            return
        params["nextToken"] = answer["nextToken"]


def _page(client: Any, endpoint: str, params: dict[str, Any]) -> dict[str, Any]:
    with errors(f"read the log of {endpoint}"):
        try:
            return dict(client.filter_log_events(**params))
        except client.exceptions.ResourceNotFoundException as error:
            raise DeployError(
                f"the endpoint {endpoint!r} has no log", "`hotfire deploy` makes it."
            ) from error
