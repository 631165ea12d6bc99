"""A SQLite file of the region's, that outlives it.

A write is on disk when its method returns (the last ones may be lost with the machine's power, never with
the process). One thread uses a database.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Self

from hotfire.errors import StoreError


class Database:
    """Tables of which each version of the schema is made from the one before.

    Opening brings an older file up to date, after copying it. Raises StoreError when the file is of a newer
    version, is no database, or cannot be written. With `any_thread` it is for whoever uses it to see that no
    two threads do so at once. `page_size`, in bytes, is a new file's; large rows are written faster to large
    pages.
    """

    def __init__(
        self,
        path: Path,
        migrations: Sequence[Sequence[str]],
        *,
        any_thread: bool = False,
        page_size: int = 4096,
    ) -> None:
        self._path = path
        with reported(path):
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=not any_thread)
            try:
                self._db.execute(f"PRAGMA page_size = {page_size}")
                self._open(migrations)
            except BaseException:
                self._db.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """What a query finds."""
        with reported(self._path):
            return self._db.execute(query, values).fetchall()

    def write(self, statement: str, *values: Any) -> None:
        """Make one change."""
        with reported(self._path):
            self._db.execute(statement, values)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Several changes: all of them or none."""
        with reported(self._path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # some errors have rolled back by themselves
                    self._db.execute("ROLLBACK")
                raise

    def _open(self, migrations: Sequence[Sequence[str]]) -> None:
        self._db.execute("PRAGMA busy_timeout = 5000")
        version = int(self._db.execute("PRAGMA user_version").fetchone()[0])
        if version > len(migrations):
            raise StoreError(
                f"{self._path} is of version {version}; this Hotfire knows none above {len(migrations)}.",
                "Install the newer Hotfire that wrote it, or set HOTFIRE_HOME to another folder.",
            )
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        if version < len(migrations):
            self._migrate(version, migrations)

    def _migrate(self, version: int, migrations: Sequence[Sequence[str]]) -> None:
        if version > 0:
            backup = self._path.with_name(f"{self._path.name}.v{version}.bak")
            with closing(sqlite3.connect(backup)) as copy:
                self._db.backup(copy)
        with self.transaction():
            for statements in migrations[version:]:
                for statement in statements:
                    self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version = {len(migrations)}")


@contextmanager
def reported(path: Path) -> Iterator[None]:
    """SQLite's errors as ours."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)
        if code == sqlite3.SQLITE_FULL:
            raise StoreError(f"No space is left to write {path}.", "Free some space on that disk.") from error
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            raise StoreError(f"{path} is not a sound database: {error}.", f"Move {path} away.") from error
        advice = f"See that {path} and its folder can be read and written and that their disk has space."
        raise StoreError(f"{path} cannot be used: {error}.", advice) from error
