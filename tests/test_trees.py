"""Trees of the local region: whole or not there, copied once, changed by nobody."""

import gzip
import hashlib
import io
import os
import tarfile
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hotfire.archive import Limits
from hotfire.errors import ArchiveError
from hotfire.model_data import Entry, tree_sha256
from hotfire.region.trees import Trees


def entry(place: str, source: Path, mode: int = 0o644) -> Entry:
    content = source.read_bytes()
    return Entry(place, source, len(content), mode, hashlib.sha256(content).hexdigest())


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "ein Projekt"
    (folder / "sub").mkdir(parents=True)
    (folder / "serve.py").write_text("one")
    (folder / "weights.bin").write_bytes(b"w" * 10_000)
    (folder / "empty").touch()
    (folder / "sub/ä.txt").write_text("ä")
    return folder


@pytest.fixture
def entries(project: Path) -> list[Entry]:
    return [
        entry("code/serve.py", project / "serve.py"),
        entry("weights.bin", project / "weights.bin"),
        entry("empty", project / "empty"),
        entry("sub/ä.txt", project / "sub/ä.txt"),
    ]


@pytest.fixture
def trees(tmp_path: Path) -> Trees:
    return Trees(tmp_path / "region")


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def leftovers(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "region").rglob("*") if ".part" in path.name]


def test_a_tree_holds_what_was_named(trees: Trees, entries: list[Entry], tmp_path: Path) -> None:
    name = trees.admit(entries)
    assert name == tree_sha256(entries)
    assert contents(trees.path(name)) == {
        "code/serve.py": b"one",
        "weights.bin": b"w" * 10_000,
        "empty": b"",
        "sub/ä.txt": "ä".encode(),
    }
    assert leftovers(tmp_path) == []


def test_a_tree_does_not_change_with_its_sources(trees: Trees, entries: list[Entry], project: Path) -> None:
    name = trees.admit(entries)
    with (project / "weights.bin").open("r+b") as weights:
        weights.write(b"changed")
    assert (trees.path(name) / "weights.bin").read_bytes() == b"w" * 10_000


def test_files_of_a_tree_are_read_only(trees: Trees, entries: list[Entry]) -> None:
    folder = trees.path(trees.admit([replace(entries[0], mode=0o755), *entries[1:]]))
    assert oct((folder / "code/serve.py").stat().st_mode & 0o777) == "0o555"
    assert oct((folder / "weights.bin").stat().st_mode & 0o777) == "0o444"


def test_a_handler_may_add_files_to_its_folder(trees: Trees, entries: list[Entry]) -> None:
    folder = trees.path(trees.admit(entries))
    assert folder.stat().st_mode & 0o700 == 0o700


def test_missing_names_each_content_once(trees: Trees, entries: list[Entry]) -> None:
    again = replace(entries[0], place="other.py")
    assert trees.missing([*entries, again]) == [one.sha256 for one in entries]
    trees.admit(entries)
    assert trees.missing([*entries, again]) == []


def test_only_what_changed_is_read(trees: Trees, entries: list[Entry], project: Path) -> None:
    trees.admit(entries)
    (project / "weights.bin").unlink()
    (project / "serve.py").write_text("two")
    changed = [entry("code/serve.py", project / "serve.py"), *entries[1:]]
    assert contents(trees.path(trees.admit(changed)))["code/serve.py"] == b"two"


def test_the_same_content_is_on_the_disk_once(trees: Trees, entries: list[Entry], project: Path) -> None:
    first = trees.path(trees.admit(entries))
    (project / "serve.py").write_text("two")
    second = trees.path(trees.admit([entry("code/serve.py", project / "serve.py"), *entries[1:]]))
    assert (first / "weights.bin").stat().st_ino == (second / "weights.bin").stat().st_ino


def test_a_source_that_has_changed_is_named(
    trees: Trees, entries: list[Entry], project: Path, tmp_path: Path
) -> None:
    (project / "weights.bin").write_bytes(b"v" * 10_000)
    with pytest.raises(ArchiveError, match=r"weights\.bin changed while it was read"):
        trees.admit(entries)
    assert (leftovers(tmp_path), list((tmp_path / "region/trees").iterdir())) == ([], [])


def test_a_source_that_is_gone_is_named(trees: Trees, entries: list[Entry], project: Path) -> None:
    (project / "weights.bin").unlink()
    with pytest.raises(ArchiveError, match=r"weights\.bin changed while it was read"):
        trees.admit(entries)


