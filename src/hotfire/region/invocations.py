"""The requests that endpoints got, with what became of each: kept for those who look later."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from sqlite3 import Connection
from typing import Any, Literal, NamedTuple, Self, TypeVar, get_args

from hotfire.errors import StoreError
from hotfire.region.database import Database
from hotfire.region.masking import MASK, is_masked, mask_text, masked
from hotfire.region.quota import Limits, Quota

MOST_OF_BODY = 64 * 1024
"""So many bytes of a body are kept; its whole size is told."""
MOST_OF_MESSAGE = 4 * 1024
"""As many characters of what a client was told of a failure."""

Via = Literal["invoke", "stream", "async", "page", "api"]
"""How a request came: by an operation of SageMaker Runtime, from a model's page, or by the public API."""
VIAS: tuple[Via, ...] = get_args(Via)

_BATCH = 100
_MOST_PENDING = 20_000
_MOST_PENDING_BYTES = 64 * 1024 * 1024
"""What waits in memory for a disk that is slow; more is not recorded."""
_WEIGHT = 256
"""Bytes that a record takes besides its texts and bodies, about."""
_AT_ONCE = 500

_MIGRATIONS = (
    (
        # The bodies come last, so that to read the rest does not read them.
        """CREATE TABLE requests (
             id INTEGER PRIMARY KEY, request TEXT NOT NULL, time INTEGER NOT NULL, endpoint TEXT NOT NULL,
             variant TEXT NOT NULL, version TEXT NOT NULL, via TEXT NOT NULL, status INTEGER NOT NULL,
             error TEXT NOT NULL, message TEXT NOT NULL, seconds REAL NOT NULL, first REAL,
             has_bodies INTEGER NOT NULL, sent_size INTEGER NOT NULL, answer_size INTEGER NOT NULL,
             failed INTEGER NOT NULL, weight INTEGER NOT NULL, times TEXT NOT NULL,
             sent_headers TEXT NOT NULL, answer_headers TEXT NOT NULL, findings TEXT NOT NULL,
             sent BLOB NOT NULL, answer BLOB NOT NULL)""",
        "CREATE INDEX requests_by_age ON requests (failed, id, weight)",
        # No id is given again, also where nothing is kept any more.
        "CREATE TABLE given (last INTEGER NOT NULL)",
        "INSERT INTO given VALUES (0)",
    ),
)
_SCALARS = "id, request, time, endpoint, variant, version, via, status, error, message, seconds, first"
_REST = "has_bodies, sent_size, answer_size, times, sent_headers, answer_headers, findings"
_ROW = f"({', '.join('?' * 23)})"
_AT_A_TIME = 40
"""Rows of one statement. Each statement lets go of the interpreter and must get it back, which the event loop
has meanwhile; an older SQLite takes no more than 999 values.
"""
_CLASSES = {"none": (0, 0), "2xx": (200, 299), "3xx": (300, 399), "4xx": (400, 499), "5xx": (500, 599)}
_log = logging.getLogger("hotfire.region")

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Message:
    """A request or an answer, as it reached the container or came from it; secrets in headers are masked.

    `body` is the beginning, `size` the length of the whole. It is None where bodies are not recorded
    (`journal: false`), or were not asked for.
    """

    headers: Mapping[str, str]
    body: bytes | None
    size: int

    @property
    def is_whole(self) -> bool:
        """Whether all of the body is here."""
        return self.body is not None and len(self.body) == self.size

    @property
    def content_type(self) -> str:
        """What the body is said to be; empty if nothing is."""
        return next((value for name, value in self.headers.items() if name.lower() == "content-type"), "")


@dataclass(frozen=True, slots=True)
class Invocation:
    """A request and what became of it. `time` in milliseconds since the epoch, durations in seconds.

    `request` is the id under which it reached the container: lines of `region.journal` with it were printed
    meanwhile. `variant` and `version`, the endpoint config that then served, are empty where none was found.
    `status` is the container's, 0 where it did not answer; `error` the code of what the client was told
    (empty if all went well), `message` its text. Of an answer in parts, `first` is when the first one came,
    `answer` has the first one's body and the size of all, and `error` says if it broke off. `findings` are
    those about a failure under `hotfire dev`, as `hotfire_worker.findings` has them.
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
    has_bodies: bool
    times: Mapping[str, float]
    findings: Mapping[str, Any] | None
    sent: Message
    answer: Message

    @property
    def failed(self) -> bool:
        """Whether the client was told of an error."""
        return bool(self.error)

    @property
    def can_be_sent_again(self) -> bool:
        """Whether the very same request could be: nothing of it was cut, left out or masked."""
        return self.sent.is_whole and not any(map(is_masked, self.sent.headers.values()))


class Record(NamedTuple):
    """What is taken down of a request while it is served; the rest is done later and elsewhere.

    Bodies are of `bytes`, cut already; `None` for those that are not to be recorded.
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
    sent_headers: Mapping[str, str]
    sent: bytes | None
    sent_size: int
    answer_headers: Mapping[str, str]
    answer: bytes | None
    answer_size: int


