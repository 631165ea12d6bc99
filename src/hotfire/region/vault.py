"""Buckets and objects as S3's operations see them: what is not there, or cannot be, is an error of S3."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

from hotfire.errors import ArchiveError
from hotfire.region.buckets import Buckets, Stored
from hotfire.region.keys import MOST_KEY_BYTES, is_bucket_name
from hotfire.region.object_records import BucketRecord
from hotfire.region.s3_errors import (
    AccessDeniedByS3,
    InvalidArgument,
    InvalidBucketName,
    InvalidRange,
    KeyTooLong,
    NoSuchBucket,
    NoSuchKey,
    NotImplementedByS3,
    NotModified,
    PreconditionFailed,
)

ACCOUNT = "000000000000"
OWNER = {"ID": "0" * 64, "DisplayName": "hotfire"}
GRANTS: list[dict[str, Any]] = [{"Grantee": {"Type": "CanonicalUser", **OWNER}, "Permission": "FULL_CONTROL"}]
_MOST_TAGS = 10

DESCRIBING = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "Expires",
    "Metadata",
    "WebsiteRedirectLocation",
)
"""What an upload says of an object, and a copy takes along or says anew."""

STORING = (
    "BucketKeyEnabled",
    "SSEKMSEncryptionContext",
    "SSEKMSKeyId",
    "ServerSideEncryption",
    "StorageClass",
)
"""What an upload or a copy says of how the object shall be kept."""


class Vault:
    """The buckets, behind the checks that every operation makes."""

    def __init__(self, buckets: Buckets) -> None:
        self.buckets = buckets
        self.records = buckets.records

    def bucket(self, params: Mapping[str, Any]) -> BucketRecord:
        """The bucket that parameters name. Raises NoSuchBucket, AccessDenied for another owner's."""
        name = params["Bucket"]
        found = self.buckets.bucket(name) if is_bucket_name(name) else None
        if found is None:
            raise NoSuchBucket("The specified bucket does not exist", BucketName=name)
        if params.get("ExpectedBucketOwner", ACCOUNT) != ACCOUNT:
            raise AccessDeniedByS3("Access Denied")
        return found

    def check_new_name(self, name: str) -> None:
        """Raise InvalidBucketName for what no bucket can be called."""
        if not is_bucket_name(name):
            raise InvalidBucketName("The specified bucket is not valid.", BucketName=name)

    def check_key(self, params: Mapping[str, Any]) -> tuple[str, str]:
        """Bucket and key of an operation on an object. Raises NoSuchBucket, InvalidArgument."""
        bucket, key = self.bucket(params).name, params["Key"]
        if len(key.encode("utf-8", "replace")) > MOST_KEY_BYTES:
            raise KeyTooLong("Your key is too long", MaxSizeAllowed=MOST_KEY_BYTES)
        if params.get("VersionId") not in (None, "null", ""):
            raise InvalidArgument("The local region keeps no versions of objects.")
        if params.get("SSECustomerAlgorithm") or params.get("CopySourceSSECustomerAlgorithm"):
            raise NotImplementedByS3("The local region does not encrypt with keys of the customer.")
        try:
            self.buckets.file(bucket, key)
        except ArchiveError as error:
            raise InvalidArgument(error.message) from error
        return bucket, key

    def object(self, params: Mapping[str, Any]) -> Stored:
        """The object that parameters name. Raises NoSuchBucket, NoSuchKey."""
        bucket, key = self.check_key(params)
        found = self.buckets.find(bucket, key)
        if found is None:
            raise NoSuchKey("The specified key does not exist.", Key=key)
        return found

    def source(self, params: Mapping[str, Any]) -> tuple[str, Stored]:
        """The object that a copy is made of, and its bucket, if the copy's conditions hold of it."""
        named, _, version = params["CopySource"].partition("?versionId=")
        bucket, _, key = unquote(named).removeprefix("/").partition("/")
        if not key:
            raise InvalidArgument(
                "Copy Source must mention the source bucket and key: sourcebucket/sourcekey"
            )
        found = self.object({"Bucket": bucket, "Key": key, "VersionId": version})
        names = ("IfMatch", "IfNoneMatch", "IfModifiedSince", "IfUnmodifiedSince")
        conditions = {name: params[f"CopySource{name}"] for name in names if f"CopySource{name}" in params}
        try:
            check_conditions(found, conditions)
        except NotModified as error:
            raise PreconditionFailed(error.message) from error
        return bucket, found

    def check_place(self, params: Mapping[str, Any]) -> tuple[str, str]:
        """Bucket and key of what is to be put there, if the conditions on what is there now hold.

        Said before the body is asked for, and again before it takes its place.
        """
        bucket, key = self.check_key(params)
        found = self.buckets.find(bucket, key)
        if "IfMatch" in params and found is None:
            raise NoSuchKey("The specified key does not exist.", Key=key)
        if found is not None:
            try:
                check_conditions(found, params)
            except NotModified as error:
                raise PreconditionFailed(error.message) from error
        try:
            self.buckets.make_room(bucket, key)
        except ArchiveError as error:
            raise InvalidArgument(error.message) from error
        return bucket, key

    def place(self, bucket: str, key: str, part: Path, etag: str, facts: Mapping[str, Any]) -> Stored:
        """Make an object of a file, which is moved or, if it cannot be, removed. Raises InvalidArgument."""
        try:
            return self.buckets.put(bucket, key, part, etag, facts)
        except ArchiveError as error:
            raise InvalidArgument(error.message) from error
        finally:
            part.unlink(missing_ok=True)


