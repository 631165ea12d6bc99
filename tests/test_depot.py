import pytest

from hotfire.depot import parted


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
