"""S3's operations on multipart uploads.

A part is a file of its own until the upload is completed; then the parts are joined in their order. So they
may come in any order, side by side, again, and after the region was started again.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import secrets
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hotfire.region import checksums
from hotfire.region.caller import Answer, Caller, Operation
from hotfire.region.content import Content
from hotfire.region.object_records import Part, Upload
from hotfire.region.rclone import Rclone
from hotfire.region.s3_errors import (
    BadDigest,
    EntityTooSmall,
    InvalidArgument,
    InvalidPart,
    InvalidPartOrder,
    InvalidRange,
    MalformedXML,
    NoSuchUpload,
)
from hotfire.region.vault import OWNER, Vault, byte_range, described, encryption, tags_of

LEAST_PART_BYTES = 5 * 1024 * 1024
MOST_PARTS = 10_000
_BLOCK = 1 << 20


class Uploads:
    """Multipart uploads, whose parts lie in folders of one folder."""

    def __init__(self, vault: Vault, rclone: Rclone) -> None:
        self._vault, self._rclone = vault, rclone
        self._folder = vault.buckets.staging / "parts"
        self.operations: Mapping[str, Operation] = {
            "AbortMultipartUpload": self.abort_multipart_upload,
            "CompleteMultipartUpload": self.complete_multipart_upload,
            "CreateMultipartUpload": self.create_multipart_upload,
            "ListMultipartUploads": self.list_multipart_uploads,
            "ListParts": self.list_parts,
            "UploadPart": self.upload_part,
            "UploadPartCopy": self.upload_part_copy,
        }

    def clear(self) -> None:
        """Remove what is left of uploads that are no longer under way."""
        if self._folder.is_dir():
            known = self._vault.records.all_uploads()
            for folder in self._folder.iterdir():
                if folder.name not in known:
                    shutil.rmtree(folder, ignore_errors=True)

    async def create_multipart_upload(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """Begin an upload in parts."""
        bucket, key = self._vault.check_place(params)
        if key.endswith("/"):
            raise InvalidArgument(f"The key {key!r} ends in a slash: in the local region it is a folder.")
        algorithm = params.get("ChecksumAlgorithm", "")
        if algorithm and algorithm not in checksums.ALGORITHMS:
            raise InvalidArgument(f"{algorithm} is no checksum that the local region knows.")
        kind = params.get("ChecksumType", "FULL_OBJECT" if algorithm == "CRC64NVME" else "COMPOSITE")
        checksum = {"ChecksumAlgorithm": algorithm, "ChecksumType": kind} if algorithm else {}
        facts = {**described(params), **checksum, "Tagging": params.get("Tagging", "")}
        tags_of(facts["Tagging"])
        upload = Upload(secrets.token_hex(16), bucket, key, time.time(), facts)
        self._vault.records.put_upload(upload)
        return {"Bucket": bucket, "Key": key, "UploadId": upload.id, **checksum, **encryption(facts)}

    async def upload_part(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """A part, in any order, also in place of an earlier one."""
        upload = self._upload(params)
        content: Content = params["Body"]
        number = _number(params)
        file = await self._rclone.write(aiter(content), content.length)
        part = self._keep(upload, number, file, content.etag, content.checksums)
        return {"ETag": f'"{part.etag}"', **part.checksums, **encryption(upload.facts)}

    async def upload_part_copy(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """A part that is another object or a range of it."""
        upload, number = self._upload(params), _number(params)
        _, source = self._vault.source(params)
        span = (0, source.size - 1)
        if "CopySourceRange" in params:
            found = byte_range(params["CopySourceRange"], source.size)
            if found is None:
                raise InvalidRange("The range of the copy's source is not valid")
            span = found
        file = self._vault.buckets.new_part()
        algorithm = upload.facts.get("ChecksumAlgorithm", "")
        try:
            etag, sums = await asyncio.to_thread(_copy_range, source.path, file, span, algorithm)
            part = self._keep(upload, number, file, etag, sums)
        finally:
            file.unlink(missing_ok=True)
        result = {"ETag": f'"{part.etag}"', "LastModified": part.modified, **part.checksums}
        return {"CopyPartResult": result, **encryption(upload.facts)}

    async def complete_multipart_upload(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """Join the parts to an object."""
        upload = self._upload(params)
        parts = self._chosen(upload, params.get("MultipartUpload", {}).get("Parts", ()))
        self._vault.check_place(params)
        whole = self._vault.buckets.new_part()
        files = [self._file(upload, part.number) for part in parts]
        algorithm, kind = upload.facts.get("ChecksumAlgorithm", ""), upload.facts.get("ChecksumType", "")
        try:
            full = await asyncio.to_thread(_join, files, whole, algorithm if kind == "FULL_OBJECT" else "")
            sums = _checksum_of(parts, algorithm, kind, full)
            _compare(sums, params)
            self._upload(params)  # another may have completed or aborted it meanwhile
            self._vault.check_place(params)
        except BaseException:
            whole.unlink(missing_ok=True)
            raise
        passing = ("ChecksumAlgorithm", "Tagging")
        facts = {name: value for name, value in upload.facts.items() if name not in passing}
        facts |= {"Parts": [part.size for part in parts], "Tags": tags_of(upload.facts["Tagging"]), **sums}
        found = self._vault.place(upload.bucket, upload.key, whole, _etag(parts), facts)
        self._forget(upload)
        kind_of = {"ChecksumType": kind} if sums else {}
        return {
            "Location": f"/{upload.bucket}/{upload.key}",
            "Bucket": upload.bucket,
            "Key": upload.key,
            "ETag": f'"{found.etag}"',
            **sums,
            **kind_of,
            **encryption(facts),
        }

    async def abort_multipart_upload(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """Drop an upload and its parts."""
        self._forget(self._upload(params))
        return {}

    async def list_parts(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """The parts that have come in."""
        upload = self._upload(params)
        most, after = params.get("MaxParts", 1000), params.get("PartNumberMarker", 0)
        parts = [part for part in self._vault.records.parts(upload.id) if part.number > int(after or 0)]
        shown = parts[:most]
        answer: Answer = {
            "Bucket": upload.bucket,
            "Key": upload.key,
            "UploadId": upload.id,
            "PartNumberMarker": after,
            "MaxParts": most,
            "IsTruncated": len(parts) > len(shown),
            "Parts": [
                {
                    "PartNumber": part.number,
                    "LastModified": part.modified,
                    "ETag": f'"{part.etag}"',
                    "Size": part.size,
                    **part.checksums,
                }
                for part in shown
            ],
            "Initiator": OWNER,
            "Owner": OWNER,
            "StorageClass": upload.facts.get("StorageClass", "STANDARD"),
        }
        if shown and len(parts) > len(shown):
            answer["NextPartNumberMarker"] = shown[-1].number
        return answer

    async def list_multipart_uploads(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """The uploads that are under way in a bucket."""
        bucket = self._vault.bucket(params).name
        prefix, most = params.get("Prefix", ""), params.get("MaxUploads", 1000)
        place = (params.get("KeyMarker", ""), params.get("UploadIdMarker", ""))
        found = [one for one in self._vault.records.uploads(bucket) if one.key.startswith(prefix)]
        found.sort(key=lambda one: (one.key.encode(), one.id))
        if place[0]:
            found = [one for one in found if (one.key, one.id if place[1] else "") > place]
        shown = found[:most]
        answer: Answer = {
            "Bucket": bucket,
            "KeyMarker": place[0],
            "UploadIdMarker": place[1],
            "Prefix": prefix,
            "MaxUploads": most,
            "IsTruncated": len(found) > len(shown),
            "Uploads": [
                {
                    "UploadId": one.id,
                    "Key": one.key,
                    "Initiated": one.created,
                    "StorageClass": one.facts.get("StorageClass", "STANDARD"),
                    "Owner": OWNER,
                    "Initiator": OWNER,
                }
                for one in shown
            ],
        }
        if shown and len(found) > len(shown):
            answer |= {"NextKeyMarker": shown[-1].key, "NextUploadIdMarker": shown[-1].id}
        return answer

    def _upload(self, params: Mapping[str, Any]) -> Upload:
        bucket, key = self._vault.check_key(params)
        upload = self._vault.records.upload(params["UploadId"])
        if upload is None or (upload.bucket, upload.key) != (bucket, key):
            raise NoSuchUpload(
                "The specified upload does not exist. The upload ID may be invalid, or the upload may have "
                "been aborted or completed.",
                UploadId=params["UploadId"],
            )
        return upload

    def _file(self, upload: Upload, number: int) -> Path:
        return self._folder / upload.id / str(number)

    def _keep(self, upload: Upload, number: int, file: Path, etag: str, sums: Mapping[str, str]) -> Part:
        """Take a file as a part, if the upload is still under way."""
        place = self._file(upload, number)
        size = file.stat().st_size
        if self._vault.records.upload(upload.id) is None:
            file.unlink()
            raise NoSuchUpload("The upload was aborted or completed while the part came in.")
        place.parent.mkdir(parents=True, exist_ok=True)
        file.replace(place)
        named = {checksums.member(name): value for name, value in sums.items()}
        part = Part(upload.id, number, size, time.time(), etag, named)
        self._vault.records.put_part(part)
        return part

    def _chosen(self, upload: Upload, named: Sequence[Mapping[str, Any]]) -> list[Part]:
        """The parts that the whole is to be made of."""
        numbers = [one.get("PartNumber", 0) for one in named]
        if not numbers:
            raise MalformedXML("You must specify at least one part")
        if any(later <= one for one, later in itertools.pairwise(numbers)):
            raise InvalidPartOrder("The list of parts was not in ascending order.")
        known = {part.number: part for part in self._vault.records.parts(upload.id)}
        chosen = [known.get(number) for number in numbers]
        if not all(
            part is not None and one.get("ETag", "").strip('"') == part.etag
            for part, one in zip(chosen, named, strict=True)
        ):
            raise InvalidPart("One or more of the specified parts could not be found, or have another ETag.")
        parts = [part for part in chosen if part is not None]
        if any(part.size < LEAST_PART_BYTES for part in parts[:-1]):
            raise EntityTooSmall("Your proposed upload is smaller than the minimum allowed size")
        return parts

    def _forget(self, upload: Upload) -> None:
        self._vault.records.forget_upload(upload.id)
        shutil.rmtree(self._folder / upload.id, ignore_errors=True)


def _number(params: Mapping[str, Any]) -> int:
    number: int = params["PartNumber"]
    if not 1 <= number <= MOST_PARTS:
        raise InvalidArgument(f"Part number must be an integer between 1 and {MOST_PARTS}, inclusive")
    return number


def _etag(parts: Sequence[Part]) -> str:
    """The MD5 of the parts' MD5s, and how many they are."""
    joined = b"".join(bytes.fromhex(part.etag) for part in parts)
    return f"{hashlib.md5(joined, usedforsecurity=False).hexdigest()}-{len(parts)}"