@dataclass(frozen=True, slots=True)
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


EVERY = Query()


class Invocations:
    """The recorded requests of all endpoints: in memory first, on disk in batches, by a thread of its own.

    `record` is for the event loop and costs it no more than an append. A disk that takes no more costs the
    records, not the requests. What is read is whole: it is written before.
    """

    def __init__(self, path: Path, limits: Limits | None = None) -> None:
        self._database = Database(path, _MIGRATIONS, any_thread=True)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal of requests")
        self._pending: list[Record] = []
        self._pending_size = 0
        self._batches: deque[list[Record]] = deque()
        self._due = asyncio.Event()
        self._is_failing = self._closed = False
        self.lost = 0
        """How many were not recorded."""
        try:
            counts = "SELECT failed, count(*), sum(weight) FROM requests GROUP BY failed"
            self._quota = Quota(limits or Limits(), self._database.rows(counts))
            self._last: int = self._database.rows("SELECT last FROM given")[0][0]
            self._database.write("PRAGMA journal_size_limit = 16777216")
            with self._database.transaction():
                self._evict()
        except BaseException:
            self._thread.shutdown()
            self._database.close()
            raise

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
        if not self._quota.limits.requests:
            return
        size = len(record.sent or b"") + len(record.answer or b"")
        if len(self._pending) >= _MOST_PENDING or self._pending_size + size > _MOST_PENDING_BYTES:
            self.lost += 1
            return
        self._pending.append(record)
        if len(self._pending) == _BATCH:
            self._due.set()
        self._pending_size += size

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

    async def due(self) -> None:
        """Return when there is enough for a batch. Small ones keep nobody from the processor for long."""
        self._due.clear()
        if len(self._pending) < _BATCH:
            await self._due.wait()

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
        self._database.close()

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
            self._pending, self._pending_size = [], 0

    def _write(self) -> None:
        while self._batches:
            self._write_batch(self._batches.popleft())

    def _write_batch(self, batch: list[Record]) -> None:
        before = self._quota.copy()
        try:
            with self._database.transaction() as database:
                for begin in range(0, len(batch), _AT_A_TIME):
                    self._insert(database, batch[begin : begin + _AT_A_TIME])
                database.execute("UPDATE given SET last = ?", (batch[-1].id,))
                self._evict()
        except StoreError as error:
            self._lose(batch, before)
            if not self._is_failing:
                _log.warning("requests are not recorded: %s", error.message)
            self._is_failing = True
        except Exception:  # noqa: BLE001  # whatever it is, what comes next is to be written
            self._lose(batch, before)
            _log.exception("a bug in Hotfire, met by the journal of requests")
        else:
            self._is_failing = False

    def _lose(self, batch: list[Record], before: Quota) -> None:
        self._quota = before
        self.lost += len(batch)

    def _insert(self, database: Connection, batch: Sequence[Record]) -> None:
        values: list[Any] = []
        for record in batch:
            row, weight = _row(record)
            self._quota.add(weight, failed=bool(record.error))
            values.extend(row)
        database.execute(f"INSERT INTO requests VALUES {', '.join([_ROW] * len(batch))}", values)

    def _evict(self) -> None:
        """Let the oldest go of the kind that is to give way, until what is left is within the limits."""
        while (excess := self._quota.excess()) is not None:
            oldest = self._database.rows(
                "SELECT id, weight FROM requests WHERE failed = ? ORDER BY id LIMIT ?",
                excess.failed,
                _AT_ONCE,
            )
            if not oldest:
                self._quota.clear(failed=excess.failed)
                continue
            ending = excess.ending([(id, weight) for id, weight in oldest])
            self._quota.remove((weight for _, weight in ending), failed=excess.failed)
            last = ending[-1][0]
            self._database.write("DELETE FROM requests WHERE failed = ? AND id <= ?", excess.failed, last)

    def _recent(self, query: Query, limit: int, bodies: bool) -> list[Invocation]:
        condition, values = _condition(query)
        columns = f"{_SCALARS}, {_REST}, {'sent, answer' if bodies else 'NULL, NULL'}"
        found = self._database.rows(
            f"SELECT {columns} FROM requests WHERE {condition} ORDER BY id DESC LIMIT ?", *values, limit
        )
        return [_invocation(*row) for row in found]

    def _samples(self, endpoint: str, limit: int) -> tuple[list[Invocation], int]:
        asked = "endpoint = ? AND via != 'stream' AND variant != ''"
        whole = f"has_bodies AND length(sent) = sent_size AND NOT instr(sent_headers, '{MASK}')"
        found = self._database.rows(
            f"SELECT {_SCALARS}, {_REST}, sent, answer FROM requests WHERE id IN (SELECT max(id) "
            f"FROM requests WHERE {asked} AND {whole} GROUP BY sent_headers, sent) ORDER BY id DESC LIMIT ?",
            endpoint,
            limit,
        )
        since = found[-1][0] if len(found) == limit else 0
        query = f"SELECT count(*) FROM requests WHERE {asked} AND NOT ({whole}) AND id > ?"
        left_out: int = self._database.rows(query, endpoint, since)[0][0]
        return [_invocation(*row) for row in found], left_out

    def _one(self, id: int) -> Invocation | None:
        columns = f"{_SCALARS}, {_REST}, sent, answer"
        found = self._database.rows(f"SELECT {columns} FROM requests WHERE id = ?", id)
        return _invocation(*found[0]) if found else None