def check_conditions(found: Stored, params: Mapping[str, Any]) -> None:
    """Raise PreconditionFailed or NotModified unless the conditions of a request hold of an object.

    The condition on the ETag, where both are given, is the one that counts.
    """
    failed = PreconditionFailed("At least one of the pre-conditions you specified did not hold")
    since = int(found.modified)  # as Last-Modified says it
    if "IfMatch" in params:
        if not _matches(params["IfMatch"], found.etag):
            raise failed
    elif "IfUnmodifiedSince" in params and since > params["IfUnmodifiedSince"]:
        raise failed
    if "IfNoneMatch" in params:
        if _matches(params["IfNoneMatch"], found.etag):
            raise NotModified("Not Modified", ETag=f'"{found.etag}"')
    elif "IfModifiedSince" in params and since <= params["IfModifiedSince"]:
        raise NotModified("Not Modified", ETag=f'"{found.etag}"')


def byte_range(text: str, size: int) -> tuple[int, int] | None:
    """The first and the last byte of a Range header; None where, as in HTTP, it is to be passed over.

    Raises InvalidRange.
    """
    unit, _, both = text.partition("=")
    first, dash, last = both.strip().partition("-")
    if unit.strip() != "bytes" or not dash or not (first + last).isdecimal():
        return None
    if first and last and int(last) < int(first):
        return None
    start = int(first) if first else max(size - int(last), 0)
    if start >= size:
        raise InvalidRange(
            "The requested range is not satisfiable", RangeRequested=text, ActualObjectSize=size
        )
    return start, min(int(last), size - 1) if first and last else size - 1


def described(params: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of an object that the parameters of an upload hold."""
    facts = {name: params[name] for name in (*DESCRIBING, *STORING) if params.get(name) not in (None, "", {})}
    return {"ContentType": "binary/octet-stream", **facts}


def encryption(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What an answer says of how an object is kept."""
    names = ("BucketKeyEnabled", "SSEKMSKeyId", "ServerSideEncryption")
    return {"ServerSideEncryption": "AES256", **{name: facts[name] for name in names if name in facts}}


def tags_of(text: str) -> dict[str, str]:
    """Tags as a header has them, in the form of a query. Raises InvalidArgument."""
    tags = dict(parse_qsl(text, keep_blank_values=True))
    check_tags(tags)
    return tags


def check_tags(tags: Mapping[str, str]) -> None:
    """Raise InvalidArgument for tags that no object can have."""
    if len(tags) > _MOST_TAGS:
        raise InvalidArgument(f"Object tags cannot be greater than {_MOST_TAGS}")
    if any(not 1 <= len(key) <= 128 or len(value) > 256 for key, value in tags.items()):
        raise InvalidArgument("A tag's key has 1 to 128 characters, its value up to 256.")


def _matches(condition: str, etag: str) -> bool:
    named = [item.strip().removeprefix("W/").strip('"') for item in condition.split(",")]
    return "*" in named or etag in named
