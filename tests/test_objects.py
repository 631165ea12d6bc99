"""S3 as its clients reach it: boto3 and plain HTTP against a region's process."""

import base64
import hashlib
import http.client
import io
import json
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import boto3
import psutil
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

from hotfire.address import Address

MB = 1024 * 1024
KEYS = [
    "plain",
    "a/b c+d",
    "50% &?#;=",
    "häuser/\u4e2d\u6587",
    "fullwidth \uff0f\uff0e",
    "quote'\"<>&",
    "~tilde",
    "x\ny",
]


@pytest.fixture(scope="module")
def session() -> boto3.Session:
    return boto3.Session()


@pytest.fixture(scope="module")
def s3(region: Address, session: boto3.Session) -> Iterator[Any]:
    client = session.client(
        "s3",
        endpoint_url=region.url,
        region_name="us-east-1",
        aws_access_key_id=region.key.access_key,
        aws_secret_access_key=region.key.secret_key,
        config=Config(retries={"total_max_attempts": 1}),
    )
    yield client
    client.close()


@pytest.fixture
def bucket(s3: Any, request: pytest.FixtureRequest) -> str:
    name = "b-" + hashlib.sha256(request.node.name.encode()).hexdigest()[:16]
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def folder(region: Address, bucket: str) -> Path:
    return region.home / "objects" / bucket


