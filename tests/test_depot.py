"""Model data in an imitation of S3."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hotfire.bucket import Bucket
from hotfire.deployment import Silence
from hotfire.depot import Depot, parted
from hotfire.destination import Placement
from hotfire.errors import ArchiveError, DeployError
from hotfire.model_data import Entry, ModelData, Packed, tree_sha256

NAME = "models"
ACCOUNT = "123456789012"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("s3://bucket/news/model.tar.gz", ("bucket", "news/")),
        ("s3://bucket/a/b/model.tgz", ("bucket", "a/b/")),
        ("s3://bucket/model.tar.gz", ("bucket", "")),
        ("s3://bucket/news/", ("bucket", "news/")),
        ("s3://bucket/news", ("bucket", "news/")),
        ("s3://bucket//news//model.tar.gz", ("bucket", "news/")),
        ("s3://bucket", ("bucket", "")),
    ],
)
def test_the_folder_is_the_path_without_the_archives_name(path: str, expected: tuple[str, str]) -> None:
    assert parted(path) == expected


class Account:
    """An account's depots, and what they hold."""

    def __init__(self, aws: Any, folder: Path) -> None:
        self.aws, self.folder = aws, folder
        self.client = aws.client("s3")

    def depot(self, endpoint: str = "news", **options: Any) -> Depot:
        return Depot(
            Bucket(self.client, NAME, ACCOUNT), "f/", endpoint, self.folder / f"packed-{endpoint}", **options
        )

    def data(self, **files: str) -> ModelData:
        entries = []
        for name, text in files.items():
            source = self.folder / f"{name}-{hashlib.sha256(text.encode()).hexdigest()}"
            source.write_text(text)
            sha256 = hashlib.sha256(text.encode()).hexdigest()
            entries.append(Entry(name, source, len(text), 0o644, sha256))
        return ModelData(tuple(entries), tree_sha256(entries), "serve.py")

    def put(self, depot: Depot, data: ModelData, previous: str | None = None) -> Placement:
        placement = depot.locate(data)
        depot.put(data, placement, Silence(), previous)
        return placement

    @property
    def keys(self) -> set[str]:
        return set(self.aws.objects(NAME))


@pytest.fixture
def account(aws: Any, tmp_path: Path) -> Account:
    return Account(aws, tmp_path)


def test_content_lies_under_its_hash_beside_who_uses_it(account: Account) -> None:
    data = account.data(a="1")
    placement = account.put(account.depot(), data)
    assert placement.url == f"s3://{NAME}/f/{data.sha256}/model.tar.gz"
    assert placement.members == {"ModelDataUrl": placement.url}
    assert account.keys == {f"f/{data.sha256}/model.tar.gz", f"f/.hotfire/news/{data.sha256}"}


def test_what_is_there_is_not_brought_again(account: Account) -> None:
    data = account.data(a="1")
    account.put(account.depot(), data)
    assert account.depot().locate(data).steps == ()


def test_to_look_changes_nothing(account: Account) -> None:
    placement = account.depot().locate(account.data(a="1"))
    assert placement.steps == (f"create bucket {NAME}", f"upload {placement.url}")
    assert account.client.list_buckets()["Buckets"] == []


def test_an_archive_keeps_its_own_bytes(account: Account) -> None:
    archive = account.folder / "any.tar.gz"
    archive.write_bytes(b"those very bytes")
    packed = Packed(archive, hashlib.sha256(b"those very bytes").hexdigest(), 16)
    placement = account.put(account.depot(as_files=True), replace(account.data(a="1"), packed=packed))
    key = placement.url.removeprefix(f"s3://{NAME}/")
    assert packed.sha256 in key
    assert account.client.get_object(Bucket=NAME, Key=key)["Body"].read() == b"those very bytes"
    assert archive.exists()


def test_files_are_a_prefix_with_their_manifest(account: Account) -> None:
    data = account.data(a="1", b="2")
    placement = account.put(account.depot(as_files=True), data)
    source = placement.members["ModelDataSource"]["S3DataSource"]
    assert source == {
        "S3Uri": f"s3://{NAME}/f/{data.sha256}/files/",
        "S3DataType": "S3Prefix",
        "CompressionType": "None",
    }
    files = {f"f/{data.sha256}/files/{name}" for name in "ab"}
    assert account.keys == {*files, f"f/{data.sha256}/files.json", f"f/.hotfire/news/{data.sha256}"}


