"""What changes on a page while it is open, as server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any

from hotfire.console.frame import HEADERS, PRIVATE, Frame, plain
from hotfire.console.visits import Page, Route, Visit, number
from hotfire.region.feed import Event, Feed
from hotfire.region.wire import Response

LAST_ID = "last-event-id"
"""The header in which a browser that connects again says what it has seen."""

_RETRY_MS = 500
_TICK_SECONDS = 2.0
"""Figures are of the last while: they change when nothing happens, too."""
_REST_SECONDS = 0.2
"""What comes at once is drawn once."""


class Live:
    """Draws the live blocks of a page again, for as long as a browser shows it.

    Each event holds a block that looks otherwise than when it was last sent; so a browser that comes back
    after the region was away is right again at once.
    """

    def __init__(self, frame: Frame, feed: Feed, living: Callable[[Visit], Awaitable[Page | None]]) -> None:
        self._frame, self._feed, self._living = frame, feed, living

    @property
    def routes(self) -> tuple[Route, ...]:
        """Where a page is followed."""
        return (Route("GET", "/live", self.follow, is_shared=True),)

    async def follow(self, visit: Visit) -> Response:
        """What changes on the page whose address is `page`."""
        path, _, query = visit.query.get("page", "").partition("?")
        target = replace(visit, request=replace(visit.request, path=path, query=query), places={})
        page = await self._living(target)
        if page is None:
            return plain(404, "Nothing changes on such a page.\n")
        last = number(visit.request.headers.get(LAST_ID) or visit.query.get("after", ""))
        events = self._events(target, page, last or 0)
        return Response(200, (("content-type", "text/event-stream"), *HEADERS, PRIVATE), b"", events)

    async def _events(self, visit: Visit, page: Page, cursor: int) -> AsyncGenerator[bytes, None]:
        news = self._feed.subscribe(page.topics, page.endpoint or None)
        coming: asyncio.Future[Event] = asyncio.ensure_future(anext(news))
        seen = _Seen(self._frame, cursor)
        now: Page | None = page
        try:
            yield f"retry: {_RETRY_MS}\n\n".encode()
            while now is not None:
                for event in seen.changes(visit, now):
                    yield event
                yield b":\n\n"  # by which is noticed that nobody is there any more
                await asyncio.wait({coming}, timeout=_TICK_SECONDS)
                if coming.done():
                    if coming.exception() is not None:  # the region ends
                        return
                    await asyncio.sleep(_REST_SECONDS)
                    news.take()
                    coming = asyncio.ensure_future(anext(news))
                now = await self._living(visit)
            yield _event("gone", {})
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
            await news.aclose()


class _Seen:
    """What a browser shows of a page: its live blocks, and the lines up to a cursor."""

    def __init__(self, frame: Frame, cursor: int) -> None:
        self._frame, self._cursor = frame, cursor
        self._blocks: dict[str, str] = {}

    def changes(self, visit: Visit, page: Page) -> Iterator[bytes]:
        """The events after which it shows the page as it is now."""
        for name, text in self._frame.blocks(visit, page).items():
            if self._blocks.get(name) != text:
                self._blocks[name] = text
                yield _event("part", {"id": name, "html": text})
        if page.tail is not None:
            batch = page.tail(self._cursor)
            self._cursor = batch.cursor
            if batch.lines:
                yield _event("lines", {"html": self._frame.lines(visit, page, batch.lines)}, self._cursor)


def _event(kind: str, data: Any, number: int | None = None) -> bytes:
    head = "" if number is None else f"id: {number}\n"
    return f"{head}event: {kind}\ndata: {json.dumps(data)}\n\n".encode()
