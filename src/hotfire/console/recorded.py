"""One recorded request: all that is known of it, sent again, or kept as an example."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from hotfire.bodies import value_of
from hotfire.comparison import Difference, compare
from hotfire.console.differences import Place, place_of
from hotfire.console.explained import explained
from hotfire.console.frame import download
from hotfire.console.projects import examples_folder
from hotfire.console.requests import WAYS
from hotfire.console.shown import Shown, shown
from hotfire.console.times import times_spent
from hotfire.console.visits import Absent, Page, Route, Visit, number
from hotfire.errors import HotfireError
from hotfire.examples import Answer, ExampleRequest, record, recorded
from hotfire.failure import Sent
from hotfire.hints import advice
from hotfire.region.invocations import Invocations
from hotfire.region.journal import Journal
from hotfire.region.records import Invocation, Message
from hotfire.region.replays import Replay, Replays, Target
from hotfire.region.runtime import parameters
from hotfire.region.store import Store
from hotfire.region.wire import Response

_MOST_LINES = 500
_MOST_DIFFERENCES = 200
_COUNTED = 10_000
_LINES_BEFORE_MS, _LINES_AFTER_MS = 1_000, 5_000
"""Lines of a request are sought so long before it began and after it ended: a pipe takes its time."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A replay beside what was recorded. `refused` says why there is none."""

    target: Target
    result: Replay | None = None
    body: Shown | None = None
    differences: Sequence[Place] = ()
    count: int = 0
    comparable_note: str = ""
    refused: str = ""
    advice: str = ""

    @property
    def comparable(self) -> bool:
        """Whether both answers are known whole."""
        return not self.comparable_note


@dataclass(frozen=True, slots=True)
class Saving:
    """Whether the request can be an example, and in which folder; `json` is what would be written there."""

    why: str = ""
    folder: str = ""
    name: str = ""
    json: str = ""

    @property
    def possible(self) -> bool:
        """Whether all of it is known."""
        return bool(self.json)


@dataclass(frozen=True, slots=True)
class Saved:
    """What came of saving it."""

    text: str
    failed: bool = False


