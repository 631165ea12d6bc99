"""The file of the recorded requests: hundreds of them are one row of it.

A row for each took several times as long. Each statement lets go of the interpreter some times, and whoever
waits to have it back from the event loop slows that down; so mostly one statement writes hundreds of records.
"""

from __future__ import annotations

import heapq
import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple, Self

from hotfire.region.database import Database
from hotfire.region.masking import mask_text, masked
from hotfire.region.quota import Limits, Quota
from hotfire.region.records import MOST_OF_MESSAGE, Invocation, Message, Record, Via

MOST = 250
"""Records of one row. More would keep the event loop waiting for as long as they are encoded."""
_LATE = 20
"""A row whose records are over the limit may stay until a twentieth of the limit does."""
_PAGE = 16 * 1024
_WEIGHT = 256
"""Bytes that a record takes besides its texts and bodies, about."""

_MIGRATIONS = (
    (
        # All are of one kind, failed or not, in the order of their ids. What is large comes last, so that
        # to read the rest does not read it. No id is given again, also where nothing is kept any more.
        """CREATE TABLE batches (
             last INTEGER PRIMARY KEY AUTOINCREMENT, first INTEGER NOT NULL, failed INTEGER NOT NULL,
             weights TEXT NOT NULL, records TEXT NOT NULL, bodies BLOB NOT NULL)""",
    ),
)


class Written(NamedTuple):
    """A record as the file has it, as JSON. Headers are texts in it: most are alike, and encoded once.

    Of the bodies, which lie one behind the other beside it, it has how many bytes are there; None where they
    were not to be recorded.
    """

    id: int
    request: str
    time: int
    endpoint: str
    variant: str
    version: str
    via: Via
    status: int
    error: str
    message: str
    seconds: float
    first: float | None
    times: Mapping[str, float]
    findings: Mapping[str, Any] | None
    sent_headers: str
    sent_kept: int | None
    sent_size: int
    answer_headers: str
    answer_kept: int | None
    answer_size: int


class Stored:
    """One of the records that were read. Its bodies are read when they are asked for."""

    __slots__ = ("_batch", "_number", "written")

    def __init__(self, batch: _Batch, number: int) -> None:
        self._batch, self._number = batch, number
        self.written = batch.records[number]

    @property
    def id(self) -> int:
        """The record's."""
        return self.written.id

    @property
    def bodies(self) -> tuple[bytes, bytes]:
        """What is kept of what was sent, and of what was answered."""
        return self._batch.body(2 * self._number), self._batch.body(2 * self._number + 1)

    def invocation(self, *, bodies: bool = True) -> Invocation:
        """What was recorded, with the bodies or without."""
        one = self.written
        has_bodies = one.sent_kept is not None
        sent, answer = self.bodies if has_bodies and bodies else (None, None)
        return Invocation(
            *one[:12],
            has_bodies,
            one.times,
            one.findings,
            Message(json.loads(one.sent_headers), sent, one.sent_size),
            Message(json.loads(one.answer_headers), answer, one.answer_size),
        )


class _Batch:
    """A row that was read, but for its bodies."""

    def __init__(self, database: Database, last: int) -> None:
        self._database, self._last = database, last
        found = database.rows("SELECT records FROM batches WHERE last = ?", last)
        self.records = [Written(*one) for one in json.loads(found[0][0])]

    def body(self, number: int) -> bytes:
        """Those of a record are its number doubled, and the next."""
        return self._bodies[self._places[number] : self._places[number + 1]]

    @cached_property
    def _bodies(self) -> bytes:
        found: bytes = self._database.rows("SELECT bodies FROM batches WHERE last = ?", self._last)[0][0]
        return found

    @cached_property
    def _places(self) -> Sequence[int]:
        sizes = (size or 0 for one in self.records for size in (one.sent_kept, one.answer_kept))
        return list(accumulate(sizes, initial=0))


class _Kept(NamedTuple):
    """A row, by the ids of its first and its last record; so many at its beginning are to be had no more."""

    first: int
    last: int
    weights: Sequence[int]
    gone: int = 0


class _Ended(NamedTuple):
    """A row that is to be deleted, with what was in it."""

    failed: bool
    last: int
    requests: int
    size: int


_Statement = tuple[Any, ...]
"""In SQL, and its values."""


