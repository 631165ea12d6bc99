"""Model data in S3, by content: what is there never changes, and goes when no endpoint uses it.

Below the folder of `model_data_path`, for each content with the hash HASH:

    HASH/model.tar.gz           the archive, or
    HASH/files/…                the files, with
    HASH/files.json             which file of what hash lies where: there once all of them are
    .hotfire/ENDPOINT/HASH      empty: this endpoint uses that content, or has begun to bring it
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hotfire.archive import pack
from hotfire.bucket import Bucket
from hotfire.deployment import Report
from hotfire.destination import Placement
from hotfire.errors import DeployError
from hotfire.hashes import changed, unreadable
from hotfire.model_data import Entry, ModelData

ARCHIVE, FILES, MANIFEST = "model.tar.gz", "files/", "files.json"

GIVEN_UP = 24 * 3600.0
"""Seconds after which what was begun and is of no use by then is taken for given up."""

_USERS = ".hotfire/"
_ADDRESS = re.compile(r"s3://([^/]+)/?(.*)", re.DOTALL)
_HASH = re.compile(r"[0-9a-f]{64}")


def parted(model_data_path: str) -> tuple[str, str]:
    """The bucket and the folder of an `s3://` path; an archive's name at its end is no part of the folder."""
    match = _ADDRESS.fullmatch(model_data_path)
    assert match is not None  # config.yml was checked
    bucket, path = match[1], match[2]
    if path.endswith((".tar.gz", ".tgz")):
        path = path.rpartition("/")[0]
    folder = "/".join(part for part in path.split("/") if part)
    return bucket, f"{folder}/" if folder else ""