def refused(call: Any, **params: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as error:
        call(**params)
    answer = error.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


def content(s3: Any, bucket: str, key: str, **params: Any) -> bytes:
    body: bytes = s3.get_object(Bucket=bucket, Key=key, **params)["Body"].read()
    return body


def test_an_object_is_what_was_put(s3: Any, bucket: str, folder: Path) -> None:
    put = s3.put_object(
        Bucket=bucket,
        Key="a/b",
        Body=b"hello",
        ContentType="text/plain",
        CacheControl="no-store",
        ContentDisposition="attachment",
        ContentEncoding="identity",
        ContentLanguage="en",
        Expires="Thu, 01 Jan 2032 00:00:00 GMT",
        Metadata={"one": "1", "two": "zwei"},
        Tagging="k=v&l=w",
        ServerSideEncryption="aws:kms",
        SSEKMSKeyId="key",
    )
    assert put["ETag"] == '"5d41402abc4b2a76b9719d911017c592"'
    assert (put["ServerSideEncryption"], put["SSEKMSKeyId"]) == ("aws:kms", "key")
    got = s3.get_object(Bucket=bucket, Key="a/b")
    assert got["Body"].read() == b"hello"
    told = {
        name: got[name] for name in ("ContentType", "CacheControl", "ContentDisposition", "ContentLanguage")
    }
    assert list(told.values()) == ["text/plain", "no-store", "attachment", "en"]
    assert (got["Metadata"], got["TagCount"], got["ContentLength"]) == ({"one": "1", "two": "zwei"}, 2, 5)
    assert (got["ETag"], got["AcceptRanges"]) == (put["ETag"], "bytes")
    assert got["ExpiresString"] == "Thu, 01 Jan 2032 00:00:00 GMT"
    head = s3.head_object(Bucket=bucket, Key="a/b")
    assert {name: head[name] for name in told} == told
    assert (folder / "a" / "b").read_bytes() == b"hello"


@pytest.mark.parametrize("key", KEYS)
def test_a_key_may_hold_what_a_file_s_name_may(s3: Any, bucket: str, folder: Path, key: str) -> None:
    s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    assert content(s3, bucket, key) == key.encode()
    assert [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [key]
    assert (folder / key).read_bytes() == key.encode()
    s3.delete_object(Bucket=bucket, Key=key)
    assert "Contents" not in s3.list_objects(Bucket=bucket)


def test_an_empty_object(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="empty", Body=b"")
    assert content(s3, bucket, "empty") == b""


def test_what_a_user_copies_into_the_folder_is_an_object_at_once(s3: Any, bucket: str, folder: Path) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"old", ContentType="text/plain")
    for size in (10, 20, 30):
        (folder / "k").write_bytes(b"x" * size)
        (folder / "new").write_bytes(b"y" * size)
        assert content(s3, bucket, "k") == b"x" * size
        assert content(s3, bucket, "new") == b"y" * size
    assert s3.head_object(Bucket=bucket, Key="k")["ContentType"] == "binary/octet-stream"


def test_a_folder_that_a_user_makes_is_a_bucket(s3: Any, region: Address) -> None:
    (region.home / "objects" / "made-by-hand").mkdir(parents=True)
    assert "made-by-hand" in [one["Name"] for one in s3.list_buckets()["Buckets"]]
    s3.put_object(Bucket="made-by-hand", Key="k", Body=b"1")
    assert content(s3, "made-by-hand", "k") == b"1"


@pytest.mark.parametrize(
    ("wanted", "body", "told"),
    [
        ("bytes=0-0", b"0", "bytes 0-0/10"),
        ("bytes=2-4", b"234", "bytes 2-4/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=7-100", b"789", "bytes 7-9/10"),
        ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=-100", b"0123456789", "bytes 0-9/10"),
    ],
)
def test_a_range(s3: Any, bucket: str, wanted: str, body: bytes, told: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    got = s3.get_object(Bucket=bucket, Key="k", Range=wanted)
    assert (got["Body"].read(), got["ContentRange"]) == (body, told)
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206


def test_a_range_past_the_end_is_refused(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    assert refused(s3.get_object, Bucket=bucket, Key="k", Range="bytes=10-") == ("InvalidRange", 416)


def test_a_range_that_is_none_is_passed_over(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    assert content(s3, bucket, "k", Range="lines=1-2") == b"0123456789"


def test_conditions(s3: Any, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["ETag"]
    here = {"Bucket": bucket, "Key": "k"}
    past, future = "Thu, 01 Jan 2015 00:00:00 GMT", "Thu, 01 Jan 2099 00:00:00 GMT"
    assert content(s3, bucket, "k", IfMatch=etag, IfNoneMatch='"x"') == b"1"
    assert content(s3, bucket, "k", IfModifiedSince=past, IfUnmodifiedSince=future) == b"1"
    assert refused(s3.get_object, **here, IfNoneMatch=etag) == ("304", 304)
    assert refused(s3.get_object, **here, IfModifiedSince=future) == ("304", 304)
    assert refused(s3.get_object, **here, IfMatch='"x"') == ("PreconditionFailed", 412)
    assert refused(s3.get_object, **here, IfUnmodifiedSince=past) == ("PreconditionFailed", 412)
    assert refused(s3.head_object, **here, IfNoneMatch=etag) == ("304", 304)
    assert refused(s3.put_object, **here, Body=b"2", IfNoneMatch="*") == ("PreconditionFailed", 412)
    assert refused(s3.put_object, **here, Body=b"2", IfMatch='"x"') == ("PreconditionFailed", 412)
    s3.put_object(**here, Body=b"2", IfMatch=etag)
    s3.put_object(Bucket=bucket, Key="new", Body=b"2", IfNoneMatch="*")
    assert content(s3, bucket, "k") == b"2"


def test_what_is_not_there(s3: Any, bucket: str) -> None:
    assert refused(s3.get_object, Bucket=bucket, Key="x") == ("NoSuchKey", 404)
    assert refused(s3.head_object, Bucket=bucket, Key="x") == ("404", 404)
    assert refused(s3.get_object, Bucket="absent", Key="x") == ("NoSuchBucket", 404)
    assert refused(s3.put_object, Bucket="absent", Key="x", Body=b"1") == ("NoSuchBucket", 404)
    assert refused(s3.list_objects_v2, Bucket="absent") == ("NoSuchBucket", 404)
    assert refused(s3.head_bucket, Bucket="absent") == ("404", 404)
    assert refused(s3.delete_bucket, Bucket="absent") == ("NoSuchBucket", 404)
    assert s3.delete_object(Bucket=bucket, Key="x")["ResponseMetadata"]["HTTPStatusCode"] == 204


@pytest.mark.parametrize("key", ["a", "a/b/c", "a//b", "x/../y", "folder/", "n" * 256])
def test_a_key_that_no_file_can_have_is_refused_in_clear_words(s3: Any, bucket: str, key: str) -> None:
    s3.put_object(Bucket=bucket, Key="a/b", Body=b"1")
    with pytest.raises(ClientError, match=r"(?i)the local region") as error:
        s3.put_object(Bucket=bucket, Key=key, Body=b"2")
    assert error.value.response["Error"]["Code"] == "InvalidArgument"
    assert content(s3, bucket, "a/b") == b"1"
    assert len(s3.list_objects_v2(Bucket=bucket)["Contents"]) == 1


def test_such_a_key_is_refused_before_parts_are_sent(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a/b", Body=b"1")
    assert refused(s3.create_multipart_upload, Bucket=bucket, Key="a") == ("InvalidArgument", 400)


def test_a_key_is_not_too_long(s3: Any, bucket: str) -> None:
    key = "/".join(["n" * 200] * 6)
    assert refused(s3.put_object, Bucket=bucket, Key=key, Body=b"") == ("KeyTooLongError", 400)


def test_an_empty_object_may_stand_for_a_folder(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="folder/", Body=b"")
    assert [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["folder/"]
    assert content(s3, bucket, "folder/") == b""
    s3.delete_object(Bucket=bucket, Key="folder/")
    s3.delete_bucket(Bucket=bucket)


def test_pages(s3: Any, bucket: str, folder: Path) -> None:
    keys = sorted(
        [f"{name}{number:02}" for name in ("a", "b/", "c d/\u4e2d") for number in range(20)], key=str.encode
    )
    for key in keys:
        (folder / key).parent.mkdir(exist_ok=True)
        (folder / key).touch()
    for operation in ("list_objects", "list_objects_v2"):
        pages = s3.get_paginator(operation).paginate(Bucket=bucket, PaginationConfig={"PageSize": 7})
        assert [one["Key"] for page in pages for one in page["Contents"]] == keys
    versions = s3.get_paginator("list_object_versions").paginate(
        Bucket=bucket, PaginationConfig={"PageSize": 7}
    )
    assert [one["Key"] for page in versions for one in page["Versions"]] == keys
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": 7}
    )
    assert [one["Prefix"] for page in pages for one in page.get("CommonPrefixes", ())] == ["b/", "c d/"]
    assert s3.list_objects_v2(Bucket=bucket, MaxKeys=0)["IsTruncated"] is False


def test_a_copy(s3: Any, bucket: str) -> None:
    s3.put_object(
        Bucket=bucket, Key="a b", Body=b"1", ContentType="text/plain", Metadata={"m": "1"}, Tagging="k=v"
    )
    source = {"Bucket": bucket, "Key": "a b"}
    s3.copy_object(Bucket=bucket, Key="kept", CopySource=source)
    s3.copy_object(
        Bucket=bucket, Key="new", CopySource=source, MetadataDirective="REPLACE", Metadata={"n": "2"}
    )
    kept, new = (s3.get_object(Bucket=bucket, Key=key) for key in ("kept", "new"))
    assert (kept["Body"].read(), kept["ContentType"], kept["Metadata"]) == (b"1", "text/plain", {"m": "1"})
    assert (new["Body"].read(), new["ContentType"], new["Metadata"]) == (
        b"1",
        "binary/octet-stream",
        {"n": "2"},
    )
    assert s3.get_object_tagging(Bucket=bucket, Key="kept")["TagSet"] == [{"Key": "k", "Value": "v"}]
    assert refused(s3.copy_object, Bucket=bucket, Key="a b", CopySource=source) == ("InvalidRequest", 400)
    gone = {"Bucket": bucket, "Key": "gone"}
    assert refused(s3.copy_object, Bucket=bucket, Key="x", CopySource=gone) == ("NoSuchKey", 404)
    s3.copy_object(
        Bucket=bucket, Key="a b", CopySource=source, MetadataDirective="REPLACE", ContentType="x/y"
    )
    assert s3.head_object(Bucket=bucket, Key="a b")["ContentType"] == "x/y"


def test_tags(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"1", ContentType="text/plain")
    tags = [{"Key": "a b", "Value": "c&d"}]
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": tags})
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == tags
    s3.delete_object_tagging(Bucket=bucket, Key="k")
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []
    assert s3.head_object(Bucket=bucket, Key="k")["ContentType"] == "text/plain"
    many = "&".join(f"k{number}=v" for number in range(11))
    assert refused(s3.put_object, Bucket=bucket, Key="k", Body=b"", Tagging=many) == ("InvalidArgument", 400)


def test_many_are_deleted(s3: Any, bucket: str) -> None:
    for key in ("a/1", "a/2", "b <&>"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"1")
    objects = [{"Key": key} for key in ("a/1", "a/2", "b <&>", "absent", "x//y")]
    told = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects})
    assert [one["Key"] for one in told["Deleted"]] == ["a/1", "a/2", "b <&>", "absent"]
    assert [(one["Key"], one["Code"]) for one in told["Errors"]] == [("x//y", "InvalidArgument")]
    quiet = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects[:1], "Quiet": True})
    assert "Deleted" not in quiet


def test_a_bucket_that_holds_something_is_not_deleted(s3: Any, bucket: str, folder: Path) -> None:
    s3.put_object(Bucket=bucket, Key="a/b", Body=b"1")
    assert refused(s3.delete_bucket, Bucket=bucket) == ("BucketNotEmpty", 409)
    s3.delete_object(Bucket=bucket, Key="a/b")
    s3.delete_bucket(Bucket=bucket)
    assert not folder.exists()


def test_buckets_are_made_once_but_in_us_east_1(s3: Any, region: Address) -> None:
    s3.create_bucket(Bucket="twice")
    s3.create_bucket(Bucket="twice")
    there = {"LocationConstraint": "eu-west-1"}
    s3.create_bucket(Bucket="elsewhere", CreateBucketConfiguration=there)
    again = refused(s3.create_bucket, Bucket="elsewhere", CreateBucketConfiguration=there)
    assert again == ("BucketAlreadyOwnedByYou", 409)
    assert s3.get_bucket_location(Bucket="elsewhere")["LocationConstraint"] == "eu-west-1"
    assert s3.get_bucket_location(Bucket="twice").get("LocationConstraint") is None
    assert s3.head_bucket(Bucket="elsewhere")["BucketRegion"] == "eu-west-1"
    owner = {"Bucket": "twice", "ExpectedBucketOwner": "111111111111"}
    assert refused(s3.get_bucket_location, **owner) == ("AccessDenied", 403)


def test_a_name_that_no_bucket_can_have(s3: Any) -> None:
    assert refused(s3.create_bucket, Bucket="Upper_Case") == ("InvalidBucketName", 400)


@pytest.mark.parametrize(
    ("put", "get", "delete", "params"),
    [
        (
            "put_public_access_block",
            "get_public_access_block",
            "delete_public_access_block",
            {"PublicAccessBlockConfiguration": {"BlockPublicAcls": False}},
        ),
        (
            "put_bucket_tagging",
            "get_bucket_tagging",
            "delete_bucket_tagging",
            {"Tagging": {"TagSet": [{"Key": "k", "Value": "v"}]}},
        ),
        ("put_bucket_policy", "get_bucket_policy", "delete_bucket_policy", {"Policy": '{"Statement": []}'}),
        (
            "put_bucket_encryption",
            "get_bucket_encryption",
            "delete_bucket_encryption",
            {
                "ServerSideEncryptionConfiguration": {
                    "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]
                }
            },
        ),
        (
            "put_bucket_lifecycle_configuration",
            "get_bucket_lifecycle_configuration",
            "delete_bucket_lifecycle",
            {
                "LifecycleConfiguration": {
                    "Rules": [{"Status": "Enabled", "Filter": {"Prefix": "a"}, "Expiration": {"Days": 1}}]
                }
            },
        ),
    ],
)
def test_what_is_put_to_a_bucket_is_told(
    s3: Any, bucket: str, put: str, get: str, delete: str, params: dict[str, Any]
) -> None:
    getattr(s3, put)(Bucket=bucket, **params)
    told = getattr(s3, get)(Bucket=bucket)
    told.pop("ResponseMetadata")
    (held,) = params.values()
    assert told in (params, held)
    getattr(s3, delete)(Bucket=bucket)


def test_a_plain_bucket(s3: Any, bucket: str) -> None:
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    assert s3.get_bucket_acl(Bucket=bucket)["Grants"][0]["Permission"] == "FULL_CONTROL"
    assert s3.get_bucket_acl(Bucket=bucket)["Grants"][0]["Grantee"]["Type"] == "CanonicalUser"
    assert s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == "BucketOwner"
    assert s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"] == {"IsPublic": False}
    assert refused(s3.get_bucket_policy, Bucket=bucket) == ("NoSuchBucketPolicy", 404)
    assert refused(s3.get_bucket_tagging, Bucket=bucket) == ("NoSuchTagSet", 404)
    assert refused(s3.get_bucket_cors, Bucket=bucket) == ("NoSuchCORSConfiguration", 404)
    block = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert all(block.values())


def test_an_operation_that_is_not_there(s3: Any, bucket: str) -> None:
    versions = {"Status": "Enabled"}
    code = refused(s3.put_bucket_versioning, Bucket=bucket, VersioningConfiguration=versions)
    assert code == ("NotImplemented", 501)


def upload(s3: Any, bucket: str, key: str, *parts: bytes, **params: Any) -> tuple[str, list[dict[str, Any]]]:
    started = s3.create_multipart_upload(Bucket=bucket, Key=key, **params)["UploadId"]
    done = [
        {
            "PartNumber": number,
            "ETag": s3.upload_part(Bucket=bucket, Key=key, UploadId=started, PartNumber=number, Body=part)[
                "ETag"
            ],
        }
        for number, part in enumerate(parts, 1)
    ]
    return started, done


def test_an_upload_in_parts(s3: Any, bucket: str) -> None:
    parts = [os.urandom(5 * MB), os.urandom(5 * MB), b"end"]
    started, done = upload(
        s3, bucket, "big", *parts, ContentType="text/plain", Metadata={"m": "1"}, Tagging="k=v"
    )
    assert [one["Size"] for one in s3.list_parts(Bucket=bucket, Key="big", UploadId=started)["Parts"]] == [
        5 * MB,
        5 * MB,
        3,
    ]
    assert [one["Key"] for one in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]] == ["big"]
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    whole = s3.complete_multipart_upload(
        Bucket=bucket, Key="big", UploadId=started, MultipartUpload={"Parts": done}
    )
    digests = b"".join(hashlib.md5(part).digest() for part in parts)
    assert whole["ETag"] == f'"{hashlib.md5(digests).hexdigest()}-3"'
    got = s3.get_object(Bucket=bucket, Key="big")
    assert got["Body"].read() == b"".join(parts)
    assert (got["ContentType"], got["Metadata"], got["TagCount"]) == ("text/plain", {"m": "1"}, 1)
    second = s3.get_object(Bucket=bucket, Key="big", PartNumber=3)
    assert (second["Body"].read(), second["PartsCount"]) == (b"end", 3)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_an_upload_that_is_completed_wrongly(s3: Any, bucket: str) -> None:
    started, done = upload(s3, bucket, "big", b"small", b"end")
    here = {"Bucket": bucket, "Key": "big", "UploadId": started}

    def complete(*parts: dict[str, Any]) -> tuple[str, int]:
        return refused(s3.complete_multipart_upload, **here, MultipartUpload={"Parts": list(parts)})

    assert complete(*done) == ("EntityTooSmall", 400)
    assert complete(done[1], done[0]) == ("InvalidPartOrder", 400)
    assert complete({"PartNumber": 7, "ETag": done[0]["ETag"]}) == ("InvalidPart", 400)
    assert complete({"PartNumber": 1, "ETag": done[1]["ETag"]}) == ("InvalidPart", 400)
    assert complete() == ("MalformedXML", 400)
    s3.abort_multipart_upload(**here)
    assert refused(s3.upload_part, **here, PartNumber=1, Body=b"1") == ("NoSuchUpload", 404)
    assert refused(s3.list_parts, **here) == ("NoSuchUpload", 404)


def test_a_part_may_be_a_copy(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="source", Body=bytes(range(256)) * 24000)
    started = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    here = {"Bucket": bucket, "Key": "k", "UploadId": started, "CopySource": f"{bucket}/source"}
    etags = [
        s3.upload_part_copy(**here, PartNumber=number, CopySourceRange=span)["CopyPartResult"]["ETag"]
        for number, span in ((1, f"bytes=0-{6 * 1000 * 1000 - 1}"), (2, "bytes=0-9"))
    ]
    parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
    s3.complete_multipart_upload(Bucket=bucket, Key="k", UploadId=started, MultipartUpload={"Parts": parts})
    assert content(s3, bucket, "k") == (bytes(range(256)) * 24000)[:6_000_000] + bytes(range(10))


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC64NVME", "SHA256"])
def test_checksums_of_uploads_are_told(s3: Any, bucket: str, algorithm: str) -> None:
    data = os.urandom(12 * MB)
    config = TransferConfig(multipart_threshold=5 * MB, multipart_chunksize=5 * MB)
    s3.upload_fileobj(
        io.BytesIO(data), bucket, "k", Config=config, ExtraArgs={"ChecksumAlgorithm": algorithm}
    )
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    name = f"Checksum{algorithm}"
    assert head["ChecksumType"] == ("FULL_OBJECT" if algorithm == "CRC64NVME" else "COMPOSITE")
    assert head[name].endswith("-3") is (algorithm != "CRC64NVME")
    down = io.BytesIO()
    s3.download_fileobj(bucket, "k", down, Config=config)
    assert down.getvalue() == data
    told = s3.get_object_attributes(
        Bucket=bucket, Key="k", ObjectAttributes=["ETag", "Checksum", "ObjectSize", "ObjectParts"]
    )
    assert (told["ObjectSize"], told["ObjectParts"]["TotalPartsCount"]) == (12 * MB, 3)


def test_a_wrong_checksum_leaves_nothing(s3: Any, bucket: str, region: Address) -> None:
    wrong = base64.b64encode(bytes(32)).decode()
    code = refused(s3.put_object, Bucket=bucket, Key="k", Body=b"1", ChecksumSHA256=wrong)
    assert code == ("BadDigest", 400)
    assert refused(s3.head_object, Bucket=bucket, Key="k") == ("404", 404)
    assert list((region.home / "objects" / ".uploads" / "transit" / "in").iterdir()) == []


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_a_presigned_address(
    s3: Any, bucket: str, region: Address, session: boto3.Session, version: str
) -> None:
    client = session.client(
        "s3",
        endpoint_url=region.url,
        region_name="us-east-1",
        aws_access_key_id=region.key.access_key,
        aws_secret_access_key=region.key.secret_key,
        config=Config(signature_version=version),
    )
    here = {"Bucket": bucket, "Key": "a b"}
    put = client.generate_presigned_url("put_object", Params=here)
    with urlopen(Request(put, b"by address", method="PUT", headers={"Content-Type": "text/plain"})) as answer:
        assert answer.status == 200
    get = client.generate_presigned_url("get_object", Params={**here, "ResponseContentType": "x/y"})
    with urlopen(get) as answer:
        assert (answer.read(), answer.headers["content-type"]) == (b"by address", "x/y")
    old = re.sub(r"(?<=Expires=)\d{10}|(?<=Date=)2\d{3}", "2001", get)
    with pytest.raises(Exception, match="403") as expired:
        urlopen(old)
    expired.value.close()  # type: ignore[attr-defined]
    client.close()


def test_another_key_is_refused(region: Address, session: boto3.Session) -> None:
    client = session.client(
        "s3",
        endpoint_url=region.url,
        region_name="us-east-1",
        aws_access_key_id="AKIAOTHER",
        aws_secret_access_key="secret",
    )
    assert refused(client.list_buckets) == ("InvalidAccessKeyId", 403)
    client.close()


class Plain:
    """A client that says what it wants byte by byte."""

    def __init__(self, region: Address) -> None:
        self.address = urlsplit(region.url)
        scope = f"{region.key.access_key}/20260101/us-east-1/s3/aws4_request"
        self.authorization = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.address.hostname or "", self.address.port, timeout=30)

    def head(self, method: str, path: str, **headers: str) -> bytes:
        named = {"host": self.address.netloc, "authorization": self.authorization, **headers}
        lines = [f"{name.replace('_', '-')}: {text}" for name, text in named.items()]
        return "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode()


