"""The requests that endpoints got, with what became of each: kept for those who look later."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Self, TypeVar

from hotfire.errors import StoreError
from hotfire.region.batches import MOST, Batches, Stored
from hotfire.region.quota import Limits
from hotfire.region.records import Invocation, Record

_MOST_PENDING = 20_000
_MOST_PENDING_BYTES = 64 * 1024 * 1024
"""What waits in memory for a disk that is slow; more is not recorded."""

_CLASSES = {"none": (0, 0), "2xx": (200, 299), "3xx": (300, 399), "4xx": (400, 499), "5xx": (500, 599)}
_log = logging.getLogger("hotfire.region")

_T = TypeVar("_T")


@dataclass(frozen=True)
class Query:
    """Which requests are looked for; what is not given does not matter.

    `status` is a class of the container's answers: `2xx`, `4xx`, `5xx`, or `none` where it did not answer.
    `text` is sought in ids, error messages and what is kept of bodies, in whatever case. `before` is an id:
    only older ones.
    """

    endpoint: str = ""
    variant: str = ""
    version: str = ""
    via: str = ""
    status: str = ""
    failed: bool | None = None
    text: str = ""
    before: int | None = None

    def takes(self, one: Stored) -> bool:
        """Whether it is one that is looked for; of `failed` and `before` others see to it."""
        record, (least, most) = one.written, self._statuses
        return (
            self.endpoint in ("", record.endpoint)
            and self.variant in ("", record.variant)
            and self.version in ("", record.version)
            and self.via in ("", record.via)
            and least <= record.status <= most
            and (not self.text or self._is_in(one))
        )

    def _is_in(self, one: Stored) -> bool:
        record = one.written
        texts = f"{record.request}\n{record.error}\n{record.message}".lower()
        if self.text.lower() in texts:
            return True
        bodies = [body.lower() for body in one.bodies]
        return any(word in body for body in bodies for word in self._words)

    @cached_property
    def _statuses(self) -> tuple[int, int]:
        return _CLASSES.get(self.status, (-1, -1)) if self.status else (0, 999)

    @cached_property
    def _words(self) -> tuple[bytes, ...]:
        """The text as it may be in a body: in JSON it may be written by escapes."""
        ways = dict.fromkeys((self.text, json.dumps(self.text)[1:-1]))
        return tuple(way.encode("utf-8", "replace").lower() for way in ways)


EVERY = Query()


class Invocations:
    """The recorded requests of all endpoints: in memory first, on disk in batches, by a thread of its own.

    `record` is for the event loop and costs it no more than an append. A disk that takes no more costs the
    records, not the requests. What is read is whole: it is written before.
    """

    def __init__(self, path: Path, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._file = Batches(path, self._limits)
        self._last = self._file.last_id
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal of requests")
        self._pending: list[Record] = []
        self._batches: deque[list[Record]] = deque()
        # The event loop adds to the first ones, the thread to the others: none waits for the other.
        self._taken = self._taken_size = self._done = self._done_size = 0
        self._is_failing = self._closed = False
        self.lost = 0
        """How many were not recorded."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def next_id(self) -> int:
        """The id of the request that is recorded next."""
        self._last += 1
        return self._last

    def record(self, record: Record) -> None:
        """Take a request down; cheap. It is not, if none are kept or too much waits for the disk already."""
        if not self._limits.requests:
            return
        size = _size(record)
        waiting, waiting_size = self._taken - self._done, self._taken_size - self._done_size
        if waiting >= _MOST_PENDING or waiting_size + size > _MOST_PENDING_BYTES or self._closed:
            self.lost += 1
            return
        self._taken += 1
        self._taken_size += size
        self._pending.append(record)
        if len(self._pending) == MOST:
            self._take()
            self._thread.submit(self._write)

    async def recent(
        self, query: Query = EVERY, limit: int = 50, *, bodies: bool = False
    ) -> list[Invocation]:
        """The latest requests that are looked for, the newest first; their bodies only if they are asked for.

        Raises StoreError if they cannot be read.
        """
        return await self._on_thread(self._recent, query, limit, bodies)

    async def one(self, id: int) -> Invocation | None:
        """A request with its bodies; None if it is not kept, or not any more. Raises StoreError."""
        return await self._on_thread(self._one, id)

    async def samples(self, endpoint: str, limit: int) -> tuple[list[Invocation], int]:
        """The latest requests that are not like another one and can be sent again, the newest first.

        Besides, how many of those that came since cannot be. Raises StoreError.
        """
        return await self._on_thread(self._samples, endpoint, limit)

    async def flush(self) -> None:
        """Return when all that was recorded is written, or could not be."""
        if self._pending and not self._closed:
            await self._on_thread(bool)

    def close(self) -> None:
        """Write what is in memory and close."""
        if self._closed:
            return
        self._closed = True
        self._take()
        self._thread.submit(self._write).result()
        self._thread.shutdown()
        self._file.close()

    async def _on_thread(self, work: Callable[..., _T], *arguments: Any) -> _T:
        if self._closed:
            raise StoreError("the journal of requests is closed")

        self._take()

        def whole() -> _T:
            self._write()
            return work(*arguments)

        return await asyncio.get_running_loop().run_in_executor(self._thread, whole)

    def _take(self) -> None:
        """Put what waits on its way to the thread; whichever job comes first writes it."""
        if self._pending:
            self._batches.append(self._pending)
            self._pending = []

    def _write(self) -> None:
        while self._batches:
            self._write_batch(self._batches.popleft())

    def _write_batch(self, batch: list[Record]) -> None:
        try:
            self._file.write(batch)
        except StoreError as error:
            self.lost += len(batch)
            if not self._is_failing:
                _log.warning("requests are not recorded: %s", error.message)
            self._is_failing = True
        except Exception:  # noqa: BLE001  # whatever it is, what comes next is to be written
            self.lost += len(batch)
            _log.exception("a bug in Hotfire, met by the journal of requests")
        else:
            self._is_failing = False
        finally:
            self._done += len(batch)
            self._done_size += sum(map(_size, batch))

    def _recent(self, query: Query, limit: int, bodies: bool) -> list[Invocation]:
        found = (one for one in self._file.newest(query.before, query.failed) if query.takes(one))
        return [one.invocation(bodies=bodies) for one in islice(found, limit)]

    def _samples(self, endpoint: str, limit: int) -> tuple[list[Invocation], int]:
        found: dict[tuple[str, bytes | None], Invocation] = {}
        left_out = 0
        for one in self._file.newest():
            if len(found) == limit:
                break
            record = one.written
            if record.endpoint != endpoint or record.via == "stream" or not record.variant:
                continue
            invocation = one.invocation()
            if invocation.can_be_sent_again:
                found.setdefault((record.sent_headers, invocation.sent.body), invocation)
            else:
                left_out += 1
        return list(found.values()), left_out

    def _one(self, id: int) -> Invocation | None:
        found = self._file.find(id)
        return None if found is None else found.invocation()


def _size(record: Record) -> int:
    return len(record.sent or b"") + len(record.answer or b"")
