"""The keys of a bucket in the order of their bytes, by pages."""

import itertools
from pathlib import Path

import pytest

from hotfire.region.object_listing import Wanted, is_empty, page

KEYS = ["a", "a-b", "a.txt", "ab", "b/c", "b/d/e", "b/d/f", "b0", "b-1", "B", "é", "z/", "\U0001f600"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for key in KEYS:
        path = tmp_path / key
        if key.endswith("/"):
            path.mkdir(parents=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
    (tmp_path / "empty" / "folder").mkdir(parents=True)
    return tmp_path


MARKERS = frozenset({"z/"})


def expected(wanted: Wanted) -> tuple[list[str], list[str]]:
    """What S3 says, by its documented rules, of the keys as a plain list."""
    keys, prefixes = [], []
    for key in sorted(KEYS, key=str.encode):
        if not key.startswith(wanted.prefix) or key.encode() <= wanted.after.encode():
            continue
        rest = key[len(wanted.prefix) :]
        if wanted.delimiter and wanted.delimiter in rest:
            common = wanted.prefix + rest.partition(wanted.delimiter)[0] + wanted.delimiter
            if common not in prefixes and common != wanted.after:
                prefixes.append(common)
        else:
            keys.append(key)
    return keys, prefixes


@pytest.mark.parametrize("prefix", ["", "a", "b", "b/", "b/d", "b/d/", "x", "z", "z/", "é"])
@pytest.mark.parametrize("delimiter", ["", "/", "-", "d"])
@pytest.mark.parametrize("after", ["", "a", "a.", "b", "b/", "b/c", "b/d", "b/d/e", "z/", "zz"])
def test_a_page_is_what_s3_would_say(folder: Path, prefix: str, delimiter: str, after: str) -> None:
    wanted = Wanted(prefix, delimiter, after)
    found = page(folder, MARKERS, wanted)
    assert (list(found.keys), list(found.prefixes), found.last) == (*expected(wanted), None)


@pytest.mark.parametrize("delimiter", ["", "/", "-"])
@pytest.mark.parametrize("most", [1, 2, 5])
def test_pages_have_together_what_one_has(folder: Path, delimiter: str, most: int) -> None:
    keys: list[str] = []
    prefixes: list[str] = []
    after: str | None = ""
    for _ in itertools.count():
        assert after is not None
        found = page(folder, MARKERS, Wanted("", delimiter, after, most))
        assert len(found.keys) + len(found.prefixes) <= most
        keys += found.keys
        prefixes += found.prefixes
        after = found.last
        if after is None:
            break
    assert (keys, prefixes) == expected(Wanted("", delimiter))


def test_a_folder_between_files_is_in_the_order_of_whole_keys(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for name in ("a/b", "a-c", "a0"):
        (tmp_path / name).touch()
    assert page(tmp_path, frozenset(), Wanted()).keys == ("a-c", "a/b", "a0")


def test_empty_folders_are_no_objects(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert is_empty(tmp_path, frozenset())
    assert page(tmp_path, frozenset(), Wanted("", "/")).prefixes == ()


def test_a_folder_that_an_object_stands_for_is_one(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert not is_empty(tmp_path, frozenset({"a/"}))
    assert page(tmp_path, frozenset({"a/"}), Wanted()).keys == ("a/",)


def test_names_that_are_no_text_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    Path(str(tmp_path) + "/\udcff").touch()
    assert page(tmp_path, frozenset(), Wanted()).keys == ("a",)


def test_a_link_is_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "bucket").mkdir()
    (tmp_path / "model").write_bytes(b"1")
    (tmp_path / "bucket" / "linked").symlink_to(tmp_path / "model")
    (tmp_path / "bucket" / "broken").symlink_to(tmp_path / "nothing")
    assert page(tmp_path / "bucket", frozenset(), Wanted()).keys == ("linked",)