def test_files_that_were_not_all_brought_are_no_whole(account: Account) -> None:
    data = account.data(a="1", b="2")
    depot = account.depot(as_files=True)
    account.put(depot, data)
    account.client.delete_object(Bucket=NAME, Key=f"f/{data.sha256}/files.json")
    assert depot.locate(data).steps != ()
    account.aws.steer(calls=[])
    account.put(depot, data)
    sent = [call for call in account.aws.calls if call.startswith("S3 PUT") and "/files/" in call]
    assert sent == []


def test_files_that_another_content_has_are_copied(account: Account) -> None:
    depot = account.depot(as_files=True)
    first = account.put(depot, account.data(a="1", b="2"))
    account.aws.steer(calls=[])
    second = account.put(depot, account.data(a="1", c="2", d="3"), first.url)
    assert account.aws.calls.count("CopyObject") == 2
    prefix = second.url.removeprefix(f"s3://{NAME}/")
    bodies = [
        account.client.get_object(Bucket=NAME, Key=prefix + name)["Body"].read().decode() for name in "acd"
    ]
    assert bodies == ["1", "2", "3"]


def test_a_file_that_changed_since_is_not_uploaded_under_its_old_hash(account: Account) -> None:
    data = account.data(a="1")
    data.entries[0].source.write_text("2")
    with pytest.raises(ArchiveError, match="changed while it was read"):
        account.put(account.depot(as_files=True), data)
    assert f"f/{data.sha256}/files.json" not in account.keys


def test_content_goes_with_its_last_user(account: Account) -> None:
    data = account.data(a="1")
    news, staging = account.depot(), account.depot("staging")
    account.put(news, data)
    account.put(staging, data)
    (url,) = news.brought()
    news.remove([url])
    assert account.keys == {f"f/{data.sha256}/model.tar.gz", f"f/.hotfire/staging/{data.sha256}"}
    staging.remove([url])
    assert account.keys == set()


@pytest.mark.parametrize("url", ["s3://models/f/notes/", "s3://models/f/", f"s3://models/f/{'0' * 64}/"])
def test_nothing_else_is_ever_removed(account: Account, url: str) -> None:
    depot = account.depot()
    account.put(depot, account.data(a="1"))
    account.client.put_object(Bucket=NAME, Key="f/notes/a", Body=b"mine")
    account.client.put_object(Bucket=NAME, Key=f"f/{'0' * 64}/a", Body=b"mine too")
    before = account.keys
    depot.remove([url])
    assert account.keys == before


def test_what_another_deploy_may_be_bringing_is_told_from_what_was_given_up(account: Account) -> None:
    account.put(account.depot(), account.data(a="1"))
    assert list(account.depot().brought().values()) == [False]
    assert list(account.depot(given_up=0.0).brought().values()) == [True]


def test_an_upload_that_was_given_up_goes_with_its_content(account: Account) -> None:
    data = account.data(a="1")
    depot = account.depot()
    account.put(depot, data)
    key = f"f/{data.sha256}/model.tar.gz"
    account.client.delete_object(Bucket=NAME, Key=key)
    account.client.create_multipart_upload(Bucket=NAME, Key=key)
    depot.remove(depot.brought())
    assert account.client.list_multipart_uploads(Bucket=NAME).get("Uploads", []) == []
    assert account.keys == set()


def test_what_was_packed_for_another_try_goes_when_that_was_given_up(account: Account) -> None:
    left = account.folder / "packed-news" / "old.tar.gz"
    left.parent.mkdir()
    left.write_bytes(b"")
    account.put(account.depot(), account.data(a="1"))
    assert left.exists()
    account.put(account.depot(given_up=0.0), account.data(a="2"))
    assert list(left.parent.iterdir()) == []


def test_a_bucket_of_another_region_is_refused(account: Account) -> None:
    other = {"LocationConstraint": "us-west-2"}
    there = account.aws.client("s3", "us-west-2")
    there.create_bucket(Bucket=NAME, CreateBucketConfiguration=other)
    with pytest.raises(DeployError, match="is in us-west-2, and the endpoint is to be in eu-west-1"):
        account.depot().locate(account.data(a="1"))
