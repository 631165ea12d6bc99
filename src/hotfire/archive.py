"""`model.tar.gz`: model data packed the same way each time, and unpacked safely."""

from __future__ import annotations

import errno
import hashlib
import secrets
import shutil
import stat
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from hotfire.errors import ArchiveError
from hotfire.hashes import changed, special, unreadable
from hotfire.model_data import Entry, ModelData

BLOCK = 1 << 20
"""What is read, hashed and compressed at a time."""

_LEVEL, _THREADS = 1, 2
_MAGIC_END = 262
_MOST_HOPS = 40


@dataclass(frozen=True, slots=True)
class Limits:
    """What an archive may unpack to: `bytes`, or `ratio` times its own size if that is less, or `floor`."""

    bytes: int = 200 << 30
    ratio: int = 200
    floor: int = 1 << 30
    members: int = 100_000

    def most_bytes(self, packed: int) -> int:
        """How many bytes an archive of this size may hold."""
        return min(self.bytes, max(self.floor, self.ratio * packed))


LIMITS = Limits()


def pack(data: ModelData, target: Path, progress: Callable[[int], None] | None = None) -> None:
    """Write `model.tar.gz`: the same bytes for the same model data, whenever and wherever it is packed.

    `progress` is told the number of bytes each time some were packed. What is not written whole is not
    left behind. Raises ArchiveError for a file that is no longer what was collected, and for no space.
    """
    with written(target, data.size), beside(target) as part:
        with part.open("xb") as raw, _gzip(raw, "wb", _THREADS) as stream:
            for block in _blocks(data.entries, progress or _nothing):
                stream.write(block)
        part.replace(target)


def unpack(archive: Path, target: Path, limits: Limits = LIMITS) -> None:
    """Unpack a `model.tar.gz` into the folder `target`, which must not exist, or be empty.

    Only files, folders and links that stay inside are taken. Anything else, and what is larger than the
    limits, raises ArchiveError, and then nothing is left behind.
    """
    with _opened(archive) as raw:
        _check_kind(archive, raw)
        if target.exists() and not (target.is_dir() and not any(target.iterdir())):
            raise ArchiveError(f"{target} exists already.", "Remove it, or unpack to another folder.")
        with written(target), beside(target) as part:
            part.mkdir()
            _Unpacking(archive, part, limits).run(raw)
            part.replace(target)


@contextmanager
def written(target: Path, needed: int | None = None) -> Iterator[None]:
    """Say what failed when the system cannot write a file or folder."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise ArchiveError(f"{target} cannot be written: {error.strerror}.") from error
        wanted = "" if needed is None else f"; it needs up to {needed:,} bytes"
        raise ArchiveError(
            f"No space is left to write {target}{wanted}.", "Free space there, or use another disk."
        ) from error


def _gzip(raw: BinaryIO, mode: str, threads: int) -> Any:
    from isal import igzip_threaded

    # It writes no time into the header. Typed as Any: the package's own types are incomplete.
    module: Any = igzip_threaded
    return module.open(raw, mode, _LEVEL, threads=threads, block_size=BLOCK)


def _gzip_errors() -> tuple[type[Exception], ...]:
    import zlib

    from isal import igzip_lib

    module: Any = igzip_lib
    return EOFError, OSError, zlib.error, module.IsalError


def _nothing(count: int) -> None:
    pass


@contextmanager
def beside(target: Path) -> Iterator[Path]:
    """A path for what is to become `target`, on the same disk; gone afterwards in any case."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".hotfire-{secrets.token_hex(8)}.part")
    try:
        yield part
    finally:
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        part.unlink(missing_ok=True)


def _blocks(entries: Sequence[Entry], progress: Callable[[int], None]) -> Iterator[bytes]:
    """The tar stream. Its headers say nothing of when and by whom it was made."""
    length = 0
    for entry in entries:
        header = tarfile.TarInfo(entry.place)
        header.size, header.mode = entry.size, entry.mode
        head = header.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")
        yield head
        for block in _content(entry):
            yield block
            progress(len(block))
        padding = -entry.size % tarfile.BLOCKSIZE
        yield bytes(padding)
        length += len(head) + entry.size + padding
    end = 2 * tarfile.BLOCKSIZE
    yield bytes(end + -(length + end) % tarfile.RECORDSIZE)