@pytest.fixture
def plain(region: Address) -> Plain:
    return Plain(region)


def test_chunks_of_aws_s_own_form_are_unwrapped(s3: Any, bucket: str, plain: Plain) -> None:
    connection = plain.connect()
    body = b"5;chunk-signature=0\r\nhello\r\n0;chunk-signature=0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n"
    headers = {
        "authorization": plain.authorization,
        "content-encoding": "aws-chunked",
        "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
        "x-amz-decoded-content-length": "5",
        "x-amz-trailer": "x-amz-checksum-crc32",
    }
    connection.request("PUT", f"/{bucket}/k", body, headers)
    assert connection.getresponse().status == 200
    connection.close()
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == b"hello"
    assert "ContentEncoding" not in got


def test_who_expects_to_be_asked_is_asked(bucket: str, plain: Plain) -> None:
    with socket.create_connection((plain.address.hostname or "", plain.address.port or 0)) as client:
        client.sendall(plain.head("PUT", f"/{bucket}/k", content_length="5", expect="100-continue"))
        assert client.recv(100).startswith(b"HTTP/1.1 100 ")
        client.sendall(b"hello")
        assert client.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_who_expects_to_be_asked_and_is_refused_sends_nothing(plain: Plain) -> None:
    with socket.create_connection((plain.address.hostname or "", plain.address.port or 0)) as client:
        client.sendall(plain.head("PUT", "/absent/k", content_length="50000000", expect="100-continue"))
        answer = b""
        while piece := client.recv(1000):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"<Code>NoSuchBucket</Code>" in answer