def _checksum_of(parts: Sequence[Part], algorithm: str, kind: str, full: str) -> dict[str, str]:
    """The whole's checksum, as its kind wants it; none where a part has none."""
    if not algorithm:
        return {}
    name = checksums.member(algorithm)
    if kind == "FULL_OBJECT":
        return {name: full}
    if not all(name in part.checksums for part in parts):
        return {}
    return {name: checksums.composite(algorithm, (part.checksums[name] for part in parts))}


def _compare(sums: Mapping[str, str], params: Mapping[str, Any]) -> None:
    for name, value in sums.items():
        if params.get(name, value).partition("-")[0] != value.partition("-")[0]:
            raise BadDigest(f"The {name} you specified did not match the calculated checksum.")


def _join(files: Sequence[Path], whole: Path, algorithm: str) -> str:
    """Write files one after the other; the checksum of all of it, if one is named."""
    with whole.open("xb") as target:
        for file in files:
            with file.open("rb") as source:
                shutil.copyfileobj(source, target, _BLOCK)
    if not algorithm:
        return ""
    digest = checksums.digest(algorithm)
    with whole.open("rb") as made:
        while block := made.read(_BLOCK):
            digest.update(block)
    return checksums.text(digest.digest())


def _copy_range(
    source: Path, target: Path, span: tuple[int, int], algorithm: str
) -> tuple[str, dict[str, str]]:
    """Copy some bytes of a file; their MD5, and their checksum if one is named."""
    md5 = hashlib.md5(usedforsecurity=False)
    digests = {algorithm: checksums.digest(algorithm)} if algorithm else {}
    left = span[1] - span[0] + 1
    with source.open("rb") as given, target.open("xb") as made:
        given.seek(span[0])
        while left and (block := given.read(min(_BLOCK, left))):
            left -= len(block)
            md5.update(block)
            for digest in digests.values():
                digest.update(block)
            made.write(block)
    return md5.hexdigest(), {name: checksums.text(one.digest()) for name, one in digests.items()}
