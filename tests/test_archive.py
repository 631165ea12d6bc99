"""Packing the same way each time, and unpacking nothing that could do harm."""

import gzip
import io
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import textwrap
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from hotfire.archive import Limits, pack, unpack
from hotfire.errors import ArchiveError
from hotfire.hashes import HashCache
from hotfire.model_data import Entry, ModelData, tree_sha256

LONG = "a folder with spaces/" * 8 + "日本語 – naïve.txt"


def data_of(folder: Path) -> ModelData:
    """The model data that a folder holds."""
    hashes = HashCache(folder.parent / "hashes.json")
    entries = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest = hashes.digest(path)
        entries.append(
            Entry(path.relative_to(folder).as_posix(), path, digest.size, digest.mode, digest.sha256)
        )
    entries.sort(key=lambda entry: entry.place)
    return ModelData(tuple(entries), tree_sha256(entries), "serve.py")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Model data of every kind: empty, large, to be run, with names that old tar cannot hold."""
    top = tmp_path / "model data"
    for name, content in {
        "model.pt": os.urandom(3 << 20),
        "empty": b"",
        "code/serve.py": b"def model_fn(model_dir): ...\n",
        "code/run.sh": b"#!/bin/sh\n",
        LONG: "text – text".encode(),
        "zeros.bin": bytes(2_500_001),
        "new\nline": b"x",
    }.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(content)
    (top / "code/run.sh").chmod(0o755)
    (top / "model.pt").chmod(0o600)
    return top


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


class TestPacking:
    def test_comes_back_as_it_was(self, tmp_path: Path, folder: Path) -> None:
        pack(data_of(folder), tmp_path / "m.tar.gz")
        unpack(tmp_path / "m.tar.gz", tmp_path / "out")
        assert contents(tmp_path / "out") == contents(folder)

    def test_keeps_what_may_be_run_and_nothing_else_of_modes(self, tmp_path: Path, folder: Path) -> None:
        pack(data_of(folder), tmp_path / "m.tar.gz")
        with tarfile.open(tmp_path / "m.tar.gz") as tar:
            modes = {member.name: member.mode for member in tar}
        assert {name for name, mode in modes.items() if mode != 0o644} == {"code/run.sh"}
        assert modes["code/run.sh"] == 0o755

    @pytest.mark.skipif(not shutil.which("tar"), reason="tar is not installed: apt-get install tar")
    def test_tar_and_gzip_read_it(self, tmp_path: Path, folder: Path) -> None:
        pack(data_of(folder), tmp_path / "m.tar.gz")
        (tmp_path / "out").mkdir()
        subprocess.run(["tar", "-xzf", "../m.tar.gz"], cwd=tmp_path / "out", check=True)
        assert contents(tmp_path / "out") == contents(folder)

    def test_same_content_same_bytes(self, tmp_path: Path, folder: Path) -> None:
        copy = tmp_path / "copy"
        shutil.copytree(folder, copy, copy_function=shutil.copy)
        for number, path in enumerate(copy.rglob("*")):
            os.utime(path, (number, number))
        (copy / "model.pt").chmod(0o666)
        pack(data_of(folder), tmp_path / "1.tar.gz")
        pack(data_of(copy), tmp_path / "2.tar.gz")
        assert (tmp_path / "1.tar.gz").read_bytes() == (tmp_path / "2.tar.gz").read_bytes()

    def test_says_nothing_of_when_and_by_whom(self, tmp_path: Path, folder: Path) -> None:
        pack(data_of(folder), tmp_path / "m.tar.gz")
        with tarfile.open(tmp_path / "m.tar.gz") as tar:
            said = {(one.mtime, one.uid, one.gid, one.uname, one.gname) for one in tar}
        assert said == {(0, 0, 0, "", "")}
        assert (tmp_path / "m.tar.gz").read_bytes()[4:8] == bytes(4)

    def test_nothing_packs_to_an_empty_archive(self, tmp_path: Path) -> None:
        pack(ModelData((), tree_sha256(()), "serve.py"), tmp_path / "m.tar.gz")
        unpack(tmp_path / "m.tar.gz", tmp_path / "out")
        assert list((tmp_path / "out").iterdir()) == []

    def test_makes_the_folder_and_replaces_what_was_there(self, tmp_path: Path, folder: Path) -> None:
        target = tmp_path / "build" / "deep" / "m.tar.gz"
        pack(data_of(folder), target)
        target.write_bytes(b"old")
        pack(data_of(folder), target)
        assert [path.name for path in target.parent.iterdir()] == ["m.tar.gz"]
        assert gzip.decompress(target.read_bytes())

    def test_progress_adds_up_to_the_size(self, tmp_path: Path, folder: Path) -> None:
        data, steps = data_of(folder), list[int]()
        pack(data, tmp_path / "m.tar.gz", steps.append)
        assert sum(steps) == data.size

    def test_no_more_than_blocks_of_a_file_are_in_memory(self, tmp_path: Path) -> None:
        (tmp_path / "in").mkdir()
        with (tmp_path / "in/sparse.bin").open("wb") as large:
            large.truncate(300 << 20)
        program = f"""
            from pathlib import Path
            from hotfire.archive import pack
            from hotfire.hashes import HashCache
            from hotfire.model_data import *
            path = Path({str(tmp_path / "in/sparse.bin")!r})
            digest = HashCache(Path({str(tmp_path / "h")!r})).digest(path)
            entry = Entry("a", path, digest.size, digest.mode, digest.sha256)
            pack(ModelData((entry,), tree_sha256([entry]), "a"), Path({str(tmp_path / "m.tar.gz")!r}))
            # The peak of this program; `getrusage` would count the one that started it too.
            print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
        """
        ran = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program)], check=True, capture_output=True, text=True
        )
        assert int(ran.stdout) < 100 << 10  # kilobytes

    @pytest.mark.parametrize("change", ["grows", "shrinks", "differs", "goes"])
    def test_a_file_that_changes_meanwhile_is_named(self, tmp_path: Path, folder: Path, change: str) -> None:
        data, weights = data_of(folder), folder / "model.pt"

        def interfere(_: int) -> None:
            match change:
                case "grows":
                    os.truncate(weights, (3 << 20) + 1)
                case "shrinks":
                    os.truncate(weights, 10)
                case "differs":
                    weights.write_bytes(bytes(3 << 20))
                case "goes":
                    weights.unlink(missing_ok=True)

        with pytest.raises(ArchiveError, match=r"model\.pt changed while it was read"):
            pack(data, tmp_path / "m.tar.gz", interfere)
        assert not list(tmp_path.glob("*m.tar.gz")) + list(tmp_path.glob(".hotfire*"))

    def test_an_interruption_leaves_nothing(self, tmp_path: Path, folder: Path) -> None:
        def interrupt(_: int) -> None:
            raise KeyboardInterrupt

        before, threads = sorted(tmp_path.iterdir()), threading.active_count()
        with pytest.raises(KeyboardInterrupt):
            pack(data_of(folder), tmp_path / "m.tar.gz", interrupt)
        assert (sorted(tmp_path.iterdir()), threading.active_count()) == (before, threads)

    def test_a_real_ctrl_c_leaves_nothing(self, tmp_path: Path) -> None:
        with (tmp_path / "large.bin").open("wb") as large:
            large.truncate(1 << 30)
        program = f"""
            from pathlib import Path
            from hotfire.archive import pack
            from hotfire.model_data import *
            entry = Entry("a", Path({str(tmp_path / "large.bin")!r}), 1 << 30, 0o644, "0" * 64)
            said = []
            def say(count):
                said or print("packing", flush=True)
                said.append(1)
            pack(ModelData((entry,), "0" * 64, "a"), Path({str(tmp_path / "out" / "m.tar.gz")!r}), say)
        """
        with subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(program)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
        assert process.returncode == -signal.SIGINT, errors
        assert list((tmp_path / "out").iterdir()) == []

    def test_a_target_that_is_a_folder_is_named(self, tmp_path: Path, folder: Path) -> None:
        (tmp_path / "m.tar.gz").mkdir()
        with pytest.raises(ArchiveError, match=r"m\.tar\.gz cannot be written: Is a directory"):
            pack(data_of(folder), tmp_path / "m.tar.gz")
        assert not list(tmp_path.glob(".hotfire*"))

    def test_no_space_is_said_with_place_and_need(self, small_disk: Path, folder: Path) -> None:
        data = data_of(folder)
        with pytest.raises(ArchiveError) as raised:
            pack(data, small_disk / "m.tar.gz")
        assert raised.value.message == (
            f"No space is left to write {small_disk}/m.tar.gz; it needs up to {data.size:,} bytes."
        )
        assert list(small_disk.iterdir()) == []


@pytest.fixture
def small_disk(mount: Callable[[str], Path]) -> Path:
    """A file system of one megabyte."""
    return mount("1m")


# Archives that are built by hand.


def member(name: str, content: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, content


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, type=kind, linkname=target)


def tar_of(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return raw.getvalue()


@pytest.fixture
def unpacked(tmp_path: Path) -> Callable[..., Path]:
    """Unpack these members, or these bytes; the folder that it gives."""

    def run(*members: tuple[tarfile.TarInfo, bytes] | bytes, limits: Limits | None = None) -> Path:
        raw = b"".join(one for one in members if isinstance(one, bytes))
        raw = raw or gzip.compress(tar_of(*(one for one in members if not isinstance(one, bytes))), 1)
        (tmp_path / "m.tar.gz").write_bytes(raw)
        try:
            unpack(tmp_path / "m.tar.gz", tmp_path / "out", *([limits] if limits else []))
        except ArchiveError:
            assert [path.name for path in tmp_path.iterdir()] == ["m.tar.gz"]
            raise
        return tmp_path / "out"

    return run


Unpacked = Callable[..., Path]


class TestUnpacking:
    def test_takes_what_tar_of_the_folder_gives(self, unpacked: Unpacked) -> None:
        out = unpacked(
            member(".", type=tarfile.DIRTYPE),
            member("./model.pt", b"w"),
            member("./code", type=tarfile.DIRTYPE),
            member("./code/inference.py", b"c", mode=0o700),
            member("./empty folder", type=tarfile.DIRTYPE),
        )
        assert contents(out) == {"model.pt": b"w", "code/inference.py": b"c"}
        assert (out / "empty folder").is_dir()
        assert (out / "code/inference.py").stat().st_mode & 0o777 == 0o755

    def test_modes_do_no_harm(self, unpacked: Unpacked) -> None:
        out = unpacked(member("a", b"x", mode=0o6777), member("b", b"x", mode=0))
        assert [oct((out / name).stat().st_mode & 0o7777) for name in "ab"] == ["0o755", "0o644"]

    def test_an_empty_folder_is_filled(self, tmp_path: Path, unpacked: Unpacked) -> None:
        (tmp_path / "out").mkdir()
        assert contents(unpacked(member("a", b"x"))) == {"a": b"x"}

    def test_a_folder_with_something_in_it_is_not_touched(self, tmp_path: Path) -> None:
        (tmp_path / "m.tar.gz").write_bytes(gzip.compress(tar_of(member("a"))))
        (tmp_path / "out").mkdir()
        (tmp_path / "out/mine").touch()
        with pytest.raises(ArchiveError, match="out exists already"):
            unpack(tmp_path / "m.tar.gz", tmp_path / "out")
        assert contents(tmp_path / "out") == {"mine": b""}

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("/etc/passwd", "absolute path '/etc/passwd'"),
            ("//etc/passwd", "absolute path"),
            ("../x", "'../x', which leads out"),
            ("a/../../x", "which leads out"),
            ("a/..", "which leads out"),
        ],
    )
    @pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE])
    def test_paths_out_of_it(self, unpacked: Unpacked, name: str, reason: str, kind: bytes) -> None:
        with pytest.raises(ArchiveError, match=reason):
            unpacked(member("ok", b"x"), member(name, type=kind, linkname="ok"))

    @pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"Z"])
    def test_devices_pipes_and_what_nobody_knows(self, unpacked: Unpacked, kind: bytes) -> None:
        with pytest.raises(ArchiveError, match="'dev', neither a file nor a folder nor a link"):
            unpacked(member("dev", type=kind))

    @pytest.mark.parametrize("target", ["/etc/passwd", "../x", "a/../../x", "../../../../etc/passwd"])
    def test_links_out_of_it(self, unpacked: Unpacked, target: str) -> None:
        with pytest.raises(ArchiveError, match="'l'"):
            unpacked(link("l", target))

    def test_links_that_lead_out_together(self, unpacked: Unpacked) -> None:
        with pytest.raises(ArchiveError, match=r"'out', a link to 'here/here/\.\./\.\.', which leads out"):
            unpacked(link("here", "."), link("out", "here/here/../.."))

    def test_a_file_through_a_link(self, unpacked: Unpacked, tmp_path: Path) -> None:
        with pytest.raises(ArchiveError, match="both as a folder and as a file or link"):
            unpacked(link("l", "sub"), member("l/x", b"x"), member("sub", type=tarfile.DIRTYPE))

    def test_a_file_over_a_link(self, unpacked: Unpacked) -> None:
        with pytest.raises(ArchiveError, match="'l' both as"):
            unpacked(member("x", b"old"), link("l", "x"), member("l", b"new"))

    def test_links_that_go_round(self, unpacked: Unpacked) -> None:
        with pytest.raises(ArchiveError, match="'a', a link to 'b'"):
            unpacked(link("a", "b"), link("b", "a"))

    @pytest.mark.parametrize("target", ["/etc/passwd", "../x", "absent", "l"])
    def test_hard_links_to_what_is_not_in_it(self, unpacked: Unpacked, target: str) -> None:
        with pytest.raises(ArchiveError, match="'l'"):
            unpacked(link("l", target, tarfile.LNKTYPE))

    def test_a_hard_link_to_a_link(self, unpacked: Unpacked) -> None:
        with pytest.raises(ArchiveError, match="'h', a link to 's', which is not in it"):
            unpacked(link("s", "x"), link("h", "s", tarfile.LNKTYPE))

    def test_links_inside_are_kept(self, unpacked: Unpacked) -> None:
        out = unpacked(
            member("runs/1/model.pt", b"w"),
            link("runs/latest", "1"),
            link("model.pt", "./runs/../runs/latest/model.pt"),
            link("same.pt", "./runs/1/model.pt", tarfile.LNKTYPE),
        )
        assert (out / "model.pt").read_bytes() == (out / "same.pt").read_bytes() == b"w"

    def test_what_comes_twice_is_the_later_one(self, unpacked: Unpacked) -> None:
        out = unpacked(member("a", b"1"), link("b", "a", tarfile.LNKTYPE), member("a", b"2"))
        assert contents(out) == {"a": b"2", "b": b"1"}

    @pytest.mark.parametrize("turn", [1, -1])
    def test_a_file_beside_a_folder_of_its_name(self, unpacked: Unpacked, turn: int) -> None:
        with pytest.raises(ArchiveError, match="'a' both as a folder and as a file"):
            unpacked(*[member("a", b"x"), member("a/b", b"x")][::turn])

    def test_a_name_too_long_for_the_disk(self, unpacked: Unpacked) -> None:
        with pytest.raises(ArchiveError, match="cannot be written: File name too long"):
            unpacked(member("a" * 300, b"x"))

    def test_a_name_with_a_zero_in_it(self, unpacked: Unpacked) -> None:
        with pytest.raises(ArchiveError, match="damaged"):
            unpacked(member("x", pax_headers={"path": "a\0b"}))

    def test_names_of_any_script(self, unpacked: Unpacked) -> None:
        assert contents(unpacked(member(LONG, b"x"))) == {LONG: b"x"}

    def test_more_bytes_than_may_be(self, unpacked: Unpacked) -> None:
        with pytest.raises(ArchiveError, match="holds more than 100,000 bytes"):
            unpacked(member("zeros", bytes(200_000)), limits=Limits(bytes=100_000))

    def test_more_bytes_for_its_size_than_may_be(self, unpacked: Unpacked) -> None:
        with pytest.raises(ArchiveError, match=r"holds more than [\d,]+ bytes"):
            unpacked(member("zeros", bytes(5 << 20)), limits=Limits(floor=1 << 20, ratio=100))

    def test_zeros_are_no_bomb_when_there_are_few(self, unpacked: Unpacked) -> None:
        assert contents(unpacked(member("zeros", bytes(5 << 20)))) == {"zeros": bytes(5 << 20)}

    def test_a_bomb_behind_the_end_of_the_tar(self, unpacked: Unpacked) -> None:
        raw = gzip.compress(tar_of(member("a", b"x")) + bytes(300_000))
        with pytest.raises(ArchiveError, match="holds more than 100,000 bytes"):
            unpacked(raw, limits=Limits(bytes=100_000))

    def test_a_sparse_file_counts_by_its_size(self, unpacked: Unpacked) -> None:
        headers = {
            "GNU.sparse.major": "0",
            "GNU.sparse.minor": "1",
            "GNU.sparse.map": "0,1",
            "GNU.sparse.size": str(1 << 50),
        }
        with pytest.raises(ArchiveError, match="holds more than"):
            unpacked(member("sparse", b"x", pax_headers=headers))

    def test_more_members_than_may_be(self, unpacked: Unpacked) -> None:
        with pytest.raises(ArchiveError, match="more than 3 files"):
            unpacked(*(member(str(number)) for number in range(4)), limits=Limits(members=3))

    def test_a_header_of_many_megabytes(self, unpacked: Unpacked) -> None:
        with pytest.raises(ArchiveError, match="it has a header of"):
            unpacked(member("x", pax_headers={"comment": "x" * (2 << 20)}))

    def test_headers_upon_headers(self, unpacked: Unpacked) -> None:
        name = tar_of(member("a" * 200))[:1024]
        with pytest.raises(ArchiveError, match="damaged"):
            unpacked(gzip.compress(name * 2000 + tar_of(member("a"))))

    @pytest.mark.parametrize("size", ["-1", "-512", "-1000000"])
    def test_a_negative_size(self, unpacked: Unpacked, size: str) -> None:
        with pytest.raises(ArchiveError, match="damaged"):
            unpacked(member("a", b"x"), member("b", b"y", pax_headers={"size": size}), member("c", b"z"))


class TestDamage:
    @pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
    def test_cut_short(self, unpacked: Unpacked, share: float) -> None:
        raw = gzip.compress(tar_of(member("w", os.urandom(3 << 20))), 1)
        with pytest.raises(ArchiveError, match=r"m\.tar\.gz is damaged or cut short"):
            unpacked(raw[: int(len(raw) * share)])

    def test_cut_short_in_gzip_s_own_trailer(self, unpacked: Unpacked) -> None:
        with pytest.raises(ArchiveError, match="damaged or cut short"):
            unpacked(gzip.compress(tar_of(member("w", b"x")))[:-4])

    def test_a_flipped_bit(self, unpacked: Unpacked) -> None:
        raw = bytearray(gzip.compress(tar_of(member("w", os.urandom(1 << 20))), 0))
        raw[500_000] ^= 1
        with pytest.raises(ArchiveError, match="damaged or cut short"):
            unpacked(bytes(raw))

    def test_a_damaged_header_is_not_the_end(self, unpacked: Unpacked) -> None:
        raw = bytearray(tar_of(member("a", b"x"), member("b", b"y")))
        raw[1024] ^= 0xFF
        with pytest.raises(ArchiveError, match=r"the header at byte 1,536 is not one"):
            unpacked(gzip.compress(bytes(raw)))

    def test_a_tar_that_ends_in_a_file(self, unpacked: Unpacked) -> None:
        with pytest.raises(ArchiveError, match="damaged or cut short"):
            unpacked(gzip.compress(tar_of(member("a", bytes(10_000)))[:5000]))

    def test_a_tar_that_ends_in_a_header(self, unpacked: Unpacked) -> None:
        with pytest.raises(ArchiveError, match="damaged or cut short"):
            unpacked(gzip.compress(tar_of(member("a", b"x"), member("b", b"y"))[:1100]))

    @pytest.mark.parametrize(
        ("raw", "reason"),
        [
            (b"", "is empty"),
            (b"PK\x03\x04rest", "is a zip file"),
            (tar_of(member("a")), "is a tar archive that is not packed by gzip"),
            (b"<html>Not found</html>", "is not a gzip file, as SageMaker wants it"),
            (gzip.compress(b"not a tar" * 1000), "damaged or cut short"),
            (gzip.compress(b""), "damaged or cut short: empty file"),
        ],
    )
    def test_what_is_no_archive(self, tmp_path: Path, raw: bytes, reason: str) -> None:
        (tmp_path / "m.tar.gz").write_bytes(raw)
        with pytest.raises(ArchiveError, match=rf"m\.tar\.gz {'is ' if 'damaged' in reason else ''}{reason}"):
            unpack(tmp_path / "m.tar.gz", tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_several_gzip_streams_are_one(self, unpacked: Unpacked) -> None:
        raw = tar_of(member("a", b"x"), member("b", b"y"))
        out = unpacked(gzip.compress(raw[:700]) + gzip.compress(raw[700:]))
        assert contents(out) == {"a": b"x", "b": b"y"}

    def test_an_archive_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(ArchiveError, match=r"There is no archive .*m\.tar\.gz"):
            unpack(tmp_path / "m.tar.gz", tmp_path / "out")

    def test_a_folder_is_no_archive(self, tmp_path: Path) -> None:
        with pytest.raises(ArchiveError, match="is a folder, not an archive"):
            unpack(tmp_path, tmp_path / "out")

    def test_a_pipe_is_no_archive(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "m.tar.gz")
        with pytest.raises(ArchiveError, match="is a named pipe"):
            unpack(tmp_path / "m.tar.gz", tmp_path / "out")

    def test_no_space_leaves_nothing(self, small_disk: Path, tmp_path: Path) -> None:
        (tmp_path / "m.tar.gz").write_bytes(gzip.compress(tar_of(member("a", bytes(5 << 20)))))
        with pytest.raises(ArchiveError, match=f"No space is left to write {small_disk}/out"):
            unpack(tmp_path / "m.tar.gz", small_disk / "out")
        assert list(small_disk.iterdir()) == []

    def test_random_damage_never_surprises(self, tmp_path: Path) -> None:
        """Whatever is changed in it, an archive unpacks inside its folder, or is refused."""
        chance = random.Random(4774)
        whole = tar_of(
            member("a/b", b"x" * 700),
            link("l", "a/b"),
            link("h", "a/b", tarfile.LNKTYPE),
            member(LONG, b"y", pax_headers={"comment": "z"}),
        )
        for number in range(100):
            raw = bytearray(whole)
            for _ in range(chance.randrange(1, 6)):
                raw[chance.randrange(len(raw) // 2)] = chance.choice((0, 0x2E, 0x2F, 0x35, 0x80, 0xFF))
            _fix_checksums(raw)
            (tmp_path / "m.tar.gz").write_bytes(gzip.compress(bytes(raw), 1))
            with suppress(ArchiveError):
                unpack(tmp_path / "m.tar.gz", tmp_path / f"out{number}")
            shutil.rmtree(tmp_path / f"out{number}", ignore_errors=True)
        assert [path.name for path in tmp_path.iterdir()] == ["m.tar.gz"]


def _fix_checksums(raw: bytearray) -> None:
    for start in range(0, len(raw), 512):
        if raw[start + 257 : start + 262] == b"ustar":
            raw[start + 148 : start + 156] = b" " * 8
            raw[start + 148 : start + 156] = b"%06o\0 " % sum(raw[start : start + 512])
