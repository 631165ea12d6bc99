"""One file to S3, in parts: what an earlier try brought there is not sent again.

boto3's own transfers begin anew each time; for what a plain PUT carries they are not needed.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PART = 16 << 20
"""The bytes of a part, unless there would be too many."""

_MOST_PARTS = 10_000
_AT_ONCE = 6
_GONE = "NoSuchUpload"

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Target:
    """An object that is to be; `encryption` are the members that ask S3 to encrypt it."""

    bucket: str
    key: str
    encryption: Mapping[str, str]

    @property
    def names(self) -> dict[str, str]:
        """Its place, as S3's operations want it."""
        return {"Bucket": self.bucket, "Key": self.key}


def upload(client: Any, file: Path, target: Target, progress: Progress, part: int = PART) -> None:
    """Bring the file there. `progress` takes each number of bytes that are there.

    What botocore raises is raised; the parts that S3 has by then are used by the next upload of the same file
    to the same place. Raises OSError for a file that cannot be read.
    """
    size = file.stat().st_size
    part = max(part, -(-size // _MOST_PARTS))
    if size <= part:
        client.put_object(**target.names, **target.encryption, Body=file.read_bytes())
        progress(size)
        return
    name = _begun(client, target)
    if name is None:
        made = client.create_multipart_upload(**target.names, **target.encryption, ChecksumAlgorithm="SHA256")
        name = str(made["UploadId"])
    _send(client, file, target, name, part, progress)


def abort(client: Any, bucket: str, prefix: str) -> None:
    """Have S3 forget the parts of what was never uploaded whole."""
    for key, name in _unfinished(client, bucket, prefix):
        try:
            client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=name)
        except client.exceptions.NoSuchUpload:
            continue  # somebody else has ended it


def _begun(client: Any, target: Target) -> str | None:
    """The newest upload to this place that was not ended."""
    names = [name for key, name in _unfinished(client, target.bucket, target.key) if key == target.key]
    return names[-1] if names else None


def _unfinished(client: Any, bucket: str, prefix: str) -> Iterator[tuple[str, str]]:
    """Key and name of each upload that was not ended, of one key the oldest first."""
    pages = client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=prefix)
    for page in pages:
        for one in page.get("Uploads", ()):
            if one["Key"].startswith(prefix):
                yield one["Key"], one["UploadId"]


def _send(client: Any, file: Path, target: Target, name: str, size: int, progress: Progress) -> None:
    """Each part that is not there, several at once, and in the end what makes one object of them."""
    upload = {**target.names, "UploadId": name}
    there = {
        part["PartNumber"]: part
        for page in client.get_paginator("list_parts").paginate(**upload)
        for part in page.get("Parts", ())
    }
    count = -(-file.stat().st_size // size)

    def send(number: int) -> tuple[dict[str, Any], int]:
        with file.open("rb") as source:
            source.seek((number - 1) * size)
            block = source.read(size)
        checksum = b64encode(hashlib.sha256(block).digest()).decode()
        part = there.get(number)
        if part is None or not _holds(part, block, checksum):
            part = client.upload_part(**upload, PartNumber=number, Body=block, ChecksumSHA256=checksum)
        return {"PartNumber": number, "ETag": part["ETag"], "ChecksumSHA256": checksum}, len(block)

    parts = []
    pool = ThreadPoolExecutor(_AT_ONCE, "upload")
    try:
        for part, length in pool.map(send, range(1, count + 1)):
            parts.append(part)
            progress(length)
    finally:
        # What waits is not begun any more; what is on its way is not waited for, by Ctrl-C least of all.
        pool.shutdown(wait=False, cancel_futures=True)
    client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})


def _holds(part: Mapping[str, Any], block: bytes, checksum: str) -> bool:
    """Whether a part that S3 has is this block."""
    if "ChecksumSHA256" in part:
        return bool(part["ChecksumSHA256"] == checksum)
    # An imitation of S3 may keep no checksums; there the tag is the MD5, unless it is encrypted.
    return bool(part["ETag"].strip('"') == hashlib.md5(block, usedforsecurity=False).hexdigest())
