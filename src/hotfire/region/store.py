"""What the region knows, in one SQLite file that outlives it.

One thread uses a store: the one that runs the event loop. A write is on disk when its method returns
(the last ones may be lost with the machine's power, never with the process).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from hotfire.region.database import Database
from hotfire.resources import Endpoint, EndpointConfig, Model

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE models (
             name TEXT PRIMARY KEY, arn TEXT NOT NULL, created REAL NOT NULL, request TEXT NOT NULL)""",
        """CREATE TABLE configs (
             name TEXT PRIMARY KEY, arn TEXT NOT NULL, created REAL NOT NULL, request TEXT NOT NULL)""",
        """CREATE TABLE endpoints (
             name TEXT PRIMARY KEY, arn TEXT NOT NULL, config_name TEXT NOT NULL, status TEXT NOT NULL,
             created REAL NOT NULL, modified REAL NOT NULL, failure_reason TEXT NOT NULL)""",
        # What an endpoint serves, kept apart from its config and models, which may be deleted under it.
        "CREATE TABLE fleets (endpoint TEXT PRIMARY KEY, plan TEXT NOT NULL)",
        "CREATE TABLE examples (endpoint TEXT PRIMARY KEY, value TEXT NOT NULL)",
        """CREATE TABLE tags (
             arn TEXT, position INTEGER, key TEXT NOT NULL, value TEXT NOT NULL,
             PRIMARY KEY (arn, position))""",
        """CREATE TABLE processes (
             pid INTEGER PRIMARY KEY, start_time REAL NOT NULL, command TEXT NOT NULL, kind TEXT NOT NULL)""",
        "CREATE TABLE trees (sha256 TEXT PRIMARY KEY, created REAL NOT NULL, info TEXT NOT NULL)",
    ),
    (
        # What a file cannot say of the object that it is; true of the file that has this size and time.
        """CREATE TABLE objects (
             bucket TEXT, key TEXT, size INTEGER NOT NULL, modified INTEGER NOT NULL, etag TEXT NOT NULL,
             facts TEXT NOT NULL, PRIMARY KEY (bucket, key)) WITHOUT ROWID""",
        "CREATE TABLE buckets (name TEXT PRIMARY KEY, created REAL NOT NULL, settings TEXT NOT NULL)",
        """CREATE TABLE uploads (
             id TEXT PRIMARY KEY, bucket TEXT NOT NULL, key TEXT NOT NULL, created REAL NOT NULL,
             facts TEXT NOT NULL)""",
        """CREATE TABLE parts (
             upload TEXT, number INTEGER, size INTEGER NOT NULL, modified REAL NOT NULL, etag TEXT NOT NULL,
             checksums TEXT NOT NULL, PRIMARY KEY (upload, number)) WITHOUT ROWID""",
    ),
    (
        # The numbers are never given again: who has seen one has seen all below.
        """CREATE TABLE tickets (
             number INTEGER PRIMARY KEY AUTOINCREMENT, endpoint TEXT NOT NULL, aws_region TEXT NOT NULL,
             received REAL NOT NULL, expires REAL NOT NULL, seconds REAL NOT NULL, params TEXT NOT NULL,
             output TEXT NOT NULL, failure TEXT NOT NULL, body BLOB)""",
        "CREATE INDEX tickets_by_endpoint ON tickets (endpoint, number)",
    ),
    (
        # No models are all of them. `used` is when it was last, to a minute.
        """CREATE TABLE api_keys (
             name TEXT PRIMARY KEY, prefix TEXT NOT NULL, sha256 BLOB NOT NULL, models TEXT NOT NULL,
             created REAL NOT NULL, expires REAL, used REAL) WITHOUT ROWID""",
    ),
    (
        # When which endpoint config began to serve.
        "CREATE TABLE deploys (endpoint TEXT NOT NULL, time REAL NOT NULL, version TEXT NOT NULL)",
        "CREATE INDEX deploys_by_endpoint ON deploys (endpoint)",
    ),
    ("CREATE TABLE apps (endpoint TEXT PRIMARY KEY, value TEXT NOT NULL)",),
    (
        # Of each config that was deployed, so that an endpoint that goes back to it has its page.
        """CREATE TABLE pages (
             endpoint TEXT, config TEXT, value TEXT NOT NULL,
             PRIMARY KEY (endpoint, config)) WITHOUT ROWID""",
    ),
)
"""The statements that lead from each version of the schema to the next; never changed, only added to."""

_Requested = TypeVar("_Requested", Model, EndpointConfig)


