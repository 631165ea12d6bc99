"""Who asks for which page, and what a page is before it is drawn."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import parse_qs

from hotfire.region.feed import Topic
from hotfire.region.visitor import Visitor
from hotfire.region.wire import Request, Response


class Visitors(Protocol):
    """Who may see the pages."""

    def enter(self, token: str) -> str | None:
        """The Set-Cookie of a visitor whose token is good."""
        ...

    def visitor(self, headers: Mapping[str, str]) -> Visitor | None:
        """Who a request comes from, if it is from a browser that entered."""
        ...


@dataclass(frozen=True, slots=True)
class Visit:
    """A request for a page. `places` are the parts of its path that the route names.

    `visitor` is None of a stranger, who gets no further than to the routes that are open.
    """

    request: Request
    visitor: Visitor | None = None
    places: Mapping[str, str] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """The path with its query, as it was sent."""
        query = self.request.query
        return f"{self.request.path}?{query}" if query else self.request.path

    @property
    def query(self) -> Mapping[str, str]:
        """What the address asks for, the last value of each name."""
        return _fields(self.request.query)

    @property
    def form(self) -> Mapping[str, str]:
        """The fields of a form that was sent, the last value of each name."""
        return _fields(self.request.body.decode("utf-8", "replace"))


@dataclass(frozen=True, slots=True)
class Batch:
    """Lines that have come, for the template's block `lines`. What is up to `cursor` was seen."""

    cursor: int
    lines: Sequence[Any]


@dataclass(frozen=True, slots=True)
class Page:
    """A template with its values.

    `live` are the blocks of the template that are drawn again while the page is open: each is one element
    whose id is `live-` and the block's name. They are drawn when something comes of one of `topics`, about
    `endpoint` if one is named, and every few seconds. `tail` gives the lines after a cursor, for a page to
    which lines are added.
    """

    template: str
    values: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200
    live: Sequence[str] = ()
    topics: Sequence[Topic] = ()
    endpoint: str = ""
    tail: Callable[[int], Batch] | None = None


_LONGEST_NUMBER = 19
"""Digits of what SQLite may not be able to count to."""

Handler = Callable[[Visit], Page | Response | Awaitable[Page | Response]]


@dataclass(frozen=True, slots=True)
class Route:
    """What answers a request: `pattern` is a path in which `{name}` stands for one part of it.

    One that `is_open` answers strangers too; one that `is_shared` whoever sees the model which is its
    `{name}`, if it has one. The others are for the region's owner.
    """

    method: str
    pattern: str
    handler: Handler
    is_open: bool = False
    is_shared: bool = False


class Part(Protocol):
    """Some pages of the console."""

    @property
    def routes(self) -> Sequence[Route]:
        """Where they are."""
        ...


class Absent(Exception):  # it is no error of ours: the visitor is told, and nobody else
    """There is no such page; the message says what is not there."""


def number(text: str) -> int | None:
    """A whole number that somebody wrote into an address; None of what is none, or cannot be anybody's id."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < _LONGEST_NUMBER else None


def _fields(text: str) -> Mapping[str, str]:
    return {name: values[-1] for name, values in parse_qs(text, keep_blank_values=True).items()}
