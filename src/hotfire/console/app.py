"""The region's web pages: who is let in, and which page answers."""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import parse_qs, quote, unquote

from hotfire.console.frame import Frame, redirect
from hotfire.console.live import Live
from hotfire.console.visits import Absent, Page, Part, Route, Visit, Visitors
from hotfire.errors import HotfireError
from hotfire.region.feed import Feed
from hotfire.region.wire import Request, Response

_NOT_YOURS = "The link that let you in leads to the page of a model, and not to this one."
_FAULT = "A fault of the local region; its log says more."
_log = logging.getLogger("hotfire.region")
_NOTHING = "There is no such page or endpoint."


@dataclass(frozen=True, slots=True)
class Strangers:
    """What is said to who has not entered, and to who comes by a link that does not let in."""

    no_entry: str
    used_up: str


OF_THE_REGION = Strangers(
    "This page is opened by a link that `hotfire status` prints: it works once, and lets this browser in.",
    "This link has been used. `hotfire status` prints a new one.",
)


class Console:
    """Server-rendered pages over the same objects as the API.

    `parts` hold the pages. A page is asked for by its route, and what changes on it by `/live?page=ADDRESS`.
    """

    def __init__(
        self, visitors: Visitors, feed: Feed, parts: Sequence[Part], strangers: Strangers = OF_THE_REGION
    ) -> None:
        self._visitors, self._frame, self._strangers = visitors, Frame(), strangers
        self._live = Live(self._frame, feed, self._living)
        every: Sequence[Part] = (self._frame, self._live, *parts)
        self._routes = [(route, _compiled(route.pattern)) for part in every for route in part.routes]

    async def respond(self, request: Request) -> Response:
        """The page that a browser asks for."""
        token = parse_qs(request.query).get("entry", [""])[-1]
        if token:
            return self._enter(request, token)
        visit = Visit(request, self._visitors.visitor(request.headers))
        page = await self._answer(visit)
        return page if isinstance(page, Response) else self._frame.respond(visit, page)

    async def _answer(self, visit: Visit) -> Page | Response:
        found = self._found(visit)
        is_open = found is not None and found[0].is_open
        if visit.visitor is None and not is_open:
            return _message(403, "Hotfire", self._strangers.no_entry)
        if found is None:
            return _message(404, "Not found", _NOTHING)
        route, visit = found
        if not is_open and not _is_for(route, visit):
            return _message(403, "Hotfire", _NOT_YOURS)
        try:
            answer = route.handler(visit)
            return await answer if inspect.isawaitable(answer) else answer
        except Absent as absent:
            return _message(404, "Not found", str(absent) or _NOTHING)
        except HotfireError as error:
            return _message(500, "This cannot be shown", f"{error.message} {error.advice}".strip())
        except Exception:  # noqa: BLE001  # the visitor is told, and the region goes on
            _log.exception("a bug in Hotfire, met by %s %s", visit.request.method, visit.request.path)
            return _message(500, "This cannot be shown", _FAULT)

    async def _living(self, visit: Visit) -> Page | None:
        """The page at an address, for a visitor who may see it; None where there is none that lives."""
        # Whoever was let in may be shut out by now.
        visitor = self._visitors.visitor(visit.request.headers)
        answer = await self._answer(replace(visit, visitor=visitor))
        return answer if isinstance(answer, Page) and (answer.live or answer.tail) else None

    def _found(self, visit: Visit) -> tuple[Route, Visit] | None:
        request = visit.request
        method = "GET" if request.method == "HEAD" else request.method
        for route, pattern in self._routes:
            match = pattern.fullmatch(request.path)
            if match is not None and route.method == method:
                places = {name: unquote(text) for name, text in match.groupdict().items()}
                return route, replace(visit, places=places)
        return None

    def _enter(self, request: Request, token: str) -> Response:
        cookie = self._visitors.enter(token)
        visitor = self._visitors.visitor(request.headers)
        if cookie is None and visitor is None:
            return self._frame.respond(Visit(request), _message(403, "Hotfire", self._strangers.used_up))
        # The address without the token is what stays in the browser's history.
        address = "/" + quote(unquote(request.path)).lstrip("/")
        return redirect(address, *((("set-cookie", cookie),) if cookie else ()))


def _compiled(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", pattern)
    return re.compile(
        "".join(f"(?P<{part}>[^/]+)" if index % 2 else re.escape(part) for index, part in enumerate(parts))
    )


def _is_for(route: Route, visit: Visit) -> bool:
    """Whether a page is for a visitor, who may have been let in to models alone."""
    visitor = visit.visitor
    if visitor is None or visitor.is_owner:
        return visitor is not None
    name = visit.places.get("name")
    return route.is_shared and (name is None or visitor.sees(name))


def _message(status: int, title: str, text: str) -> Page:
    return Page("message.html", {"title": title, "text": text}, status)
