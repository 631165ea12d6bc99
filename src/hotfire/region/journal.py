"""What the processes of endpoints print, kept for those who ask later."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

_SCHEMA = """
CREATE TABLE IF NOT EXISTS output (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    endpoint TEXT NOT NULL,
    stream TEXT NOT NULL,
    time INTEGER NOT NULL,
    request TEXT NOT NULL,
    line TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS output_by_endpoint ON output (endpoint, id);
"""
MOST_LINES = 100_000
"""So many lines of all endpoints are kept, the latest."""
_BATCH = 500
_TRIM_EVERY = 5_000


@dataclass(frozen=True, slots=True)
class Line:
    """A line that was printed; `time` in milliseconds since the epoch, `request` the one then in hand."""

    id: int
    endpoint: str
    stream: str
    time: int
    request: str
    text: str


@dataclass(frozen=True, slots=True)
class Stream:
    """What one instance of an endpoint printed, or all of them: its name, the times of its first line and
    its last, in milliseconds since the epoch, and its length in characters.
    """

    name: str
    first: int
    last: int
    length: int


class Journal:
    """The lines of all endpoints, in memory first, on disk in batches.

    A disk that takes no more costs the lines, not the requests during which they were printed.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._pending: list[tuple[str, str, int, str, str]] = []
        self._written = 0
        self._closed = False
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.executescript(_SCHEMA)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, endpoint: str, stream: str, request: str, text: str) -> None:
        """Take a line; cheap."""
        if not text.isascii():
            # Half a surrogate pair can be printed and cannot be stored.
            text = text.encode("utf-8", "replace").decode()
        self._pending.append((endpoint, stream, int(self._clock() * 1000), request, text))
        if len(self._pending) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Write what is in memory."""
        lines, self._pending = self._pending, []
        if not lines or self._closed:
            return
        try:
            self._database.execute("BEGIN")
            self._database.executemany(
                "INSERT INTO output (endpoint, stream, time, request, line) VALUES (?, ?, ?, ?, ?)", lines
            )
            self._trim(len(lines))
            self._database.execute("COMMIT")
        except sqlite3.DatabaseError:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")

    def lines(
        self,
        endpoint: str,
        *,
        streams: Sequence[str] = (),
        start: int | None = None,
        end: int | None = None,
        after: int | None = None,
        before: int | None = None,
        containing: str = "",
        limit: int = 10_000,
        newest_first: bool = False,
    ) -> list[Line]:
        """An endpoint's lines in the order in which they came, or in the opposite one.

        Times are in milliseconds, `end` is excluded; `after` and `before` are ids of lines, excluded too.
        `containing` is sought in whatever case.
        """
        self.flush()
        bounds = {"id > ?": after, "id < ?": before, "time >= ?": start, "time < ?": end}
        conditions = ["endpoint = ?", *(text for text, bound in bounds.items() if bound is not None)]
        values: list[Any] = [endpoint, *(bound for bound in bounds.values() if bound is not None)]
        if containing:
            conditions.append("instr(lower(line), lower(?))")
            values.append(containing)
        if streams:
            conditions.append(f"stream IN ({', '.join('?' * len(streams))})")
            values.extend(streams)
        rows = self._database.execute(
            "SELECT id, endpoint, stream, time, request, line FROM output "
            f"WHERE {' AND '.join(conditions)} ORDER BY id {'DESC' if newest_first else 'ASC'} LIMIT ?",
            (*values, limit),
        )
        return [Line(*row) for row in rows]

    def streams(self, endpoint: str) -> list[Stream]:
        """The log streams of an endpoint: one an instance."""
        self.flush()
        rows = self._database.execute(
            "SELECT stream, min(time), max(time), sum(length(line)) FROM output WHERE endpoint = ? "
            "GROUP BY stream",
            (endpoint,),
        )
        return [Stream(*row) for row in rows]

    def endpoints(self) -> list[Stream]:
        """All that each endpoint printed, as one stream that has the endpoint's name."""
        self.flush()
        rows = self._database.execute(
            "SELECT endpoint, min(time), max(time), sum(length(line)) FROM output GROUP BY endpoint"
        )
        return [Stream(*row) for row in rows]

    def has(self, endpoint: str, stream: str | None = None) -> bool:
        """Whether an endpoint of this name ever printed, or that stream of it."""
        self.flush()
        rows = self._database.execute(
            "SELECT 1 FROM output WHERE endpoint = ? AND stream = ifnull(?, stream) LIMIT 1",
            (endpoint, stream),
        )
        return rows.fetchone() is not None

    def close(self) -> None:
        """Write what is in memory and close."""
        self.flush()
        self._closed = True
        self._database.close()

    def _trim(self, written: int) -> None:
        self._written += written
        if self._written >= _TRIM_EVERY:
            self._written = 0
            self._database.execute(
                "DELETE FROM output WHERE id <= (SELECT max(id) FROM output) - ?", (MOST_LINES,)
            )