def cut(body: bytes) -> bytes:
    """What is kept of a body, without the whole of a long one in memory."""
    return body if len(body) <= MOST_OF_BODY else bytes(body[:MOST_OF_BODY])


def _row(record: Record) -> tuple[tuple[Any, ...], int]:
    """A record as it is written, and what it weighs."""
    has_bodies = record.sent is not None
    message = mask_text(record.message[:MOST_OF_MESSAGE])
    if not message.isascii():
        # Half a surrogate pair can be in it and cannot be stored.
        message = message.encode("utf-8", "replace").decode()
    texts = (
        json.dumps(record.times),
        _headers(tuple(record.sent_headers.items())),
        _headers(tuple(record.answer_headers.items())),
        json.dumps(record.findings, default=str) if record.findings else "",
    )
    sent, answer = record.sent or b"", record.answer or b""
    weight = _WEIGHT + len(message) + sum(map(len, texts)) + len(sent) + len(answer)
    row = (
        *record[:8],
        record.error,
        message,
        record.seconds,
        record.first,
        has_bodies,
        record.sent_size,
        record.answer_size,
        bool(record.error),
        weight,
        *texts,
        sent,
        answer,
    )
    return row, weight


@lru_cache(maxsize=512)
def _headers(headers: tuple[tuple[str, str], ...]) -> str:
    """Headers as they are written. Under load the same few come again and again."""
    return json.dumps(masked(headers))


def _invocation(*row: Any) -> Invocation:
    """A request as it was written: the columns in the order of _SCALARS, _REST and the bodies."""
    has_bodies, sent_size, answer_size, times, sent_headers, answer_headers, findings, sent, answer = row[12:]
    is_shown = bool(has_bodies) and sent is not None
    values: list[Any] = [
        *row[:12],
        bool(has_bodies),
        json.loads(times),
        json.loads(findings) if findings else None,
        Message(json.loads(sent_headers), sent if is_shown else None, sent_size),
        Message(json.loads(answer_headers), answer if is_shown else None, answer_size),
    ]
    return Invocation(*values)


def _condition(query: Query) -> tuple[str, list[Any]]:
    """A query as SQL has it, and its values."""
    conditions, values = ["1"], []
    for column in ("endpoint", "variant", "version", "via"):
        if value := getattr(query, column):
            conditions.append(f"{column} = ?")
            values.append(value)
    if query.failed is not None:
        conditions.append("failed = ?")
        values.append(query.failed)
    if query.status:
        conditions.append("status BETWEEN ? AND ?")
        values.extend(_CLASSES.get(query.status, (-1, -1)))
    if query.before is not None:
        conditions.append("id < ?")
        values.append(query.before)
    if query.text:
        columns = ("request", "error", "message", "CAST(sent AS TEXT)", "CAST(answer AS TEXT)")
        # In JSON a text may be written by escapes.
        patterns = dict.fromkeys((_pattern(query.text), _pattern(json.dumps(query.text)[1:-1])))
        likes = [f"{column} LIKE ? ESCAPE '!'" for _ in patterns for column in columns]
        conditions.append(f"({' OR '.join(likes)})")
        values.extend(pattern for pattern in patterns for _ in columns)
    return " AND ".join(conditions), values


def _pattern(text: str) -> str:
    """What matches wherever the text is."""
    for special in "!%_":
        text = text.replace(special, f"!{special}")
    return f"%{text}%"