@dataclass(frozen=True, slots=True)
class Process:
    """A process that the region started. A pid comes again, a pid with its start time does not."""

    pid: int
    start_time: float
    command: str
    kind: str


@dataclass(frozen=True, slots=True)
class Tree:
    """Model data that the region keeps, by the hash of its content."""

    sha256: str
    created: float
    info: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Deploy:
    """That an endpoint config began to serve, `time` in seconds since the epoch."""

    time: float
    version: str


class Store(Database):
    """The region's database. Opening brings an older one up to date, after copying it.

    Raises StoreError when the file is of a newer version, is no database, or cannot be written.
    """

    def __init__(self, path: Path, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> None:
        super().__init__(path, migrations)

    def put_model(self, model: Model, tags: Mapping[str, str] | None = None) -> None:
        """Store a model, and its tags if they are given."""
        self._put_requested("models", model, tags)

    def model(self, name: str) -> Model | None:
        return next(self._requested("models", Model, "WHERE name = ?", name), None)

    def models(self) -> list[Model]:
        """Every model, by name."""
        return list(self._requested("models", Model, "ORDER BY name"))

    def delete_model(self, name: str) -> None:
        """Forget a model and its tags, if there is one."""
        self._delete("models", name)

    def put_config(self, config: EndpointConfig, tags: Mapping[str, str] | None = None) -> None:
        """Store an endpoint config, and its tags if they are given."""
        self._put_requested("configs", config, tags)

    def config(self, name: str) -> EndpointConfig | None:
        return next(self._requested("configs", EndpointConfig, "WHERE name = ?", name), None)

    def configs(self) -> list[EndpointConfig]:
        """Every endpoint config, by name."""
        return list(self._requested("configs", EndpointConfig, "ORDER BY name"))

    def delete_config(self, name: str) -> None:
        """Forget an endpoint config and its tags, if there is one."""
        self._delete("configs", name)

    def put_endpoint(self, endpoint: Endpoint, tags: Mapping[str, str] | None = None) -> None:
        """Store an endpoint's state, and its tags if they are given."""
        row = (
            endpoint.name,
            endpoint.arn,
            endpoint.config_name,
            endpoint.status,
            endpoint.created,
            endpoint.modified,
            endpoint.failure_reason,
        )
        with self.transaction():
            self._db.execute("REPLACE INTO endpoints VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            self._put_tags(endpoint.arn, tags)

    def endpoint(self, name: str) -> Endpoint | None:
        rows = self.rows("SELECT * FROM endpoints WHERE name = ?", name)
        return Endpoint(*rows[0]) if rows else None

    def endpoints(self) -> list[Endpoint]:
        """Every endpoint, by name."""
        return [Endpoint(*row) for row in self.rows("SELECT * FROM endpoints ORDER BY name")]

    def delete_endpoint(self, name: str) -> None:
        """Forget an endpoint with its tags, fleet, examples and deploys, if there is one."""
        self._delete("endpoints", name)

    def put_fleet(self, endpoint_name: str, plan: Any) -> None:
        """Keep what an endpoint serves, as JSON, whatever becomes of its config and models."""
        self.write("REPLACE INTO fleets VALUES (?, ?)", endpoint_name, json.dumps(plan))

    def fleet(self, endpoint_name: str) -> Any | None:
        return self._json("SELECT plan FROM fleets WHERE endpoint = ?", endpoint_name)

    def put_examples(self, endpoint_name: str, value: Any) -> None:
        """Keep an endpoint's examples, as JSON."""
        self.write("REPLACE INTO examples VALUES (?, ?)", endpoint_name, json.dumps(value))

    def put_app(self, endpoint_name: str, value: Any) -> None:
        """Keep what is declared of an endpoint's page, as JSON; None is nothing."""
        self.write("REPLACE INTO apps VALUES (?, ?)", endpoint_name, json.dumps(value))

    def app(self, endpoint_name: str) -> Any | None:
        return self._json("SELECT value FROM apps WHERE endpoint = ?", endpoint_name)

    def examples(self, endpoint_name: str) -> Any | None:
        return self._json("SELECT value FROM examples WHERE endpoint = ?", endpoint_name)

    def put_page(self, endpoint_name: str, value: Any) -> None:
        """Keep what an endpoint's page is made of while it serves the config that it has now, as JSON."""
        self.write(
            "REPLACE INTO pages SELECT name, config_name, ? FROM endpoints WHERE name = ?",
            json.dumps(value),
            endpoint_name,
        )

    def page(self, endpoint_name: str) -> Any | None:
        """What was kept of the config that the endpoint has now."""
        return self._json(
            "SELECT value FROM pages JOIN endpoints ON name = endpoint AND config_name = config "
            "WHERE endpoint = ?",
            endpoint_name,
        )

    def add_deploy(self, endpoint_name: str, time: float, version: str) -> None:
        """Remember when a config began to serve."""
        self.write("INSERT INTO deploys VALUES (?, ?, ?)", endpoint_name, time, version)

    def deploys(self, endpoint_name: str) -> list[Deploy]:
        """When which config of an endpoint began to serve, the oldest first; the last hundred."""
        query = "SELECT time, version FROM deploys WHERE endpoint = ? ORDER BY rowid DESC LIMIT 100"
        return [Deploy(*row) for row in reversed(self.rows(query, endpoint_name))]

    def set_tags(self, arn: str, tags: Mapping[str, str]) -> None:
        """Give a resource these tags, in this order, and no others."""
        with self.transaction():
            self._put_tags(arn, tags)

    def tags(self, arn: str) -> dict[str, str]:
        """A resource's tags in their order."""
        return dict(self.rows("SELECT key, value FROM tags WHERE arn = ? ORDER BY position", arn))

    def add_process(self, process: Process) -> None:
        """Remember a process, to be ended by the next region if this one cannot."""
        row = (process.pid, process.start_time, process.command, process.kind)
        self.write("REPLACE INTO processes VALUES (?, ?, ?, ?)", *row)

    def remove_process(self, pid: int) -> None:
        """Forget a process that has ended."""
        self.write("DELETE FROM processes WHERE pid = ?", pid)

    def processes(self) -> list[Process]:
        """Every process that was not seen to end."""
        return [Process(*row) for row in self.rows("SELECT * FROM processes ORDER BY pid")]

    def put_tree(self, tree: Tree) -> None:
        """Remember model data that is kept."""
        self.write("REPLACE INTO trees VALUES (?, ?, ?)", tree.sha256, tree.created, json.dumps(tree.info))

    def tree(self, sha256: str) -> Tree | None:
        return next(self._trees("WHERE sha256 = ?", sha256), None)

    def trees(self) -> list[Tree]:
        """All model data that is kept, the oldest first."""
        return list(self._trees("ORDER BY created, sha256"))

    def delete_tree(self, sha256: str) -> None:
        """Forget model data, if it is known."""
        self.write("DELETE FROM trees WHERE sha256 = ?", sha256)

    def _put_requested(
        self, table: str, resource: Model | EndpointConfig, tags: Mapping[str, str] | None
    ) -> None:
        row = (resource.name, resource.arn, resource.created, json.dumps(resource.request))
        with self.transaction():
            self._db.execute(f"REPLACE INTO {table} VALUES (?, ?, ?, ?)", row)
            self._put_tags(resource.arn, tags)

    def _requested(self, table: str, kind: type[_Requested], rest: str, *values: Any) -> Iterator[_Requested]:
        for name, arn, created, request in self.rows(f"SELECT * FROM {table} {rest}", *values):
            yield kind(name, arn, created, json.loads(request))

    def _trees(self, rest: str, *values: Any) -> Iterator[Tree]:
        for sha256, created, info in self.rows(f"SELECT * FROM trees {rest}", *values):
            yield Tree(sha256, created, json.loads(info))

    def _delete(self, table: str, name: str) -> None:
        with self.transaction():
            self._db.execute(
                f"DELETE FROM tags WHERE arn IN (SELECT arn FROM {table} WHERE name = ?)", (name,)
            )
            self._db.execute(f"DELETE FROM {table} WHERE name = ?", (name,))
            if table == "endpoints":
                self._db.execute("DELETE FROM fleets WHERE endpoint = ?", (name,))
                self._db.execute("DELETE FROM examples WHERE endpoint = ?", (name,))
                self._db.execute("DELETE FROM deploys WHERE endpoint = ?", (name,))
                self._db.execute("DELETE FROM apps WHERE endpoint = ?", (name,))
                self._db.execute("DELETE FROM pages WHERE endpoint = ?", (name,))
            if table == "configs":
                self._db.execute("DELETE FROM pages WHERE config = ?", (name,))

    def _put_tags(self, arn: str, tags: Mapping[str, str] | None) -> None:
        if tags is None:
            return
        rows = [(arn, position, key, value) for position, (key, value) in enumerate(tags.items())]
        self._db.execute("DELETE FROM tags WHERE arn = ?", (arn,))
        self._db.executemany("INSERT INTO tags VALUES (?, ?, ?, ?)", rows)

    def _json(self, query: str, *values: Any) -> Any | None:
        rows = self.rows(query, *values)
        return json.loads(rows[0][0]) if rows else None
