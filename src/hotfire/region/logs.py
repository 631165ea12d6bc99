"""CloudWatch Logs over what endpoints print: a group an endpoint, a stream an instance."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from hotfire.errors import InvalidParameter, LogGroupNotFound
from hotfire.region.caller import Answer, Caller, Operation
from hotfire.region.cursor import Place, turn
from hotfire.region.journal import Journal, Line, Stream
from hotfire.region.store import Store

GROUP_PREFIX = "/aws/sagemaker/Endpoints/"
_MOST_EVENTS = 10_000
_MOST_BYTES = 1024 * 1024
"""Of a page of events; an event weighs 26 bytes more than its message."""
_MOST_DESCRIBED = 50
_MOST_ID = 2**63 - 1

_Item = TypeVar("_Item")


class Logs:
    """The log group of each endpoint, there also when the endpoint is gone and has left lines."""

    def __init__(self, store: Store, journal: Journal, account: str = "000000000000") -> None:
        self._store, self._journal, self._account = store, journal, account
        self.operations: Mapping[str, Operation] = {
            "DescribeLogGroups": self.describe_log_groups,
            "DescribeLogStreams": self.describe_log_streams,
            "GetLogEvents": self.get_log_events,
            "FilterLogEvents": self.filter_log_events,
        }

    def describe_log_groups(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """The groups of endpoints that are there or have left lines, by prefix, part of the name or ARN."""
        _not_both(params, "logGroupNamePrefix", "logGroupNamePattern")
        prefix, part = params.get("logGroupNamePrefix", ""), params.get("logGroupNamePattern", "")
        asked = {_name(identifier) for identifier in params.get("logGroupIdentifiers", ())}
        groups = [
            group
            for group in self._groups()
            if group.name.startswith(prefix) and part in group.name and group.name in (asked or {group.name})
        ]
        if params.get("logGroupClass", "STANDARD") != "STANDARD":
            groups = []
        chosen, more = _page(groups, lambda group: (group.name,), params)
        return {"logGroups": [self._described_group(caller, group) for group in chosen], **more}

    def describe_log_streams(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """The streams of a group, by prefix, in the order of their names or of their last events."""
        endpoint = self._endpoint(params)
        by_time = params.get("orderBy") == "LastEventTime"
        if by_time and "logStreamNamePrefix" in params:
            raise InvalidParameter("Cannot order by LastEventTime with a logStreamNamePrefix.")
        prefix = params.get("logStreamNamePrefix", "")
        streams = [one for one in self._journal.streams(endpoint) if one.name.startswith(prefix)]

        def place(stream: Stream) -> Place:
            return (stream.last, stream.name) if by_time else (stream.name,)

        chosen, more = _page(streams, place, params, falling=params.get("descending", False))
        group = self._group_arn(caller, GROUP_PREFIX + endpoint)
        return {"logStreams": [_described_stream(group, stream) for stream in chosen], **more}

    def get_log_events(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """The lines of one stream, oldest first on a page, whose tokens lead on in both directions.

        At an end the token is the one that was given, and leads to what comes later.
        """
        endpoint, stream = self._endpoint(params), params["logStreamName"]
        self._check_streams(endpoint, [stream])
        cursor = _Cursor.read(params.get("nextToken"), forward=params.get("startFromHead", False))
        lines = self._lines(endpoint, [stream], params, cursor, params.get("endTime"))
        if not cursor.forward:
            lines.reverse()
        first, last = cursor.edges(lines)
        return {
            "events": [_event(line) for line in lines],
            "nextForwardToken": _Cursor(last, forward=True).write(),
            "nextBackwardToken": _Cursor(first, forward=False).write(),
        }

    def filter_log_events(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """The lines of a group, by streams, times and the plain words of a filter pattern."""
        endpoint = self._endpoint(params)
        _not_both(params, "logStreamNames", "logStreamNamePrefix")
        wanted, prefix = _Pattern(params.get("filterPattern", "")), params.get("logStreamNamePrefix", "")
        cursor = _Cursor.read(params.get("nextToken"), forward=params.get("startFromHead", True))
        end = params.get("endTime")
        # Here an event of that very time is one of them.
        until = None if end is None else end + 1
        streams = params.get("logStreamNames", ())
        self._check_streams(endpoint, streams)
        lines = self._lines(endpoint, streams, params, cursor, until)
        events = [
            {**_event(line), "logStreamName": line.stream, "eventId": f"{line.id:056d}"}
            for line in lines
            if line.stream.startswith(prefix) and wanted.matches(line.text)
        ]
        answer: Answer = {"events": events, "searchedLogStreams": []}
        if lines:
            cursor = _Cursor(lines[-1].id, cursor.forward)
            if self._lines(endpoint, streams, {**params, "limit": 1}, cursor, until):
                answer["nextToken"] = cursor.write()
        return answer

    def _lines(
        self,
        endpoint: str,
        streams: Iterable[str],
        params: Mapping[str, Any],
        cursor: _Cursor,
        end: int | None = None,
    ) -> list[Line]:
        """A page of lines, from the cursor on in its direction."""
        lines = self._journal.lines(
            endpoint,
            streams=tuple(streams),
            start=params.get("startTime"),
            end=end,
            after=cursor.id if cursor.forward else None,
            before=None if cursor.forward else cursor.id,
            limit=params.get("limit", _MOST_EVENTS),
            newest_first=not cursor.forward,
        )
        return _fitting(lines)

    def _endpoint(self, params: Mapping[str, Any]) -> str:
        """The endpoint whose group is named."""
        given = _not_both(params, "logGroupName", "logGroupIdentifier")
        if given is None:
            raise InvalidParameter("Exactly one of logGroupName and logGroupIdentifier must be given.")
        group = _name(given)
        name = group.removeprefix(GROUP_PREFIX)
        if name == group or not (self._store.endpoint(name) or self._journal.has(name)):
            raise LogGroupNotFound("The specified log group does not exist.")
        return name

    def _check_streams(self, endpoint: str, streams: Iterable[str]) -> None:
        if not all(self._journal.has(endpoint, stream) for stream in streams):
            raise LogGroupNotFound("The specified log stream does not exist.")

    def _groups(self) -> list[Stream]:
        """What endpoints printed, under the names of their groups."""
        printed = {one.name: one for one in self._journal.endpoints()}
        for endpoint in self._store.endpoints():
            created, before = int(endpoint.created * 1000), printed.get(endpoint.name)
            printed[endpoint.name] = Stream(
                endpoint.name,
                min(created, before.first) if before else created,
                before.last if before else created,
                before.length if before else 0,
            )
        return [Stream(GROUP_PREFIX + one.name, one.first, one.last, one.length) for one in printed.values()]

    def _described_group(self, caller: Caller, group: Stream) -> Answer:
        arn = self._group_arn(caller, group.name)
        return {
            "logGroupName": group.name,
            "creationTime": group.first,
            "metricFilterCount": 0,
            "arn": f"{arn}:*",
            "storedBytes": group.length,
            "logGroupClass": "STANDARD",
            "logGroupArn": arn,
        }

    def _group_arn(self, caller: Caller, group: str) -> str:
        return f"arn:{caller.partition}:logs:{caller.region}:{self._account}:log-group:{group}"


@dataclass(frozen=True, slots=True)
class _Cursor:
    """A place between two lines and the direction in which one reads from there.

    `id` is that of the line beside it, which was read already; None is the beginning, or the end where one
    reads backward.
    """

    id: int | None
    forward: bool

    @classmethod
    def read(cls, token: str | None, *, forward: bool) -> _Cursor:
        """What a token says; without one, an end. Raises InvalidParameter."""
        if token is None:
            return cls(None, forward)
        match = re.fullmatch(r"([fb])/([0-9]{1,56})/s", token)
        if match is None or int(match[2]) > _MOST_ID:
            raise InvalidParameter("The specified nextToken is invalid.")
        return cls(int(match[2]), match[1] == "f")

    def write(self) -> str:
        """The token that says it."""
        return f"{'f' if self.forward else 'b'}/{self.id or 0:056d}/s"

    def edges(self, lines: list[Line]) -> tuple[int, int]:
        """Beside which lines one reads on backward and forward, after these lines were read."""
        if lines:
            return lines[0].id, lines[-1].id
        here = self.id or 0
        return (here + 1, here) if self.forward or self.id is None else (here, max(here - 1, 0))


class _Pattern:
    """The plain part of CloudWatch's filter patterns: all words, `?any` of words, `-not` words."""

    def __init__(self, pattern: str) -> None:
        if pattern.strip().startswith(("{", "[", "%")):
            raise InvalidParameter(
                'A local region filters by words, "phrases", ?words of which any may be there and -words '
                "that may not; not by fields or expressions."
            )
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