class Depot:
    """The model data of one endpoint in the folder of a bucket.

    `packed` is where archives are packed. What was not finished after `given_up` seconds never will be.
    """

    def __init__(
        self,
        bucket: Bucket,
        folder: str,
        endpoint: str,
        packed: Path,
        *,
        as_files: bool = False,
        given_up: float = GIVEN_UP,
    ) -> None:
        self._bucket, self._folder, self._endpoint = bucket, folder, endpoint
        self._packed, self._as_files, self._given_up = packed, as_files, given_up

    def locate(self, data: ModelData) -> Placement:
        """Where it is or is to be. Raises DeployError for a bucket that is not ours."""
        as_files = self._as_files and data.packed is None
        key = self._key(data.identity, FILES if as_files else ARCHIVE)
        url = self._bucket.url(key)
        members: dict[str, Any] = {"ModelDataUrl": url}
        if as_files:
            source = {"S3Uri": url, "S3DataType": "S3Prefix", "CompressionType": "None"}
            members = {"ModelDataSource": {"S3DataSource": source}}
        if not self._bucket.exists():
            return Placement(url, members, (f"create bucket {self._bucket.name}", f"upload {url}"))
        proof = self._key(data.identity, MANIFEST) if as_files else key
        is_there = proof in self._bucket.sizes(self._key(data.identity, ""))
        return Placement(url, members, () if is_there else (f"upload {url}",))

    def put(self, data: ModelData, placement: Placement, report: Report, previous: str | None) -> None:
        """Bring it there, if it is not; said of each content that the endpoint uses."""
        if placement.steps and not self._bucket.exists():
            self._bucket.create()
            report.call(f"create bucket {self._bucket.name}")
        # Before the first byte, so that what an interrupted try leaves is found again.
        self._bucket.write(self._user(data.identity), b"")
        if not placement.steps:
            return
        if "ModelDataUrl" in placement.members:
            self._put_archive(data, report)
        else:
            self._put_files(data, report, previous)
        report.call(f"upload {placement.url}")

    def brought(self) -> dict[str, bool]:
        """The URL of each content's folder that the endpoint uses, or has begun to bring, and if long ago."""
        if not self._bucket.exists():
            return {}
        prefix = self._user("")
        ages = {key.removeprefix(prefix): age for key, age in self._bucket.ages(prefix).items()}
        return {
            self._bucket.url(self._key(content, "")): age >= self._given_up
            for content, age in ages.items()
            if _HASH.fullmatch(content)
        }

    def remove(self, urls: Iterable[str]) -> None:
        """Remove these contents, but for those that another endpoint uses."""
        users = self._bucket.sizes(self._folder + _USERS)
        for url in urls:
            content = url.rstrip("/").rpartition("/")[2]
            own = self._user(content)
            # Never anything but what is named as here, whatever else the folder holds.
            if not _HASH.fullmatch(content) or own not in users:
                continue
            if not any(key.endswith(f"/{content}") for key in users if key != own):
                self._bucket.abort([self._key(content, "")])
                self._bucket.delete(self._bucket.sizes(self._key(content, "")))
            self._bucket.delete([own])

    def _key(self, content: str, name: str) -> str:
        return f"{self._folder}{content}/{name}"

    def _user(self, content: str) -> str:
        return f"{self._folder}{_USERS}{self._endpoint}/{content}"

    def _put_archive(self, data: ModelData, report: Report) -> None:
        key = self._key(data.identity, ARCHIVE)
        file = data.packed.path if data.packed else self._pack(data, report)
        with report.progress("Uploading", file.stat().st_size) as advance:
            self._bucket.upload(file, key, advance)
        if data.packed is None:
            file.unlink()

    def _pack(self, data: ModelData, report: Report) -> Path:
        """The archive, which is kept until it is uploaded; what was packed for a given-up try goes."""
        file = self._packed / f"{data.sha256}.tar.gz"
        for other in self._packed.glob("*.tar.gz"):
            if other != file and time.time() - other.stat().st_mtime >= self._given_up:
                other.unlink(missing_ok=True)
        if not file.is_file():
            with report.progress("Packing", data.size) as advance:
                pack(data, file, advance)
        return file

    def _put_files(self, data: ModelData, report: Report, previous: str | None) -> None:
        """Each file that is not there: copied from what served before, if that has it, else uploaded."""
        prefix = self._key(data.identity, FILES)
        there = self._bucket.sizes(prefix)
        missing = [one for one in data.entries if there.get(prefix + one.place) != one.size]
        copies = self._copies(missing, previous)
        for entry in missing:
            if entry.place in copies:
                self._bucket.copy(copies[entry.place], prefix + entry.place)
        if copies:
            report.call(f"copy {len(copies)} of {len(data.entries)} files inside S3")
        sent = [entry for entry in missing if entry.place not in copies]
        with report.progress("Uploading", sum(entry.size for entry in sent)) as advance:
            for entry in sent:
                _check(entry)
                self._bucket.upload(entry.source, prefix + entry.place, advance)
        listed = {entry.place: entry.sha256 for entry in data.entries}
        self._bucket.write(self._key(data.identity, MANIFEST), json.dumps(listed).encode())

    def _copies(self, entries: Iterable[Entry], previous: str | None) -> Mapping[str, str]:
        """The key from which each of these can be copied, by its place."""
        start = self._bucket.url(self._folder)
        if previous is None or not previous.startswith(start) or not previous.endswith(f"/{FILES}"):
            return {}
        content = previous.removeprefix(start).removesuffix(f"/{FILES}")
        keys = {sha256: self._key(content, FILES) + place for place, sha256 in self._listed(content).items()}
        return {entry.place: keys[entry.sha256] for entry in entries if entry.sha256 in keys}

    def _listed(self, content: str) -> dict[str, str]:
        """Which file lies where; none if that cannot be read, for then everything is uploaded."""
        try:
            listed = json.loads(self._bucket.read(self._key(content, MANIFEST)))
        except (DeployError, ValueError):
            return {}
        return listed if isinstance(listed, dict) else {}


def _check(entry: Entry) -> None:
    """Raise ArchiveError unless the file still holds what the content is named by."""
    try:
        with entry.source.open("rb") as source:
            sha256 = hashlib.file_digest(source, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(entry.source, error) from error
    if sha256 != entry.sha256:
        raise changed(entry.source)
