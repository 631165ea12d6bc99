"""A tree's name, and which places can lie in one tree."""

from dataclasses import replace
from pathlib import Path

import pytest

from hotfire.errors import ArchiveError
from hotfire.model_data import Entry, ModelData, check_places, entries_of, listing, tree_sha256

ONE = Entry("code/serve.py", Path("/p/serve.py"), 10, 0o644, "1" * 64)
TWO = Entry("model.pt", Path("/p/model.pt"), 20, 0o644, "2" * 64)


def test_the_name_does_not_depend_on_order_or_source() -> None:
    assert tree_sha256([ONE, TWO]) == tree_sha256([replace(TWO, source=Path("/elsewhere")), ONE])


@pytest.mark.parametrize("change", [{"place": "code/a.py"}, {"mode": 0o755}, {"sha256": "3" * 64}])
def test_the_name_depends_on(change: dict[str, str]) -> None:
    assert tree_sha256([replace(ONE, **change), TWO]) != tree_sha256([ONE, TWO])


def test_a_place_with_a_line_break_is_not_two_places() -> None:
    tricky = replace(ONE, place=f"a\0644 {TWO.sha256} b".replace("\0", "\n"))
    assert tree_sha256([tricky]) != tree_sha256([replace(ONE, place="a"), replace(TWO, place="b")])


def test_a_listing_has_places_and_sizes() -> None:
    data = ModelData((ONE, TWO), "0" * 64, "serve.py")
    assert listing(data) == [("code/serve.py", 10), ("model.pt", 20)]


def test_the_size_is_that_of_all_files() -> None:
    assert ModelData((ONE, TWO), "0" * 64, "serve.py").size == 30


def test_a_manifest_comes_back_as_it_was() -> None:
    data = ModelData((ONE, TWO), "0" * 64, "serve.py")
    assert entries_of(data.manifest()) == (ONE, TWO)


@pytest.mark.parametrize("manifest", [None, {}, "text", [1], [{}], [{"place": "a"}]])
def test_what_is_no_manifest_is_refused(manifest: object) -> None:
    with pytest.raises(ArchiveError, match="manifest of the model data"):
        entries_of(manifest)


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": "../../etc/passwd"},
        {"sha256": "A" * 64},
        {"mode": 0o4755},
        {"size": -1},
        {"size": "1"},
        {"source": "relative"},
        {"place": None},
    ],
)
def test_an_entry_that_says_what_it_may_not_is_refused(change: dict[str, object]) -> None:
    item = ModelData((ONE,), "0" * 64, "serve.py").manifest()[0] | change
    with pytest.raises(ArchiveError, match="holds what is not a file of it"):
        entries_of([item])


@pytest.mark.parametrize(
    "place", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", ".", "a/./b", "a\0b"]
)
def test_a_place_outside_the_tree_is_refused(place: str) -> None:
    with pytest.raises(ArchiveError, match=r"/p/x cannot lie at .* in model data\."):
        check_places([(place, Path("/p/x"))])


def test_a_name_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(ArchiveError, match="is not UTF-8"):
        check_places([("\udcff", Path("/p/x"))])


def test_two_files_for_one_place_are_both_named() -> None:
    with pytest.raises(ArchiveError, match=r"Both /p/a and /q/a are to be a of the model data\."):
        check_places([("a", Path("/p/a")), ("a", Path("/q/a"))])


@pytest.mark.parametrize("turn", [1, -1])
def test_a_file_and_a_folder_of_one_name_are_both_named(turn: int) -> None:
    claims = [("a", Path("/p/a")), ("a/b/c", Path("/q/c"))][::turn]
    with pytest.raises(ArchiveError, match=r"/p/a is to be the file a .*, and /q/c .* \(a/b/c\)\."):
        check_places(claims)


def test_names_that_only_begin_alike_are_no_folder_of_each_other() -> None:
    check_places([("a", Path("/p/a")), ("a.txt", Path("/p/b")), ("ab/c", Path("/p/c"))])