def _page(
    items: Iterable[_Item],
    place: Callable[[_Item], Place],
    params: Mapping[str, Any],
    *,
    falling: bool = False,
) -> tuple[list[_Item], dict[str, str]]:
    """What a Describe operation answers with, and the answer's nextToken if there is more."""
    size = params.get("limit", _MOST_DESCRIBED)
    try:
        chosen, token = turn(items, place, size, params.get("nextToken"), falling=falling)
    except ValueError:
        raise InvalidParameter("The specified nextToken is invalid.") from None
    return chosen, {} if token is None else {"nextToken": token}


def _fitting(lines: list[Line]) -> list[Line]:
    """As many lines as a page may hold, one at least."""
    room = _MOST_BYTES
    for number, line in enumerate(lines):
        room -= len(line.text.encode()) + 26
        if room < 0 < number:
            return lines[:number]
    return lines


def _not_both(params: Mapping[str, Any], first: str, second: str) -> Any:
    """The one that is given, if one is."""
    if first in params and second in params:
        raise InvalidParameter(f"Only one of {first} and {second} may be given.")
    return params.get(first, params.get(second))


def _name(identifier: str) -> str:
    """The group's name, which may be given as an ARN."""
    return identifier.rpartition(":log-group:")[2].removesuffix(":*")


def _described_stream(group_arn: str, stream: Stream) -> Answer:
    return {
        "logStreamName": stream.name,
        "creationTime": stream.first,
        "firstEventTimestamp": stream.first,
        "lastEventTimestamp": stream.last,
        "lastIngestionTime": stream.last,
        "arn": f"{group_arn}:log-stream:{stream.name}",
        "storedBytes": 0,
    }


def _event(line: Line) -> Answer:
    return {"timestamp": line.time, "message": line.text, "ingestionTime": line.time}
