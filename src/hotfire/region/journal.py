"""What the processes of endpoints print, kept for those who ask later."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

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
        after: int = 0,
        limit: int = 10_000,
    ) -> list[Line]:
        """An endpoint's lines in the order in which they came; times in milliseconds, `end` excluded."""
        self.flush()
        conditions, values = ["endpoint = ?", "id > ?"], [endpoint, after]
        if streams:
            conditions.append(f"stream IN ({', '.join('?' * len(streams))})")
            values.extend(streams)
        if start is not None:
            conditions.append("time >= ?")
            values.append(start)
        if end is not None:
            conditions.append("time < ?")
            values.append(end)
        rows = self._database.execute(
            "SELECT id, endpoint, stream, time, request, line FROM output "
            f"WHERE {' AND '.join(conditions)} ORDER BY id LIMIT ?",
            (*values, limit),
        )
        return [Line(*row) for row in rows]

    def streams(self, endpoint: str) -> list[str]:
        """The log streams of an endpoint: one an instance."""
        self.flush()
        rows = self._database.execute("SELECT DISTINCT stream FROM output WHERE endpoint = ?", (endpoint,))
        return [row[0] for row in rows]

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
