"""A file is hashed once for as long as it does not change, and never believed too easily."""

import hashlib
import json
import os
import socket
from pathlib import Path

import pytest

from hotfire.errors import ArchiveError
from hotfire.hashes import Digest, HashCache

PLANTED = "ab" * 32


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "weights.bin"
    path.write_bytes(b"weights")
    return path


@pytest.fixture
def planted(tmp_path: Path, file: Path) -> Path:
    """A cache that holds a wrong hash for the file, so that a test sees whether it was believed."""
    cache = tmp_path / "cache" / "hashes.json"
    hashes = HashCache(cache, racy_ns=0)
    hashes.digest(file)
    hashes.save()
    cache.write_text(cache.read_text().replace(sha(b"weights"), PLANTED))
    return cache


def test_a_digest_has_hash_size_and_mode(tmp_path: Path, file: Path) -> None:
    assert HashCache(tmp_path / "c").digest(file) == Digest(sha(b"weights"), 7, 0o644)


def test_what_its_owner_may_run_is_a_program(tmp_path: Path, file: Path) -> None:
    file.chmod(0o700)
    assert HashCache(tmp_path / "c").digest(file).mode == 0o755


def test_an_empty_file_has_the_hash_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert HashCache(tmp_path / "c").digest(tmp_path / "empty") == Digest(sha(b""), 0, 0o644)


def test_an_unchanged_file_is_not_hashed_again(planted: Path, file: Path) -> None:
    assert HashCache(planted).digest(file).sha256 == PLANTED


def test_a_file_of_another_size_is_hashed_again(planted: Path, file: Path) -> None:
    file.write_bytes(b"longer weights")
    assert HashCache(planted).digest(file).sha256 == sha(b"longer weights")


def test_a_changed_file_with_its_old_time_and_size_is_hashed_again(planted: Path, file: Path) -> None:
    before = file.stat()
    file.write_bytes(b"WEIGHTS")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert HashCache(planted).digest(file).sha256 == sha(b"WEIGHTS")


def test_another_file_put_in_its_place_is_hashed_again(planted: Path, file: Path, tmp_path: Path) -> None:
    before = file.stat()
    other = tmp_path / "other"
    other.write_bytes(b"WEIGHTS")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(file)
    assert HashCache(planted).digest(file).sha256 == sha(b"WEIGHTS")


def test_a_file_that_was_written_just_now_is_not_believed_next_time(tmp_path: Path, file: Path) -> None:
    hashes = HashCache(tmp_path / "c")
    hashes.digest(file)
    hashes.save()
    assert not (tmp_path / "c").exists()


def test_a_link_is_what_it_leads_to(planted: Path, tmp_path: Path, file: Path) -> None:
    (tmp_path / "link").symlink_to(file)
    assert HashCache(planted).digest(tmp_path / "link").sha256 == sha(b"weights")


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\x00", b"[]", b"{}", b'{"format": 1, "files": []}', b'{"format": 2, "files": {}}', b"null"],
)
def test_a_broken_cache_is_only_slower(tmp_path: Path, file: Path, content: bytes) -> None:
    (tmp_path / "c").write_bytes(content)
    assert HashCache(tmp_path / "c").digest(file).sha256 == sha(b"weights")


@pytest.mark.parametrize("entry", [None, [], "x", [1, 2], [1, 2, 3, 4, 5]])
def test_a_broken_entry_is_only_slower(planted: Path, file: Path, entry: object) -> None:
    planted.write_text(json.dumps({"format": 1, "files": {str(file): entry}}))
    assert HashCache(planted).digest(file).sha256 == sha(b"weights")


def test_a_cache_that_cannot_be_written_is_only_slower(tmp_path: Path, file: Path) -> None:
    hashes = HashCache(file / "inside-a-file" / "hashes.json", racy_ns=0)
    hashes.digest(file)
    hashes.save()
    assert file.read_bytes() == b"weights"


def test_saving_leaves_only_the_cache(planted: Path) -> None:
    assert [path.name for path in planted.parent.iterdir()] == ["hashes.json"]


def test_a_name_that_is_not_utf8_is_kept(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.bin"))
    path.write_bytes(b"x")
    cache = tmp_path / "c"
    hashes = HashCache(cache, racy_ns=0)
    hashes.digest(path)
    hashes.save()
    cache.write_text(cache.read_text().replace(sha(b"x"), PLANTED))
    assert HashCache(cache).digest(path).sha256 == PLANTED


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"absent\.bin cannot be read: No such file"):
        HashCache(tmp_path / "c").digest(tmp_path / "absent.bin")


def test_a_folder_has_no_hash(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="cannot be read: Is a directory"):
        HashCache(tmp_path / "c").digest(tmp_path)


@pytest.mark.skipif(
    not Path("/proc/self/mem").exists(), reason="no /proc, which has a file that fails when read"
)
def test_a_file_that_fails_when_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="/proc/self/mem cannot be read: Input/output error"):
        HashCache(tmp_path / "c").digest(Path("/proc/self/mem"))


def test_a_named_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ArchiveError, match="is a named pipe"):
        HashCache(tmp_path / "c").digest(tmp_path / "pipe")


def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path may be 108 bytes long at most
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        with pytest.raises(ArchiveError, match="is a socket"):
            HashCache(tmp_path / "c").digest(tmp_path / "s")


def test_the_oldest_entries_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hotfire.hashes.MOST_FILES", 2)
    hashes = HashCache(tmp_path / "c", racy_ns=0)
    for name in ("1", "2", "3"):
        (tmp_path / name).touch()
        hashes.digest(tmp_path / name)
    hashes.save()
    assert list(json.loads((tmp_path / "c").read_text())["files"]) == [
        str(tmp_path / "2"),
        str(tmp_path / "3"),
    ]
