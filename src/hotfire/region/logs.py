"""CloudWatch Logs over what endpoints print."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from hotfire.errors import InvalidParameter, LogGroupNotFound
from hotfire.region.caller import Answer, Caller, Operation
from hotfire.region.journal import Journal, Line
from hotfire.region.store import Store

GROUP_PREFIX = "/aws/sagemaker/Endpoints/"
_MOST_EVENTS = 10_000


class Logs:
    """The log group of each endpoint, a stream an instance."""

    def __init__(self, store: Store, journal: Journal) -> None:
        self._store = store
        self._journal = journal
        self.operations: Mapping[str, Operation] = {"FilterLogEvents": self.filter_log_events}

    def supports(self, operation: str) -> bool:
        """Whether the region has an operation of CloudWatch Logs'."""
        return operation in self.operations

    def filter_log_events(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """The lines of a group, oldest first, a page at a time."""
        endpoint = self._endpoint(params.get("logGroupName") or _last(params.get("logGroupIdentifier", "")))
        limit = params.get("limit", _MOST_EVENTS)
        end = params.get("endTime")
        lines = self._journal.lines(
            endpoint,
            streams=params.get("logStreamNames", ()),
            start=params.get("startTime"),
            end=None if end is None else end + 1,  # here an event of that very time is one of them
            after=_read_token(params.get("nextToken")),
            limit=limit,
        )
        wanted = _Pattern(params.get("filterPattern", ""))
        prefix = params.get("logStreamNamePrefix", "")
        events = [
            _event(line) for line in lines if wanted.matches(line.text) and line.stream.startswith(prefix)
        ]
        more = {"nextToken": str(lines[-1].id)} if len(lines) == limit else {}
        return {"events": events, "searchedLogStreams": [], **more}

    def _endpoint(self, group: str) -> str:
        name = group.removeprefix(GROUP_PREFIX)
        known = name != group and (self._store.endpoint(name) or self._journal.streams(name))
        if not known:
            raise LogGroupNotFound("The specified log group does not exist.")
        return name


class _Pattern:
    """The plain part of CloudWatch's filter patterns: all words, `?any` of words, `-not` words."""

    def __init__(self, pattern: str) -> None:
        terms = [quoted or word for quoted, word in re.findall(r'([?-]?"[^"]*")|(\S+)', pattern)]
        self._any = [_bare(term[1:]) for term in terms if term.startswith("?")]
        self._none = [_bare(term[1:]) for term in terms if term.startswith("-")]
        self._all = [_bare(term) for term in terms if not term.startswith(("?", "-"))]

    def matches(self, text: str) -> bool:
        if any(term in text for term in self._none) or not all(term in text for term in self._all):
            return False
        return not self._any or any(term in text for term in self._any)


def _bare(term: str) -> str:
    return term.strip('"')


def _last(identifier: str) -> str:
    """The group's name in an ARN."""
    return identifier.rpartition("log-group:")[2].removesuffix(":*")


def _event(line: Line) -> dict[str, Any]:
    return {
        "logStreamName": line.stream,
        "timestamp": line.time,
        "message": line.text,
        "ingestionTime": line.time,
        "eventId": f"{line.id:056d}",
    }


def _read_token(token: str | None) -> int:
    if token is None:
        return 0
    if not token.isdecimal():
        raise InvalidParameter("The specified nextToken is invalid.")
    return int(token)