def _content(entry: Entry) -> Iterator[bytes]:
    """What the file holds, which must still be what was hashed: the tree is named by it."""
    digest, rest = hashlib.sha256(), entry.size
    try:
        with entry.source.open("rb") as source:
            # One byte more than there should be shows a file that has grown.
            while block := source.read(min(BLOCK, rest + 1)):
                rest -= len(block)
                if rest < 0:
                    raise changed(entry.source)
                digest.update(block)
                yield block
    except FileNotFoundError as error:
        raise changed(entry.source) from error
    except OSError as error:
        raise unreadable(entry.source, error) from error
    if digest.hexdigest() != entry.sha256:
        raise changed(entry.source)


@contextmanager
def _opened(archive: Path) -> Iterator[BinaryIO]:
    try:
        mode = archive.stat().st_mode
        if stat.S_ISDIR(mode):
            raise ArchiveError(f"{archive} is a folder, not an archive.", "Name a model.tar.gz.")
        if not stat.S_ISREG(mode):
            raise special(archive, mode)
        raw = archive.open("rb")
    except FileNotFoundError as error:
        raise ArchiveError(f"There is no archive {archive}.", "`hotfire pack` writes one.") from error
    except OSError as error:
        raise unreadable(archive, error) from error
    with raw:
        yield raw


def _check_kind(archive: Path, raw: BinaryIO) -> None:
    start = raw.read(_MAGIC_END)
    raw.seek(0)
    if start.startswith(b"\x1f\x8b"):
        return
    what, advice = "not a gzip file, as SageMaker wants it", "Pack it by `tar -czf model.tar.gz ...`."
    if not start:
        what = "empty"
    elif start.startswith(b"PK"):
        what = "a zip file (what torch.save writes is one), not a tar archive packed by gzip"
        advice = f"Pack it by `tar -czf model.tar.gz {archive.name}`."
    elif start[257:262] == b"ustar":
        what, advice = "a tar archive that is not packed by gzip, as SageMaker wants it", "Pack it by `gzip`."
    raise ArchiveError(f"{archive} is {what}.", advice)


class _Tape:
    """What gzip unpacks, read forward only, and no further than the limit."""

    def __init__(self, archive: Path, stream: IO[bytes], most: int) -> None:
        self._archive, self._stream, self._most = archive, stream, most
        self._errors = _gzip_errors()
        self._position = 0
        self.header = b""

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> int:
        if position < self._position:
            raise _damaged(self._archive, "its headers contradict each other")
        while self._position < position:
            if not self.read(min(BLOCK, position - self._position)):
                raise _damaged(self._archive, "it ends in the middle of a file")
        return position

    def read(self, count: int) -> bytes:
        if not 0 <= count <= BLOCK:
            raise _damaged(self._archive, f"it has a header of {count:,} bytes")
        try:
            block = self._stream.read(count)
        except self._errors as error:
            raise _damaged(self._archive, str(error)) from error
        self._position += len(block)
        if self._position > self._most:
            raise _too_large(self._archive, self._most)
        if count == tarfile.BLOCKSIZE:
            self.header = block
        return block