class Batches:
    """The records of a file, within limits. One thread uses it at a time, whichever. Raises StoreError."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self._database = Database(path, _MIGRATIONS, any_thread=True, page_size=_PAGE)
        self._kept: dict[bool, deque[_Kept]] = {False: deque(), True: deque()}
        self._limits, self._quota = limits, Quota(limits)
        self._ended: list[_Ended] = []
        try:
            rows = self._database.rows("SELECT failed, first, last, weights FROM batches ORDER BY last")
            for failed, first, last, weights in rows:
                self._add(_Kept(first, last, json.loads(weights)), failed=bool(failed))
            given = self._database.rows("SELECT seq FROM sqlite_sequence WHERE name = 'batches'")
            self.last_id: int = given[0][0] if given else 0
            """The greatest that a record ever had."""
            self._database.write("PRAGMA journal_size_limit = 16777216")
            self._evict()
            self._change(self._deletions(all_of_them=True))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def write(self, records: Sequence[Record]) -> None:
        """Keep these, which are newer than all that are kept, and let go of what is too much then.

        Either all of them are written or none.
        """
        kept = {failed: deque(rows) for failed, rows in self._kept.items()}
        before = kept, self._quota.copy(), list(self._ended)
        try:
            insertions = [
                self._insertion(some, failed=failed)
                for failed in (False, True)
                for some in _parts([one for one in records if bool(one.error) is failed])
            ]
            self._evict()
            self._change([*insertions, *self._deletions()])
        except BaseException:
            self._kept, self._quota, self._ended = before
            raise

    def newest(self, before: int | None = None, failed: bool | None = None) -> Iterator[Stored]:
        """The records, the newest first: those with ids below `before`, failed or not if that matters."""
        kinds = (False, True) if failed is None else (failed,)
        found = (self._newest(one, before) for one in kinds)
        yield from heapq.merge(*found, key=_id, reverse=True)

    def find(self, id: int) -> Stored | None:
        """The record with this id, if it is kept."""
        found = next(self.newest(id + 1), None)
        return found if found is not None and found.id == id else None

    def _newest(self, failed: bool, before: int | None) -> Iterator[Stored]:
        for kept in reversed(self._kept[failed]):
            if before is None or kept.first < before:
                batch = _Batch(self._database, kept.last)
                for number in range(len(batch.records) - 1, kept.gone - 1, -1):
                    if before is None or batch.records[number].id < before:
                        yield Stored(batch, number)

    def _change(self, statements: Sequence[_Statement]) -> None:
        """All of it or nothing."""
        if len(statements) == 1:
            self._database.write(*statements[0])
        elif statements:
            with self._database.transaction() as database:
                for statement, *values in statements:
                    database.execute(statement, values)

    def _insertion(self, records: Sequence[Record], *, failed: bool) -> _Statement:
        written, weights = zip(*map(_written, records), strict=True)
        kept = _Kept(records[0].id, records[-1].id, weights)
        self._add(kept, failed=failed)
        return (
            "INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?)",
            kept.last,
            kept.first,
            failed,
            json.dumps(kept.weights),
            _encoded(written),
            b"".join([body for one in records for body in (one.sent, one.answer) if body]),
        )

    def _add(self, kept: _Kept, *, failed: bool) -> None:
        self._kept[failed].append(kept)
        self._quota.add(kept.weights, failed=failed)

    def _evict(self) -> None:
        """Let the oldest go of the kind that is to give way, until what is left is within the limits."""
        while (excess := self._quota.excess()) is not None:
            rows = self._kept[excess.failed]
            oldest = rows[0]
            ending = excess.ending(oldest.weights[oldest.gone :])
            self._quota.remove(ending, failed=excess.failed)
            rows[0] = oldest._replace(gone=oldest.gone + len(ending))
            if rows[0].gone == len(oldest.weights):
                rows.popleft()
                weights = oldest.weights
                self._ended.append(_Ended(excess.failed, oldest.last, len(weights), sum(weights)))

    def _deletions(self, *, all_of_them: bool = False) -> list[_Statement]:
        """Of the rows all of whose records have gone, once there are enough of them."""
        ended, limits = self._ended, self._limits
        requests, size = sum(one.requests for one in ended), sum(one.size for one in ended)
        is_late = requests * _LATE > limits.requests or size * _LATE > limits.size
        if not ended or not (is_late or all_of_them):
            return []
        self._ended = []
        newest = {one.failed: one.last for one in ended}
        return [("DELETE FROM batches WHERE failed = ? AND last <= ?", *one) for one in newest.items()]


def _parts(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    for begin in range(0, len(records), MOST):
        yield records[begin : begin + MOST]


def _encoded(records: Sequence[tuple[Any, ...]]) -> str:
    """As JSON, in a tenth of the time that Python's own takes; the event loop waits meanwhile."""
    import orjson

    try:
        return orjson.dumps(records, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:
        return json.dumps(records, default=str)  # numbers of more than 64 bits, halves of surrogate pairs


def _id(one: Stored) -> int:
    return one.id


def _written(record: Record) -> tuple[tuple[Any, ...], int]:
    """A record as `Written` has it, and about how many bytes it takes."""
    message, findings, weight = record.message, record.findings or None, _WEIGHT
    if message:
        message = mask_text(message[:MOST_OF_MESSAGE])
        if not message.isascii():
            # No page could show half a surrogate pair.
            message = message.encode("utf-8", "replace").decode()
    if findings is not None:
        weight += len(json.dumps(findings, default=str))
    sent_headers = _headers(tuple(record.sent_headers.items()))
    answer_headers = _headers(tuple(record.answer_headers.items()))
    sent = None if record.sent is None else len(record.sent)
    answer = None if record.answer is None else len(record.answer)
    written = (
        *record[:9],
        message,
        record.seconds,
        record.first,
        record.times,
        findings,
        sent_headers,
        sent,
        record.sent_size,
        answer_headers,
        answer,
        record.answer_size,
    )
    return written, weight + len(message) + len(sent_headers) + len(answer_headers) + (sent or 0) + (
        answer or 0
    )


@lru_cache(maxsize=512)
def _headers(headers: tuple[tuple[str, str], ...]) -> str:
    """Headers as they are written. Under load the same few come again and again."""
    return json.dumps(masked(headers))
