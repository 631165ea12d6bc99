"""Buckets as folders: `s3://bucket/key` is the file `objects/bucket/key` of the region's home."""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from hotfire.archive import beside, written
from hotfire.errors import ArchiveError
from hotfire.region.keys import beside_itself, is_bucket_name, key_parts
from hotfire.region.object_records import BucketRecord, ObjectRecord, ObjectRecords
from hotfire.region.store import Store

STAGING = ".uploads"
"""The folder, beside the buckets, of what is still coming in: no bucket can have the name."""

_OWN_TYPE = "binary/octet-stream"  # what S3 says of an object that was given none


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as it lies there. `modified` in seconds since the epoch, `etag` without its quotes."""

    path: Path
    key: str
    size: int
    modified: float
    etag: str
    facts: Mapping[str, Any]


class Buckets:
    """The buckets below one folder. What it remembers of objects it keeps in the store, by whose thread
    `write` and all below it are called; `path` and `read` by any."""

    def __init__(self, folder: Path, store: Store) -> None:
        self._folder = folder
        self.records = ObjectRecords(store)
        self.staging = folder / STAGING

    def path(self, url: str) -> Path:
        """The file or folder that an `s3://` or a `file://` address names, whether or not it is there.

        Raises ArchiveError for another kind of address, and for one that no file here can have.
        """
        parts = urlsplit(url)
        if parts.scheme == "file":
            return Path(unquote(parts.netloc + parts.path))
        if parts.scheme != "s3":
            raise ArchiveError(
                f"{url} is no address that the local region reads.", "Name an s3:// or a file:// address."
            )
        # Not by urlsplit: a key may hold # and ?, and is not percent-encoded.
        bucket, _, key = url.partition("://")[2].partition("/")
        return self.file(bucket, key) if key else self.folder(bucket)

    def read(self, url: str) -> bytes:
        """The bytes at an address. Raises ArchiveError when they cannot be read."""
        path = self.path(url)
        try:
            return path.read_bytes()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise self.absent(url) from error
        except OSError as error:
            raise ArchiveError(f"{url} cannot be read: {path}: {error.strerror}.") from error

    def write(
        self, url: str, body: bytes, content_type: str, metadata: Mapping[str, str] | None = None
    ) -> None:
        """Make a file or object, whole or not at all; a bucket that is not there is made.

        Raises ArchiveError when it cannot be.
        """
        path = self.path(url)
        if not url.startswith("s3://"):
            with written(path, len(body)), beside(path) as part:
                part.write_bytes(body)
                part.replace(path)
            return
        bucket, _, key = url.removeprefix("s3://").partition("/")
        if not key or key.endswith("/"):
            raise ArchiveError(f"{url} names no object, but a bucket or a folder.", "Name an object.")
        if not self.folder(bucket).is_dir():
            self.create(bucket)
        part = self.new_part()
        try:
            with written(path, len(body)):
                part.write_bytes(body)
            facts = {"ContentType": content_type, "Metadata": dict(metadata or {})}
            etag = hashlib.md5(body, usedforsecurity=False).hexdigest()
            self.put(bucket, key, part, etag, facts)
        finally:
            part.unlink(missing_ok=True)

    def absent(self, url: str) -> ArchiveError:
        """The error of an address with nothing there; of an object, it says what is missing."""
        path = self.path(url)
        if not url.startswith("s3://"):
            return ArchiveError(f"There is no {path}.")
        bucket = url.removeprefix("s3://").partition("/")[0]
        if not self.folder(bucket).is_dir():
            return ArchiveError(
                f"There is no {url}: the local region has no bucket {bucket}.",
                f"Make it with `aws s3 mb s3://{bucket}`, or as the folder {self.folder(bucket)}.",
            )
        return ArchiveError(
            f"There is no {url} in the local region.",
            f"Put it there with `aws s3 cp FILE {url}`, or as the file {path}.",
        )

    def folder(self, bucket: str) -> Path:
        """Where a bucket is or would be. Raises ArchiveError for what is no bucket's name."""
        if not is_bucket_name(bucket):
            raise ArchiveError(f"{bucket!r} cannot be the name of a bucket.")
        return self._folder / bucket

    def file(self, bucket: str, key: str) -> Path:
        """Where an object is or would be. Raises ArchiveError for a key that no file can have."""
        return self.folder(bucket).joinpath(*key_parts(key))

    def names(self) -> list[str]:
        """All buckets, those that a user made as folders too."""
        try:
            entries = list(self._folder.iterdir())
        except FileNotFoundError:
            return []
        return sorted(entry.name for entry in entries if is_bucket_name(entry.name) and entry.is_dir())

    def create(self, bucket: str, settings: Mapping[str, Any] | None = None) -> None:
        """Make a bucket, if it is not there."""
        with written(self.folder(bucket)):
            self.folder(bucket).mkdir(parents=True, exist_ok=True)
        self.records.put_bucket(BucketRecord(bucket, time.time(), settings or {}))

    def delete(self, bucket: str) -> bool:
        """Remove a bucket; whether that could be, as nothing but empty folders was in it."""
        top = self.folder(bucket)
        if top.is_symlink():
            return False
        for folder, _, _ in os.walk(top, topdown=False):
            try:
                Path(folder).rmdir()
            except OSError:  # what no key can name is somebody's, too
                return False
        self.records.forget_bucket(bucket)
        return True

    def bucket(self, name: str) -> BucketRecord | None:
        """A bucket; of one that a user made as a folder, what the folder says."""
        folder = self.folder(name)
        if not folder.is_dir():
            return None
        return self.records.bucket(name) or BucketRecord(name, folder.stat().st_mtime, {})

    def new_part(self) -> Path:
        """A new file's path for what is to become an object, on the disk of the buckets."""
        with written(self.staging):
            self.staging.mkdir(parents=True, exist_ok=True)
        return self.staging / secrets.token_hex(16)

    def clear(self) -> None:
        """Remove what was to become an object when the last region ended."""
        if self.staging.is_dir():
            for path in self.staging.iterdir():
                if not path.is_dir():
                    path.unlink()

    def find(self, bucket: str, key: str) -> Stored | None:
        """An object that is there."""
        path = self.file(bucket, key)
        record = self.records.object(bucket, key)
        if key.endswith("/"):
            return stored_folder(path, record) if record is not None and path.is_dir() else None
        try:
            status = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return stored(path, key, status, record) if path.is_file() else None

    def make_room(self, bucket: str, key: str) -> None:
        """See that nothing stands in the way of a key, and clear away what is no object.

        Raises ArchiveError.
        """
        top, path = self.folder(bucket), self.file(bucket, key)
        for parent in reversed(path.relative_to(top).parents[:-1]):
            if (top / parent).exists() and not (top / parent).is_dir():
                raise beside_itself(key, str(parent))
        if key.endswith("/"):
            if path.exists() and not path.is_dir():
                raise beside_itself(key, key.removesuffix("/"))
        elif path.is_dir():
            for folder, _, _ in os.walk(path, topdown=False):
                self._prune(bucket, Path(folder))
            if path.is_dir():
                raise beside_itself(key, f"{key}/")

    def put(self, bucket: str, key: str, part: Path, etag: str, facts: Mapping[str, Any]) -> Stored:
        """Make an object of a file, which is moved; of a key that ends in a slash, a folder of an empty one.

        Raises ArchiveError for a key that would have to be a file and a folder at once.
        """
        path = self.file(bucket, key)
        if key.endswith("/") and part.stat().st_size:
            raise ArchiveError(
                f"The key {key!r} ends in a slash, and in the local region such an object is a folder, which "
                "has no content.",
                "Choose another key.",
            )
        self.make_room(bucket, key)
        with written(path):
            if key.endswith("/"):
                path.mkdir(parents=True, exist_ok=True)
                part.unlink()
                status = path.stat()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                status = part.stat()
                part.replace(path)
        size = 0 if key.endswith("/") else status.st_size
        record = ObjectRecord(bucket, key, size, status.st_mtime_ns, etag, facts)
        self.records.put(record)
        return Stored(path, key, size, record.modified / 1e9, etag, facts)

    def describe(self, bucket: str, found: Stored, facts: Mapping[str, Any]) -> None:
        """Remember other facts of an object that is there."""
        modified = found.path.stat().st_mtime_ns
        self.records.put(ObjectRecord(bucket, found.key, found.size, modified, found.etag, facts))

    def remove(self, bucket: str, key: str) -> None:
        """Remove an object, if it is there, and the folders that it leaves empty."""
        path = self.file(bucket, key)
        self.records.forget(bucket, key)
        try:
            if not key.endswith("/"):
                path.unlink()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return
        self._prune(bucket, path if key.endswith("/") else path.parent)

    def _prune(self, bucket: str, folder: Path) -> None:
        """Remove a folder and those above it, as far as they are empty and no object stands for them."""
        top = self.folder(bucket)
        while folder != top:
            if self.records.object(bucket, f"{folder.relative_to(top)}/") is not None:
                return
            try:
                folder.rmdir()
            except OSError:  # it holds something, or is no folder of its own
                return
            folder = folder.parent


def stored(path: Path, key: str, status: os.stat_result, record: ObjectRecord | None) -> Stored:
    """An object that is a file. What is remembered holds only while the file is as it was left."""
    if record is not None and (record.size, record.modified) == (status.st_size, status.st_mtime_ns):
        return Stored(path, key, status.st_size, status.st_mtime, record.etag, record.facts)
    # A user put it there. Its content is not read for it: in this form no client takes it for an MD5.
    identity = f"{status.st_size} {status.st_mtime_ns} {status.st_ino}"
    etag = f"{hashlib.md5(identity.encode(), usedforsecurity=False).hexdigest()}-1"
    return Stored(path, key, status.st_size, status.st_mtime, etag, {"ContentType": _OWN_TYPE})


def stored_folder(path: Path, record: ObjectRecord) -> Stored:
    """An empty object that stands for a folder."""
    return Stored(path, record.key, 0, record.modified / 1e9, record.etag, record.facts)