def test_a_length_must_be_said(bucket: str, plain: Plain) -> None:
    connection = plain.connect()
    connection.request("PUT", f"/{bucket}/k", iter([b"1"]), {"authorization": plain.authorization})
    answer = connection.getresponse()
    assert (answer.status, b"MissingContentLength" in answer.read()) == (411, True)
    connection.close()


def test_a_document_with_declarations_is_refused(bucket: str, plain: Plain) -> None:
    connection = plain.connect()
    bomb = b'<!DOCTYPE d [<!ENTITY a "b">]><Delete><Object><Key>&a;</Key></Object></Delete>'
    connection.request("POST", f"/{bucket}?delete", bomb, {"authorization": plain.authorization})
    answer = connection.getresponse()
    assert (answer.status, b"<Code>MalformedXML</Code>" in answer.read()) == (400, True)
    connection.close()


def test_an_upload_that_breaks_off_leaves_nothing(
    s3: Any, bucket: str, plain: Plain, region: Address
) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    with socket.create_connection((plain.address.hostname or "", plain.address.port or 0)) as client:
        client.sendall(plain.head("PUT", f"/{bucket}/k", content_length="1000") + b"x" * 500)
    transit = region.home / "objects" / ".uploads" / "transit" / "in"
    deadline = time.monotonic() + 20
    while list(transit.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert list(transit.iterdir()) == []
    assert content(s3, bucket, "k") == b"old"


def rclone_of(region: Address) -> psutil.Process:
    (found,) = [one for one in psutil.process_iter(["name"]) if one.name() == "rclone" and is_of(one, region)]
    return found


def is_of(process: psutil.Process, region: Address) -> bool:
    return any(word.startswith(str(region.home)) for word in process.cmdline())


def test_the_server_behind_is_started_again_when_it_dies(s3: Any, bucket: str, region: Address) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    first = rclone_of(region)
    first.send_signal(signal.SIGKILL)
    psutil.wait_procs([first], timeout=10)
    s3.put_object(Bucket=bucket, Key="l", Body=b"2")
    assert (content(s3, bucket, "k"), content(s3, bucket, "l")) == (b"1", b"2")
    assert rclone_of(region).pid != first.pid


def test_nobody_else_can_reach_the_server_behind(s3: Any, bucket: str, region: Address) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    sockets = rclone_of(region).net_connections(kind="inet")
    assert sockets == []
    assert region.home.stat().st_mode & 0o077 == 0


def test_large_bodies_are_not_held_in_memory(s3: Any, bucket: str, region: Address) -> None:
    s3.put_object(Bucket=bucket, Key="warm", Body=b"1")
    content(s3, bucket, "warm")
    file = region.home / "objects" / bucket / "large"
    with file.open("wb") as large:
        large.truncate(200 * MB)
    process = psutil.Process(json.loads((region.home / "region.json").read_text())["pid"])
    before = process.memory_info().rss
    with ThreadPoolExecutor(2) as pool:
        down = [
            pool.submit(
                lambda: sum(map(len, s3.get_object(Bucket=bucket, Key="large")["Body"].iter_chunks(MB)))
            )
        ]
        with file.open("rb") as source:
            s3.put_object(Bucket=bucket, Key="up", Body=source)
        assert [one.result() for one in down] == [200 * MB]
    assert process.memory_info().rss - before < 60 * MB
