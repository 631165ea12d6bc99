"""What an endpoint prints, as it does, and what it printed before."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from hotfire.console.endpoint_pages import EndpointPages
from hotfire.console.visits import Batch, Page, Route, Visit, number
from hotfire.region.journal import Journal, Line

_ON_A_PAGE = 300
_AT_ONCE = 1_000
_LONGEST = 4_000
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
"""What terminals take for colours and the like."""


@dataclass(frozen=True, slots=True)
class Printed:
    """A line for people; `more` are the characters that were cut off."""

    id: int
    time: float
    source: str
    request: str
    text: str
    more: int


class LogPage:
    """`/e/NAME/logs`: the last lines, followed by those that come; filtered by words and by instance."""

    def __init__(self, journal: Journal, pages: EndpointPages) -> None:
        self._journal, self._pages = journal, pages

    @property
    def routes(self) -> Sequence[Route]:
        """The log of an endpoint."""
        return (Route("GET", "/e/{name}/logs", self.show),)

    def show(self, visit: Visit) -> Page:
        """The last lines, or those before one."""
        asked, common, name = visit.query, self._pages.common(visit), visit.places["name"]
        text, source = asked.get("text", "").strip(), asked.get("from", "")
        before = number(asked.get("before", ""))
        streams = (source,) if source else ()

        def tail(cursor: int) -> Batch:
            found = self._journal.lines(name, streams=streams, after=cursor, limit=_AT_ONCE)
            lines = [_printed(line) for line in found if text.lower() in line.text.lower()]
            return Batch(found[-1].id if found else cursor, lines)

        found = self._journal.lines(
            name,
            streams=streams,
            before=before,
            containing=text,
            limit=_ON_A_PAGE + 1,
            newest_first=True,
        )
        shown = found[:_ON_A_PAGE][::-1]
        older = {**asked, "before": shown[0].id} if len(found) > _ON_A_PAGE else None
        return Page(
            "logs.html",
            {
                **common,
                "lines": [_printed(line) for line in shown],
                "cursor": shown[-1].id if shown else 0,
                "asked": asked,
                "is_older": before is not None,
                "is_filtered": bool(text or source),
                "sources": [stream.name for stream in self._journal.streams(name)],
                "older": f"{visit.request.path}?{urlencode(older)}" if older else "",
            },
            live=("state",),
            topics=("lines", "endpoints"),
            endpoint=name,
            tail=tail if before is None else None,
        )


def _printed(line: Line) -> Printed:
    text = _COLOURS.sub("", line.text)
    more = max(len(text) - _LONGEST, 0)
    return Printed(line.id, line.time / 1000, _source(line.stream), line.request, text[:_LONGEST], more)


def _source(stream: str) -> str:
    """An instance's name as short as it can be told from others."""
    variant, _, instance = stream.partition("/")
    return f"{variant}/{instance[:7]}" if instance.startswith("i-") else stream