class _Unpacking:
    """One archive on its way into one folder."""

    def __init__(self, archive: Path, folder: Path, limits: Limits) -> None:
        self._archive, self._folder, self._limits = archive, folder, limits
        self._most = limits.most_bytes(archive.stat().st_size)
        self._bytes = self._count = 0
        self._files: set[str] = set()
        self._links: dict[str, str] = {}

    def run(self, raw: BinaryIO) -> None:
        with _gzip(raw, "rb", threads=1) as stream:
            tape = _Tape(self._archive, stream, self._most)
            try:
                with tarfile.open(fileobj=cast(IO[bytes], tape), mode="r:") as tar:
                    for member in tar:
                        self._take(tar, member)
            except (tarfile.TarError, RecursionError, UnicodeError, ValueError) as error:
                raise _damaged(self._archive, str(error)) from error
            if tape.header.strip(b"\0"):
                # tarfile takes a damaged header for the end.
                raise _damaged(self._archive, f"the header at byte {tape.tell():,} is not one")
            # To its end, where gzip keeps the checksum.
            while tape.read(BLOCK):
                pass
        self._make_links()

    def _take(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        self._count += 1
        self._bytes += member.size
        if self._count > self._limits.members:
            raise self._refused(f"it holds more than {self._limits.members:,} files")
        if self._bytes > self._most:
            raise _too_large(self._archive, self._most)
        place = self._place(member)
        if not place:
            return
        if member.isdir():
            self._make_folder(place)
        elif member.issym():
            self._claim(place)
            self._links[place] = member.linkname
        elif member.islnk():
            self._copy_link(place, member)
        else:
            self._write(place, tar, member)

    def _place(self, member: tarfile.TarInfo) -> str:
        """Where the member goes; empty for the folder itself."""
        parts = [part for part in member.name.split("/") if part not in ("", ".")]
        if member.name.startswith("/"):
            raise self._refused(f"it holds the absolute path {member.name!r}")
        if ".." in parts:
            raise self._refused(f"it holds {member.name!r}, which leads out of it")
        if not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
            raise self._refused(f"it holds {member.name!r}, neither a file nor a folder nor a link")
        try:
            tarfile.data_filter(member, str(self._folder))
        except tarfile.FilterError as error:
            raise self._refused(f"it holds {member.name!r}, which leads out of it") from error
        return "/".join(parts)

    def _claim(self, place: str) -> Path:
        """The path of a new file or link, in a folder that is there."""
        path = self._folder / place
        if place in self._links or path.is_dir():
            raise self._twice(place)
        self._make_folder(place.rpartition("/")[0])
        path.unlink(missing_ok=True)
        self._files.discard(place)
        return path

    def _make_folder(self, place: str) -> None:
        # Links are made last, so none is ever gone through here.
        try:
            (self._folder / place).mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise self._twice(place) from error

    def _write(self, place: str, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        path = self._claim(place)
        source = tar.extractfile(member)
        assert source is not None  # a regular file has content
        with source, path.open("xb") as target:
            shutil.copyfileobj(source, target, BLOCK)
        path.chmod(0o755 if member.mode & stat.S_IXUSR else 0o644)
        self._files.add(place)

    def _copy_link(self, place: str, member: tarfile.TarInfo) -> None:
        """A hard link: another name of a file that came before it."""
        other = "/".join(part for part in member.linkname.split("/") if part not in ("", "."))
        if other not in self._files or other == place:
            raise self._refused(
                f"it holds {member.name!r}, a link to {member.linkname!r}, which is not in it"
            )
        path = self._claim(place)
        path.hardlink_to(self._folder / other)
        self._files.add(place)

    def _make_links(self) -> None:
        for place, target in self._links.items():
            if not self._stays_inside(place, target):
                raise self._refused(f"it holds {place!r}, a link to {target!r}, which leads out of it")
        for place, target in self._links.items():
            path = self._folder / place
            if path.exists():
                raise self._twice(place)
            path.symlink_to(target)

    def _stays_inside(self, place: str, target: str) -> bool:
        """Whether a link stays in the archive by each link that it leads through."""
        where = place.split("/")[:-1]
        ahead = [*target.split("/")]
        hops = 0
        if target.startswith("/"):
            return False
        while ahead:
            part = ahead.pop(0)
            if part == "..":
                if not where:
                    return False
                where.pop()
            elif part not in ("", "."):
                where.append(part)
            onward = self._links.get("/".join(where))
            if onward is not None:
                hops += 1
                if hops > _MOST_HOPS:
                    return False
                where.pop()
                ahead = [*onward.split("/"), *ahead]
        return True

    def _refused(self, reason: str) -> ArchiveError:
        return ArchiveError(
            f"{self._archive} is not unpacked: {reason}.",
            "Pack it anew, by `hotfire pack` or by tar in the folder of the model data.",
        )

    def _twice(self, place: str) -> ArchiveError:
        return self._refused(f"it holds {place!r} both as a folder and as a file or link")


def _damaged(archive: Path, reason: str) -> ArchiveError:
    return ArchiveError(
        f"{archive} is damaged or cut short: {reason}.", "Copy or download it again, or pack it anew."
    )


def _too_large(archive: Path, most: int) -> ArchiveError:
    return ArchiveError(
        f"{archive} holds more than {most:,} bytes, which is more than an archive of its size may.",
        "If you trust it, unpack it yourself and name the folder.",
    )
