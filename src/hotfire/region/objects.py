"""S3's operations on objects.

The region has the names, the facts and the conditions; rclone carries the bodies.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hotfire.region import checksums
from hotfire.region.buckets import Stored
from hotfire.region.caller import Answer, Caller, Operation
from hotfire.region.content import Content
from hotfire.region.rclone import Rclone
from hotfire.region.s3_errors import InvalidArgument, MalformedXML, S3Error
from hotfire.region.vault import (
    DESCRIBING,
    GRANTS,
    OWNER,
    STORING,
    Vault,
    byte_range,
    check_conditions,
    check_tags,
    described,
    encryption,
    tags_of,
)

_OVERRIDES = {
    "ResponseCacheControl": "CacheControl",
    "ResponseContentDisposition": "ContentDisposition",
    "ResponseContentEncoding": "ContentEncoding",
    "ResponseContentLanguage": "ContentLanguage",
    "ResponseContentType": "ContentType",
    "ResponseExpires": "Expires",
}
_MOST_DELETED = 1000


class Objects:
    """S3's operations on single objects."""

    def __init__(self, vault: Vault, rclone: Rclone) -> None:
        self._vault, self._rclone = vault, rclone
        self.operations: Mapping[str, Operation] = {
            "CopyObject": self.copy_object,
            "DeleteObject": self.delete_object,
            "DeleteObjectTagging": self.delete_object_tagging,
            "DeleteObjects": self.delete_objects,
            "GetObject": self.get_object,
            "GetObjectAcl": self.get_object_acl,
            "GetObjectAttributes": self.get_object_attributes,
            "GetObjectTagging": self.get_object_tagging,
            "HeadObject": self.head_object,
            "PutObject": self.put_object,
            "PutObjectAcl": self.put_object_acl,
            "PutObjectTagging": self.put_object_tagging,
        }

    async def put_object(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """An object, which does not show before it is whole and is what its checksums say."""
        bucket, key = self._vault.check_place(params)
        tags = tags_of(params.get("Tagging", ""))
        content: Content = params["Body"]
        facts = described({**params, "ContentEncoding": content.encoding})
        part = await self._rclone.write(aiter(content), content.length)
        try:
            self._vault.check_place(params)  # another may have come first
        except S3Error:
            part.unlink(missing_ok=True)
            raise
        sums = {checksums.member(name): value for name, value in content.checksums.items()}
        kind = {"ChecksumType": "FULL_OBJECT"} if sums else {}
        found = self._vault.place(bucket, key, part, content.etag, {**facts, **sums, **kind, "Tags": tags})
        return {"ETag": quoted(found.etag), **sums, **kind, **encryption(facts)}

    async def get_object(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """An object, a range of it or a part of it, if the conditions hold."""
        answer, found, first, last = self._answer(params)
        if last < first:
            return {**answer, "Body": b""}
        return {**answer, "Body": await self._rclone.read(found.path, first, last)}

    async def head_object(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """What GetObject would say, without the bytes."""
        return self._answer(params)[0]

    def _answer(self, params: Mapping[str, Any]) -> tuple[Answer, Stored, int, int]:
        """What is said of an object, and which bytes of it are meant."""
        found = self._vault.object(params)
        check_conditions(found, params)
        span = _span(found, params)
        first, last = span or (0, found.size - 1)
        facts = {name: value for name, value in found.facts.items() if name in (*DESCRIBING, *STORING)}
        if facts.get("StorageClass") == "STANDARD":
            del facts["StorageClass"]
        answer: Answer = {
            **facts,
            **encryption(facts),
            "AcceptRanges": "bytes",
            "ETag": quoted(found.etag),
            "LastModified": found.modified,
            "ContentLength": last - first + 1,
            **{name: params[given] for given, name in _OVERRIDES.items() if given in params},
        }
        if span is not None:
            answer["ContentRange"] = f"bytes {first}-{last}/{found.size}"
        if tags := found.facts.get("Tags"):
            answer["TagCount"] = len(tags)
        if "PartNumber" in params and "Parts" in found.facts:
            answer["PartsCount"] = len(found.facts["Parts"])
        if params.get("ChecksumMode") == "ENABLED" and span is None:
            answer |= _checksums(found)
        return answer, found, first, last

    async def get_object_attributes(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """ETag, checksum, parts, size and storage class of an object."""
        found = self._vault.object(params)
        answer: Answer = {
            "LastModified": found.modified,
            "ETag": found.etag,
            "Checksum": _checksums(found) or None,
            "ObjectSize": found.size,
            "StorageClass": found.facts.get("StorageClass", "STANDARD"),
        }
        if sizes := found.facts.get("Parts"):
            parts = [{"PartNumber": number, "Size": size} for number, size in enumerate(sizes, 1)]
            answer["ObjectParts"] = {"TotalPartsCount": len(sizes), "IsTruncated": False, "Parts": parts}
        wanted = {"LastModified", *params["ObjectAttributes"]}
        return {name: value for name, value in answer.items() if name in wanted}

    async def copy_object(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """A copy with the metadata and tags of its source, or with others."""
        bucket, key = self._vault.check_place(params)
        source_bucket, source = self._vault.source(params)
        facts = _facts_of_copy(source, params, is_itself=(source_bucket, source.key) == (bucket, key))
        part = self._vault.buckets.new_part()
        try:
            etag = await asyncio.to_thread(_copy, source, part)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        found = self._vault.place(bucket, key, part, etag, facts)
        result = {"ETag": quoted(found.etag), "LastModified": found.modified, **_checksums(found)}
        return {"CopyObjectResult": result, **encryption(facts)}

    async def delete_object(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """Remove an object, if it is there."""
        bucket, key = self._vault.check_key(params)
        if "IfMatch" in params:
            check_conditions(self._vault.object(params), {"IfMatch": params["IfMatch"]})
        self._vault.buckets.remove(bucket, key)
        return {}

    async def delete_objects(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """Remove up to 1,000 objects."""
        self._vault.bucket(params)
        if len(params["Delete"].get("Objects", ())) > _MOST_DELETED:
            raise MalformedXML(f"A request deletes {_MOST_DELETED} objects at most.")
        deleted, errors = [], []
        for item in params["Delete"].get("Objects", ()):
            one = {"Key": item.get("Key", ""), "VersionId": item.get("VersionId")}
            try:
                await self.delete_object(caller, {"Bucket": params["Bucket"], **one})
                deleted.append({"Key": one["Key"]})
            except S3Error as error:
                errors.append({"Key": one["Key"], "Code": error.code, "Message": error.message})
        return {"Deleted": [] if params["Delete"].get("Quiet") else deleted, "Errors": errors}

    async def get_object_tagging(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """The tags of an object."""
        return {"TagSet": tag_set(self._vault.object(params).facts.get("Tags", {}))}

    async def put_object_tagging(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """Give an object these tags and no others."""
        tags = {tag["Key"]: tag["Value"] for tag in params["Tagging"].get("TagSet", ())}
        return self._tag(params, tags)

    async def delete_object_tagging(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """Take all tags from an object."""
        return self._tag(params, {})

    def _tag(self, params: Mapping[str, Any], tags: Mapping[str, str]) -> Answer:
        check_tags(tags)
        found = self._vault.object(params)
        self._vault.buckets.describe(params["Bucket"], found, {**found.facts, "Tags": tags})
        return {}

    async def get_object_acl(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """The one account may do everything."""
        self._vault.object(params)
        return {"Owner": OWNER, "Grants": GRANTS}

    async def put_object_acl(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """Taken, and changes nothing: who has the region's key may do everything."""
        self._vault.object(params)
        return {}


def quoted(etag: str) -> str:
    """An ETag as headers and documents have it."""
    return f'"{etag}"'


def tag_set(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as documents have them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _span(found: Stored, params: Mapping[str, Any]) -> tuple[int, int] | None:
    """The first and the last byte of the range or the part that is asked for; None for all of them."""
    if "PartNumber" in params:
        sizes = found.facts.get("Parts", [found.size])
        number = params["PartNumber"]
        if not 1 <= number <= len(sizes):
            raise InvalidArgument(f"There is no part {number} of this object.")
        first = sum(sizes[: number - 1])
        return first, first + sizes[number - 1] - 1
    return byte_range(params["Range"], found.size) if "Range" in params else None


def _checksums(found: Stored) -> dict[str, Any]:
    sums = {checksums.member(name): value for name, value in checksums.given(found.facts).items()}
    return {**sums, "ChecksumType": found.facts.get("ChecksumType", "FULL_OBJECT")} if sums else {}


def _facts_of_copy(source: Stored, params: Mapping[str, Any], *, is_itself: bool) -> dict[str, Any]:
    anew = params.get("MetadataDirective") == "REPLACE"
    if is_itself and not (anew or any(name in params for name in (*STORING, "WebsiteRedirectLocation"))):
        raise S3Error(
            "This copy request is illegal because it is trying to copy an object to itself without changing "
            "the object's metadata, storage class, website redirect location or encryption attributes."
        )
    told = {name: params[name] for name in STORING if name in params}
    kept = {name: value for name, value in source.facts.items() if name in DESCRIBING}
    facts = {**(described(params) if anew else kept), **told}
    if params.get("TaggingDirective") == "REPLACE":
        tags = tags_of(params.get("Tagging", ""))
    else:
        tags = source.facts.get("Tags", {})
    sums = _checksums(source)
    # A copy is one whole, of whatever parts its source was made.
    return {**facts, "Tags": tags, **(sums if sums.get("ChecksumType") == "FULL_OBJECT" else {})}


def _copy(source: Stored, target: Path) -> str:
    """Copy an object's file; the ETag of the copy, which is the MD5 of its content."""
    if source.key.endswith("/"):
        target.touch()
        return source.etag
    shutil.copyfile(source.path, target)
    if "-" not in source.etag:
        return source.etag
    with target.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
