"""What the region remembers of buckets, objects and uploads beyond their files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hotfire.region.store import Store


@dataclass(frozen=True, slots=True)
class ObjectRecord:
    """An object: true of the file that has this size and time, in nanoseconds. `facts` by the API's names."""

    bucket: str
    key: str
    size: int
    modified: int
    etag: str
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BucketRecord:
    """A bucket. `settings` holds what was put to its sub-resources, by their names."""

    name: str
    created: float
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Upload:
    """A multipart upload that is under way. `facts` are those of the object that it is to be."""

    id: str
    bucket: str
    key: str
    created: float
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an upload. `checksums` by the names that the API has for them."""

    upload: str
    number: int
    size: int
    modified: float
    etag: str
    checksums: Mapping[str, str]


class ObjectRecords:
    """The tables of S3 in the region's store; used by the store's thread."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def put(self, record: ObjectRecord) -> None:
        """Remember an object."""
        row = (record.bucket, record.key, record.size, record.modified, record.etag, json.dumps(record.facts))
        self._store.write("REPLACE INTO objects VALUES (?, ?, ?, ?, ?, ?)", *row)

    def object(self, bucket: str, key: str) -> ObjectRecord | None:
        return next(self._objects("bucket = ? AND key = ?", bucket, key), None)

    def folders(self, bucket: str) -> list[str]:
        """The keys of a bucket that end in a slash: empty objects that stand for folders."""
        rows = self._store.rows("SELECT key FROM objects WHERE bucket = ? AND key LIKE '%/'", bucket)
        return [key for (key,) in rows]

    def forget(self, bucket: str, key: str) -> None:
        """Forget an object."""
        self._store.write("DELETE FROM objects WHERE bucket = ? AND key = ?", bucket, key)

    def put_bucket(self, record: BucketRecord) -> None:
        """Remember a bucket."""
        row = (record.name, record.created, json.dumps(record.settings))
        self._store.write("REPLACE INTO buckets VALUES (?, ?, ?)", *row)

    def bucket(self, name: str) -> BucketRecord | None:
        rows = self._store.rows("SELECT * FROM buckets WHERE name = ?", name)
        return BucketRecord(rows[0][0], rows[0][1], json.loads(rows[0][2])) if rows else None

    def forget_bucket(self, name: str) -> None:
        """Forget a bucket with all that was in it."""
        with self._store.transaction() as db:
            db.execute("DELETE FROM parts WHERE upload IN (SELECT id FROM uploads WHERE bucket = ?)", (name,))
            for table, column in (("uploads", "bucket"), ("objects", "bucket"), ("buckets", "name")):
                db.execute(f"DELETE FROM {table} WHERE {column} = ?", (name,))

    def put_upload(self, upload: Upload) -> None:
        """Remember an upload that begins."""
        row = (upload.id, upload.bucket, upload.key, upload.created, json.dumps(upload.facts))
        self._store.write("REPLACE INTO uploads VALUES (?, ?, ?, ?, ?)", *row)

    def upload(self, identifier: str) -> Upload | None:
        return next(self._uploads("id = ?", identifier), None)

    def uploads(self, bucket: str) -> list[Upload]:
        """The uploads that are under way in a bucket, by key and age."""
        return list(self._uploads("bucket = ? ORDER BY key, created, id", bucket))

    def all_uploads(self) -> set[str]:
        """The ids of all that are under way."""
        return {identifier for (identifier,) in self._store.rows("SELECT id FROM uploads")}

    def forget_upload(self, identifier: str) -> None:
        """Forget an upload with its parts."""
        with self._store.transaction() as db:
            db.execute("DELETE FROM parts WHERE upload = ?", (identifier,))
            db.execute("DELETE FROM uploads WHERE id = ?", (identifier,))

    def put_part(self, part: Part) -> None:
        """Remember a part, in place of an older one of its number."""
        row = (part.upload, part.number, part.size, part.modified, part.etag, json.dumps(part.checksums))
        self._store.write("REPLACE INTO parts VALUES (?, ?, ?, ?, ?, ?)", *row)

    def parts(self, upload: str) -> Sequence[Part]:
        """The parts of an upload by their numbers."""
        rows = self._store.rows("SELECT * FROM parts WHERE upload = ? ORDER BY number", upload)
        return [
            Part(identifier, number, size, modified, etag, json.loads(sums))
            for identifier, number, size, modified, etag, sums in rows
        ]

    def _objects(self, where: str, *values: Any) -> Iterator[ObjectRecord]:
        rows = self._store.rows(f"SELECT * FROM objects WHERE {where}", *values)
        for bucket, key, size, modified, etag, facts in rows:
            yield ObjectRecord(bucket, key, size, modified, etag, json.loads(facts))

    def _uploads(self, where: str, *values: Any) -> Iterator[Upload]:
        rows = self._store.rows(f"SELECT * FROM uploads WHERE {where}", *values)
        for identifier, bucket, key, created, facts in rows:
            yield Upload(identifier, bucket, key, created, json.loads(facts))