class RecordedRequest:
    """`/requests/ID` and what can be done with it."""

    def __init__(self, store: Store, journal: Journal, invocations: Invocations, replays: Replays) -> None:
        self._store, self._journal = store, journal
        self._invocations, self._replays = invocations, replays

    @property
    def routes(self) -> Sequence[Route]:
        """The page, its two bodies, and its two forms."""
        return (
            Route("GET", "/requests/{id}", self.show),
            Route("GET", "/requests/{id}/sent", self.sent),
            Route("GET", "/requests/{id}/answer", self.answer),
            Route("GET", "/requests/{id}/example", self.example),
            Route("POST", "/requests/{id}/replay", self.replay),
            Route("POST", "/requests/{id}/save", self.save),
        )

    async def show(self, visit: Visit) -> Page:
        """All that is known."""
        return await self._page(await self._one(visit))

    async def sent(self, visit: Visit) -> Response:
        """What is recorded of the body that was sent, as a file."""
        one = await self._one(visit)
        return download(f"request-{one.id}.txt", one.sent.body or b"")

    async def answer(self, visit: Visit) -> Response:
        """What is recorded of the answer's body, as a file."""
        one = await self._one(visit)
        return download(f"answer-{one.id}.txt", one.answer.body or b"")

    async def example(self, visit: Visit) -> Response:
        """The request as an example, as a file."""
        one = await self._one(visit)
        text = _example(one)
        if not text:
            raise Absent
        return download(f"request-{one.id}.json", text.encode(), "application/json")

    async def replay(self, visit: Visit) -> Page:
        """Send it again, and show where the answers differ."""
        one = await self._one(visit)
        try:
            target = Target.read(visit.form.get("target", ""))
        except HotfireError as error:
            target = Target("endpoint", one.endpoint)
            return await self._page(one, replay=Compared(target, refused=error.message, advice=error.advice))
        try:
            result = await self._replays.send(one, target)
        except HotfireError as error:
            return await self._page(one, replay=Compared(target, refused=error.message, advice=error.advice))
        return await self._page(one, replay=compared(one.answer, one.status, result))

    async def save(self, visit: Visit) -> Page:
        """Keep it among the examples of its project."""
        one = await self._one(visit)
        folder = examples_folder(self._store, one.endpoint)
        name = visit.form.get("name", "").strip()
        if folder is None or not _example(one):
            raise Absent
        try:
            file = await asyncio.to_thread(record, folder, name, *_exchange(one))
        except HotfireError as error:
            return await self._page(one, saved=Saved(f"{error.message}. {error.advice}".strip(), failed=True))
        except OSError as error:
            return await self._page(one, saved=Saved(f"{folder}: {error.strerror}", failed=True))
        return await self._page(one, saved=Saved(f"Saved as {file}."))

    async def _one(self, visit: Visit) -> Invocation:
        id = number(visit.places["id"])
        one = await self._invocations.one(id) if id is not None else None
        if one is None:
            raise Absent(
                "There is no such request, or it is not kept any more: the journal has the last ones."
            )
        return one

    async def _page(
        self, one: Invocation, *, replay: Compared | None = None, saved: Saved | None = None
    ) -> Page:
        lines = self._lines(one)
        targets = self._replays.targets()
        chosen = replay.target if replay is not None else Target("endpoint", one.endpoint)
        values = {
            "one": one,
            "way": WAYS[one.via],
            "times": times_spent(one.times, one.seconds),
            "sent": _shown(one.sent),
            "answer": _shown(one.answer),
            "explained": explained(one.findings, _sent(one)),
            "advice": advice(one.message) or "",
            "lines": lines[:_MOST_LINES],
            "more_lines": len(lines) > _MOST_LINES,
            "targets": targets,
            "chosen": str(chosen),
            "replay": replay,
            "saving": self._saving(one),
            "saved": saved,
        }
        return Page("request.html", values)

    def _lines(self, one: Invocation) -> list[Any]:
        if not one.request:
            return []
        end = one.time + int(one.seconds * 1000) + _LINES_AFTER_MS
        found = self._journal.lines(one.endpoint, start=one.time - _LINES_BEFORE_MS, end=end)
        return [line for line in found if line.request == one.request]

    def _saving(self, one: Invocation) -> Saving:
        text = _example(one)
        if not text:
            return Saving("Request and answer are not recorded whole, so they cannot be an example.")
        folder = examples_folder(self._store, one.endpoint)
        if folder is None:
            why = "The endpoint belongs to no project on this machine, into whose examples it could go."
            return Saving(why, json=text)
        taken = {file.stem for file in folder.glob("*.json")} if folder.is_dir() else set()
        name = f"request-{one.id}"
        return Saving(folder=str(folder), name="" if name in taken else name, json=text)


def compared(before: Message, status: int, now: Replay) -> Compared:
    """Where an answer differs from the one that was recorded: its status, its content type, its values."""
    body = shown(now.body, len(now.body), now.content_type)
    if not before.is_whole:
        note = "What was answered then is not recorded whole: there is nothing to compare with."
        return Compared(now.target, now, body, comparable_note=note)
    found = list(islice(_differences(before, status, now), _COUNTED))
    places = [place_of(one) for one in found[:_MOST_DIFFERENCES]]
    return Compared(now.target, now, body, places, len(found))


def _differences(before: Message, status: int, now: Replay) -> Any:
    if status != now.status:
        yield Difference("status", "changed", status, now.status)
    if before.content_type != now.content_type:
        yield Difference("content type", "changed", before.content_type, now.content_type)
    was = value_of(before.content_type, before.body or b"")
    yield from compare(was, value_of(now.content_type, now.body))


def _shown(message: Message) -> Shown:
    return shown(message.body, message.size, message.content_type)


def _sent(one: Invocation) -> Sent | None:
    if one.sent.body is None:
        return None
    headers = {name.lower(): value for name, value in one.sent.headers.items()}
    return Sent(one.sent.content_type, headers.get("accept", ""), one.sent.body[:400], one.sent.size)


def _exchange(one: Invocation) -> tuple[ExampleRequest, Answer]:
    """A request that is known whole, and its answer."""
    given = parameters(one.sent.headers)
    request = ExampleRequest(
        one.sent.body or b"",
        given.get("ContentType", "application/json"),
        given.get("Accept"),
        given.get("CustomAttributes"),
    )
    return request, Answer(one.status, one.answer.content_type, one.answer.body or b"", one.seconds)


def _example(one: Invocation) -> str:
    """The request as an example; empty if it cannot be one."""
    if not (one.can_be_sent_again and one.answer.is_whole and one.status):
        return ""
    return recorded(*_exchange(one))