def test_a_wrong_size_is_not_believed(trees: Trees, entries: list[Entry]) -> None:
    with pytest.raises(ArchiveError, match="changed while it was read"):
        trees.admit([replace(entries[0], size=4)])


def test_a_pipe_is_not_waited_for(trees: Trees, entries: list[Entry], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ArchiveError, match="is a named pipe"):
        trees.admit([replace(entries[0], source=tmp_path / "pipe")])


@pytest.mark.parametrize("place", ["../x", "/etc/x", "a/../../x", "", "a\0b", "a//b"])
def test_places_out_of_the_tree_are_refused(trees: Trees, entries: list[Entry], place: str) -> None:
    with pytest.raises(ArchiveError, match="cannot lie at"):
        trees.admit([replace(entries[0], place=place)])


def test_a_hash_that_is_a_path_is_refused(trees: Trees, entries: list[Entry]) -> None:
    with pytest.raises(ArchiveError, match="is not a SHA-256"):
        trees.admit([replace(entries[0], sha256="../../../etc/passwd")])


def test_one_place_twice_is_refused(trees: Trees, entries: list[Entry]) -> None:
    with pytest.raises(ArchiveError, match="are to be empty of the model data"):
        trees.admit([*entries, replace(entries[0], place="empty")])


@pytest.mark.parametrize("name", ["0" * 64, "..", "../objects", ""])
def test_there_is_no_other_path(trees: Trees, name: str) -> None:
    with pytest.raises(ArchiveError, match="holds no model data"):
        trees.path(name)


def test_a_content_that_lost_its_bytes_is_copied_again(
    trees: Trees, entries: list[Entry], tmp_path: Path
) -> None:
    trees.admit(entries)
    stored = tmp_path / "region/objects" / entries[1].sha256
    stored.unlink()
    stored.touch()
    trees.admit(entries[1:])
    assert stored.read_bytes() == b"w" * 10_000


def test_a_content_that_was_written_to_is_copied_again(trees: Trees, entries: list[Entry]) -> None:
    spoiled = trees.path(trees.admit(entries)) / "weights.bin"
    spoiled.chmod(0o644)  # as root need not
    spoiled.write_bytes(b"v" * 10_000)
    fresh = trees.path(trees.admit(entries[1:]))
    assert (fresh / "weights.bin").read_bytes() == b"w" * 10_000


