"""Buckets as folders, and what is remembered of their objects."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hotfire.errors import ArchiveError
from hotfire.region.buckets import Buckets
from hotfire.region.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "region.sqlite") as store:
        yield store


@pytest.fixture
def objects(tmp_path: Path) -> Path:
    return tmp_path / "objects"


@pytest.fixture
def buckets(store: Store, objects: Path) -> Buckets:
    return Buckets(objects, store)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("s3://bucket/key", "bucket/key"),
        ("s3://bucket/a/b c.json", "bucket/a/b c.json"),
        ("s3://bucket/50%25 #1?", "bucket/50%25 #1?"),
        ("s3://bucket/folder/", "bucket/folder"),
        ("s3://bucket/", "bucket"),
        ("s3://bucket", "bucket"),
        ("s3://my.bucket-1/häuser/\u4e2d", "my.bucket-1/häuser/\u4e2d"),
    ],
)
def test_an_object_is_a_file(buckets: Buckets, objects: Path, url: str, place: str) -> None:
    assert buckets.path(url) == objects / place


def test_the_address_of_a_file_is_the_file(buckets: Buckets) -> None:
    assert buckets.path("file:///tmp/a%20b") == Path("/tmp/a b")


@pytest.mark.parametrize(
    "key", ["..", "../x", "a/../../x", "a//b", "/a", "a/./b", "a/..", "a\0b", "x" * 256, "a//"]
)
def test_a_key_that_no_file_can_have_is_refused(buckets: Buckets, key: str) -> None:
    with pytest.raises(ArchiveError, match="no file can have the key") as refused:
        buckets.path(f"s3://bucket/{key}")
    assert refused.value.advice == "Choose another key."


@pytest.mark.parametrize("name", ["", "..", ".uploads", "A", "ab", "a..b", "192.168.0.1", "x" * 64, "a_b"])
def test_what_is_no_buckets_name_is_refused(buckets: Buckets, name: str) -> None:
    with pytest.raises(ArchiveError, match="cannot be the name of a bucket"):
        buckets.path(f"s3://{name}/key")


def test_another_kind_of_address_is_refused(buckets: Buckets) -> None:
    with pytest.raises(ArchiveError, match="https://bucket/key is no address"):
        buckets.path("https://bucket/key")


def test_what_is_written_is_read(buckets: Buckets, objects: Path) -> None:
    buckets.write("s3://bucket/out/1.json", b"{}", "application/json", {"id": "7"})
    assert buckets.read("s3://bucket/out/1.json") == b"{}"
    found = buckets.find("bucket", "out/1.json")
    assert found is not None
    assert found.facts == {"ContentType": "application/json", "Metadata": {"id": "7"}}
    assert found.etag == "99914b932bd37a50b983c5e7c90ae93b"
    assert [path.name for path in (objects / ".uploads").iterdir()] == []


def test_a_file_can_be_written_too(buckets: Buckets, tmp_path: Path) -> None:
    file = tmp_path / "new" / "a b.json"
    buckets.write(file.as_uri(), b"{}", "application/json")
    assert file.read_bytes() == b"{}"
    assert [path.name for path in file.parent.iterdir()] == ["a b.json"]


def test_an_object_that_is_not_there_is_named(buckets: Buckets) -> None:
    buckets.create("bucket")
    with pytest.raises(ArchiveError, match="There is no s3://bucket/key in the local region") as refused:
        buckets.read("s3://bucket/key")
    assert "aws s3 cp FILE s3://bucket/key" in refused.value.advice


def test_a_bucket_that_is_not_there_is_named(buckets: Buckets) -> None:
    with pytest.raises(ArchiveError, match="has no bucket bucket") as refused:
        buckets.read("s3://bucket/key")
    assert "aws s3 mb s3://bucket" in refused.value.advice


def test_a_file_that_is_not_there_is_named(buckets: Buckets, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=f"There is no {tmp_path}/x"):
        buckets.read(f"file://{tmp_path}/x")


def test_a_folder_cannot_be_read_as_an_object(buckets: Buckets) -> None:
    buckets.write("s3://bucket/a/b", b"", "text/plain")
    with pytest.raises(ArchiveError, match="cannot be read"):
        buckets.read("s3://bucket/a")


def test_no_object_is_written_at_the_address_of_a_folder(buckets: Buckets) -> None:
    with pytest.raises(ArchiveError, match="names no object"):
        buckets.write("s3://bucket/a/", b"", "text/plain")


@pytest.mark.parametrize(("first", "second"), [("a", "a/b"), ("a/b", "a"), ("a/b/c", "a")])
def test_a_key_beside_itself_is_refused(buckets: Buckets, first: str, second: str) -> None:
    buckets.write(f"s3://bucket/{first}", b"1", "text/plain")
    with pytest.raises(ArchiveError, match="no name is both a file and a folder"):
        buckets.write(f"s3://bucket/{second}", b"2", "text/plain")
    assert buckets.read(f"s3://bucket/{first}") == b"1"


def test_a_user_s_own_file_is_an_object(buckets: Buckets, objects: Path) -> None:
    (objects / "mine").mkdir(parents=True)
    (objects / "mine" / "model.bin").write_bytes(b"12")
    found = buckets.find("mine", "model.bin")
    assert found is not None
    assert (found.size, found.facts) == (2, {"ContentType": "binary/octet-stream"})
    assert found.etag.endswith("-1")
    assert buckets.names() == ["mine"]


def test_what_is_remembered_ends_with_the_content(buckets: Buckets, objects: Path) -> None:
    buckets.write("s3://bucket/key", b"12", "text/plain")
    (objects / "bucket" / "key").write_bytes(b"123")
    found = buckets.find("bucket", "key")
    assert found is not None
    assert found.facts == {"ContentType": "binary/octet-stream"}


def test_what_is_remembered_outlives_the_region(buckets: Buckets, objects: Path, tmp_path: Path) -> None:
    buckets.write("s3://bucket/key", b"12", "text/plain")
    with Store(tmp_path / "region.sqlite") as again:
        found = Buckets(objects, again).find("bucket", "key")
    assert found is not None
    assert found.facts["ContentType"] == "text/plain"


def test_a_folder_that_a_removed_object_leaves_empty_goes(buckets: Buckets, objects: Path) -> None:
    buckets.write("s3://bucket/a/b/c", b"", "text/plain")
    buckets.write("s3://bucket/a/d", b"", "text/plain")
    buckets.remove("bucket", "a/b/c")
    assert [path.name for path in (objects / "bucket" / "a").iterdir()] == ["d"]
    buckets.remove("bucket", "a/d")
    assert list((objects / "bucket").iterdir()) == []


def test_removing_what_is_not_there_does_nothing(buckets: Buckets) -> None:
    buckets.write("s3://bucket/a", b"", "text/plain")
    buckets.remove("bucket", "a/b")
    buckets.remove("bucket", "x/y")
    assert buckets.find("bucket", "a") is not None


def test_an_empty_object_can_stand_for_a_folder(buckets: Buckets) -> None:
    buckets.create("bucket")
    part = buckets.new_part()
    part.touch()
    buckets.put("bucket", "folder/", part, "e", {})
    buckets.write("s3://bucket/folder/a", b"", "text/plain")
    buckets.remove("bucket", "folder/a")
    assert buckets.find("bucket", "folder/") is not None
    buckets.remove("bucket", "folder/")
    assert buckets.find("bucket", "folder/") is None
    assert not buckets.path("s3://bucket/folder").exists()


def test_an_object_with_content_cannot_stand_for_a_folder(buckets: Buckets) -> None:
    buckets.create("bucket")
    part = buckets.new_part()
    part.write_bytes(b"1")
    with pytest.raises(ArchiveError, match="ends in a slash"):
        buckets.put("bucket", "folder/", part, "e", {})


def test_a_bucket_of_empty_folders_is_removed(buckets: Buckets, objects: Path) -> None:
    (objects / "bucket" / "a" / "b").mkdir(parents=True)
    assert buckets.delete("bucket") is True
    assert buckets.names() == []


def test_a_bucket_with_what_no_key_can_name_is_kept(buckets: Buckets, objects: Path) -> None:
    (objects / "bucket").mkdir(parents=True)
    Path(f"{objects}/bucket/\udcff").write_bytes(b"mine")
    assert buckets.delete("bucket") is False
    assert buckets.names() == ["bucket"]


def test_empty_folders_stand_in_nobody_s_way(buckets: Buckets, objects: Path) -> None:
    (objects / "bucket" / "a" / "b").mkdir(parents=True)
    buckets.write("s3://bucket/a", b"1", "text/plain")
    assert buckets.read("s3://bucket/a") == b"1"
