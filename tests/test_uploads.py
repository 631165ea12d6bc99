"""Uploads, against an imitation of S3."""

import os
from pathlib import Path
from typing import Any

import pytest

from hotfire.uploads import Target, abort, upload

BUCKET = "models"
PART = 5 << 20
TARGET = Target(BUCKET, "news/model.tar.gz", {})


@pytest.fixture
def s3(aws: Any) -> Any:
    client = aws.client("s3")
    client.create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": client.meta.region_name}
    )
    return client


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.tar.gz"
    path.write_bytes(os.urandom(2 * PART + 1000))
    return path


def body(s3: Any) -> bytes:
    return bytes(s3.get_object(Bucket=BUCKET, Key=TARGET.key)["Body"].read())


def begin(s3: Any, *blocks: bytes) -> str:
    """An upload that was killed after these parts."""
    name = s3.create_multipart_upload(**TARGET.names, ChecksumAlgorithm="SHA256")["UploadId"]
    for number, block in enumerate(blocks, 1):
        s3.upload_part(
            **TARGET.names, UploadId=name, PartNumber=number, Body=block, ChecksumAlgorithm="SHA256"
        )
    return str(name)


def unfinished(s3: Any) -> list[str]:
    return [one["UploadId"] for one in s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", ())]


def test_a_small_file_is_one_request(s3: Any, aws: Any, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.write_bytes(b"weights")
    told: list[int] = []
    upload(s3, small, TARGET, told.append, PART)
    assert (body(s3), told) == (b"weights", [7])
    assert "CreateMultipartUpload" not in aws.calls


def test_a_large_file_is_sent_in_parts(s3: Any, file: Path) -> None:
    told: list[int] = []
    upload(s3, file, TARGET, told.append, PART)
    assert body(s3) == file.read_bytes()
    assert (sum(told), sorted(told)) == (file.stat().st_size, [1000, PART, PART])
    assert unfinished(s3) == []


def test_parts_that_are_there_are_not_sent_again(s3: Any, aws: Any, file: Path) -> None:
    begin(s3, file.read_bytes()[:PART])
    aws.steer(calls=[])
    upload(s3, file, TARGET, lambda count: None, PART)
    assert body(s3) == file.read_bytes()
    assert aws.calls.count("UploadPart") == 2
    assert unfinished(s3) == []


def test_a_part_of_another_content_is_sent_again(s3: Any, file: Path) -> None:
    begin(s3, os.urandom(PART))
    upload(s3, file, TARGET, lambda count: None, PART)
    assert body(s3) == file.read_bytes()


def test_what_is_asked_of_s3_is_asked_of_every_object(s3: Any, file: Path) -> None:
    key = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "alias/news"}
    upload(s3, file, Target(BUCKET, TARGET.key, key), lambda count: None, PART)
    assert s3.head_object(**TARGET.names)["ServerSideEncryption"] == "aws:kms"


def test_what_was_never_finished_is_forgotten_below_the_prefix(s3: Any) -> None:
    begin(s3, os.urandom(1000))
    other = s3.create_multipart_upload(Bucket=BUCKET, Key="other/model.tar.gz")["UploadId"]
    abort(s3, BUCKET, "news/")
    assert unfinished(s3) == [other]