def test_without_links_files_are_copied(
    trees: Trees, entries: list[Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    folder = trees.path(trees.admit(entries))
    assert contents(folder)["weights.bin"] == b"w" * 10_000
    assert (folder / "weights.bin").stat().st_mode & 0o777 == 0o444


def test_without_help_of_the_kernel_files_are_copied(
    trees: Trees, entries: list[Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = iter([5, OSError(18, "Invalid cross-device link")])

    def part_only(source: int, target: int, count: int) -> int:
        result = next(calls, OSError(18, "Invalid cross-device link"))
        if isinstance(result, OSError):
            raise result
        return os.write(target, os.read(source, result))

    monkeypatch.setattr(os, "copy_file_range", part_only)
    assert contents(trees.path(trees.admit(entries)))["weights.bin"] == b"w" * 10_000


def test_many_at_once_give_one_tree(trees: Trees, entries: list[Entry], tmp_path: Path) -> None:
    names: list[str] = []
    threads = [threading.Thread(target=lambda: names.append(trees.admit(entries))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names == [tree_sha256(entries)] * 8
    assert leftovers(tmp_path) == []


class TestRemoving:
    def test_keeps_what_is_to_be_kept(self, trees: Trees, entries: list[Entry], tmp_path: Path) -> None:
        kept, gone = trees.admit(entries[1:]), trees.admit(entries)
        trees.remove({kept})
        assert [path.name for path in (tmp_path / "region/trees").iterdir()] == [kept]
        assert trees.missing(entries) == [entries[0].sha256]
        with pytest.raises(ArchiveError):
            trees.path(gone)

    def test_clears_what_a_crash_left(self, trees: Trees, tmp_path: Path) -> None:
        (tmp_path / "region/trees/.hotfire-12.part/sub").mkdir(parents=True)
        (tmp_path / "region/objects/.hotfire-34.part").touch()
        trees.remove(set())
        assert leftovers(tmp_path) == []

    def test_clears_what_a_handler_wrote(self, trees: Trees, entries: list[Entry], tmp_path: Path) -> None:
        folder = trees.path(trees.admit(entries))
        (folder / "logs").mkdir()
        (folder / "logs/info.log").touch()
        trees.remove(set())
        assert list((tmp_path / "region/trees").iterdir()) == []
        assert list((tmp_path / "region/objects").iterdir()) == []


def archive_of(path: Path, files: dict[str, bytes]) -> Path:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        link = tarfile.TarInfo("latest")
        link.type, link.linkname = tarfile.SYMTYPE, "."
        tar.addfile(link)
    path.write_bytes(gzip.compress(raw.getvalue(), mtime=0))
    return path


class TestArchives:
    def test_is_named_by_its_own_hash(self, trees: Trees, tmp_path: Path) -> None:
        archive = archive_of(tmp_path / "m.tar.gz", {"model.pt": b"w", "code/serve.py": b"s"})
        name = trees.admit_archive(archive)
        assert name == hashlib.sha256(archive.read_bytes()).hexdigest()
        assert (trees.path(name) / "code/serve.py").read_bytes() == b"s"
        assert oct((trees.path(name) / "model.pt").stat().st_mode & 0o777) == "0o444"

    def test_is_unpacked_once(self, trees: Trees, tmp_path: Path) -> None:
        archive = archive_of(tmp_path / "m.tar.gz", {"model.pt": b"w"})
        first = trees.path(trees.admit_archive(archive)).stat().st_ino
        assert trees.path(trees.admit_archive(archive)).stat().st_ino == first

    def test_a_new_archive_is_another_tree(self, trees: Trees, tmp_path: Path) -> None:
        old = trees.path(trees.admit_archive(archive_of(tmp_path / "m.tar.gz", {"model.pt": b"1"})))
        new = trees.path(trees.admit_archive(archive_of(tmp_path / "m.tar.gz", {"model.pt": b"2"})))
        assert [(folder / "model.pt").read_bytes() for folder in (old, new)] == [b"1", b"2"]

    def test_a_hostile_one_leaves_nothing(self, trees: Trees, tmp_path: Path) -> None:
        with pytest.raises(ArchiveError, match="leads out of it"):
            trees.admit_archive(archive_of(tmp_path / "m.tar.gz", {"ok": b"", "../escaped": b"x"}))
        assert (leftovers(tmp_path), list((tmp_path / "region/trees").iterdir())) == ([], [])
        assert not list(tmp_path.rglob("escaped"))

    def test_limits_are_those_of_the_region(self, tmp_path: Path) -> None:
        trees = Trees(tmp_path / "region", Limits(bytes=20_000))
        with pytest.raises(ArchiveError, match="holds more than 20,000 bytes"):
            trees.admit_archive(archive_of(tmp_path / "m.tar.gz", {"zeros": bytes(100_000)}))

    def test_one_that_is_not_there_is_named(self, trees: Trees, tmp_path: Path) -> None:
        with pytest.raises(ArchiveError, match=r"m\.tar\.gz cannot be read: No such file"):
            trees.admit_archive(tmp_path / "m.tar.gz")


class TestFolders:
    def test_is_a_snapshot_of_all_of_it(self, trees: Trees, project: Path) -> None:
        (project / ".gitignore").write_text("*\n")
        (project / "__pycache__").mkdir()
        (project / "__pycache__/a.pyc").write_bytes(b"c")
        name = trees.admit_folder(project)
        expected = contents(project)
        (project / "serve.py").write_text("two")
        assert contents(trees.path(name)) == expected

    def test_a_tree_of_ours_is_itself(self, trees: Trees, entries: list[Entry], tmp_path: Path) -> None:
        name = trees.admit(entries)
        (trees.path(name) / "written by a handler").touch()
        assert trees.admit_folder(trees.path(name)) == name
        (tmp_path / "link").symlink_to(tmp_path / "region")
        assert trees.admit_folder(tmp_path / "link" / "trees" / name) == name

    def test_one_that_is_not_there_is_named(self, trees: Trees, tmp_path: Path) -> None:
        with pytest.raises(ArchiveError, match=r"There is no folder .*/absent"):
            trees.admit_folder(tmp_path / "absent")


@pytest.fixture
def small_disk(mount: Callable[[str], Path]) -> Path:
    """A file system of one megabyte."""
    return mount("1m")


def test_no_space_leaves_nothing(
    small_disk: Path, entries: list[Entry], project: Path, tmp_path: Path
) -> None:
    (project / "weights.bin").write_bytes(bytes(2 << 20))
    trees = Trees(small_disk)
    with pytest.raises(ArchiveError, match=r"No space is left to write .*; it needs up to 2,097,152 bytes\."):
        trees.admit([entry("weights.bin", project / "weights.bin")])
    assert leftovers(tmp_path) == []
