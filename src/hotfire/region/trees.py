"""Model data of the local region: trees by content, made of private copies of each file.

A tree never changes under the model that serves from it: its files are read-only hard links to
`objects/`, which nothing writes to (root ignores modes: what it writes to is copied anew for the next
tree). Its folders can be written to, as in the container, so a handler may keep logs or caches there.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import RLock
from typing import BinaryIO

from hotfire.archive import BLOCK, LIMITS, Limits, beside, unpack, written
from hotfire.errors import ArchiveError
from hotfire.folders import Rules, files
from hotfire.hashes import HashCache, changed, special, unreadable
from hotfire.model_data import Entry, check_places, is_sha256, tree_sha256

_UNTOUCHED = 315_619_200
"""The time of every content, which zip files can hold too: another shows that it was written to."""


class Trees:
    """The trees below one folder, which one process owns."""

    def __init__(self, folder: Path, limits: Limits = LIMITS) -> None:
        self._trees, self._objects = folder / "trees", folder / "objects"
        self._limits = limits
        self._hashes = HashCache(folder / "hashes.json")
        # What is being assembled must not be cleared away for having no tree yet.
        self._lock = RLock()
        with written(folder):
            self._trees.mkdir(parents=True, exist_ok=True)
            self._objects.mkdir(exist_ok=True)

    def path(self, sha256: str) -> Path:
        """The folder of a tree. Raises ArchiveError if there is none."""
        folder = self._trees / sha256
        if not (is_sha256(sha256) and folder.is_dir()):
            raise ArchiveError(f"The local region holds no model data {sha256!r}.", "Deploy it again.")
        return folder

    def missing(self, entries: Sequence[Entry]) -> list[str]:
        """The hashes of contents that are yet to be copied."""
        return list(dict.fromkeys(entry.sha256 for entry in entries if not self._has(entry)))

    def admit(self, entries: Sequence[Entry]) -> str:
        """The tree of these entries, assembled from what is here and copies of what is not.

        Raises ArchiveError for entries that are no tree, and for a source that no longer holds what its
        entry says.
        """
        for entry in entries:
            if not is_sha256(entry.sha256):
                raise ArchiveError(f"{entry.sha256!r} is not a SHA-256.")
        check_places((entry.place, entry.source) for entry in entries)
        name = tree_sha256(entries)
        with self._lock:
            if not (self._trees / name).is_dir():
                for entry in entries:
                    if not self._has(entry):
                        self._copy(entry)
                self._assemble(name, entries)
        return name

    def admit_archive(self, archive: Path) -> str:
        """The tree that a `model.tar.gz` unpacks to, named by the hash of the archive itself."""
        name = self._hashes.digest(archive).sha256
        self._hashes.save()
        with self._lock:
            target = self._trees / name
            if not target.is_dir():
                with beside(target) as part:
                    unpack(archive, part, self._limits)
                    if self._hashes.digest(archive).sha256 != name:
                        raise changed(archive)
                    _protect(part)
                    part.replace(target)
        return name

    def admit_folder(self, folder: Path) -> str:
        """The tree of a folder as it now stands; a tree of ours is itself."""
        if not folder.is_dir():
            raise ArchiveError(f"There is no folder {folder}.")
        if folder.resolve().parent == self._trees.resolve() and is_sha256(folder.resolve().name):
            return folder.resolve().name
        try:
            entries = [self._entry(*found) for found in files(folder, Rules(()), everything=True)]
        finally:
            self._hashes.save()
        return self.admit(entries)

    def remove(self, keep: set[str]) -> None:
        """Remove all trees but these, the contents that no tree holds, and what a crash left behind."""
        with self._lock:
            for tree in self._trees.iterdir():
                if tree.name not in keep:
                    self._remove_tree(tree)
            for content in self._objects.iterdir():
                # A content that is in no tree has one name only. (Where trees are copies, as links are
                # not to be had, it is only made again when it is needed again.)
                if content.stat().st_nlink == 1:
                    content.unlink()

    def _entry(self, place: str, path: Path) -> Entry:
        digest = self._hashes.digest(path)
        return Entry(place, path, digest.size, digest.mode, digest.sha256)

    def _object(self, entry: Entry) -> Path:
        # A link has the mode of its object, so what may be run is another object.
        return self._objects / (entry.sha256 + (".run" if entry.mode & stat.S_IXUSR else ""))

    def _has(self, entry: Entry) -> bool:
        try:
            found = self._object(entry).stat()
        except FileNotFoundError:
            return False
        # A machine that lost power may have kept the name and not the content; a handler that runs as
        # root may have written to it through a tree.
        return (found.st_size, found.st_mtime) == (entry.size, _UNTOUCHED)

    def _copy(self, entry: Entry) -> None:
        """Make the private copy, and see that it is what the entry says: the source may be changing."""
        target = self._object(entry)
        with _opened(entry.source) as source, written(target, entry.size), beside(target) as part:
            with part.open("xb+") as copy:
                _transfer(source, copy)
                copy.seek(0)
                sha256, size = hashlib.file_digest(copy, "sha256").hexdigest(), copy.tell()
            if (sha256, size) != (entry.sha256, entry.size):
                raise changed(entry.source)
            os.utime(part, (_UNTOUCHED, _UNTOUCHED))
            part.chmod(_read_only(entry.mode))
            part.replace(target)

    def _assemble(self, name: str, entries: Sequence[Entry]) -> None:
        target = self._trees / name
        with written(target), beside(target) as part:
            part.mkdir()
            folders = {part}
            for entry in entries:
                path = part / entry.place
                if path.parent not in folders:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    folders.add(path.parent)
                self._link(self._object(entry), path)
            part.replace(target)

    def _link(self, content: Path, path: Path) -> None:
        try:
            path.hardlink_to(content)
        except OSError:
            # No links on this disk, or as many as one file may have.
            shutil.copy(content, path)

    def _remove_tree(self, tree: Path) -> None:
        # Renamed first: what has a tree's name is whole.
        with suppress(OSError), beside(tree) as part:
            tree.replace(part)


def _opened(path: Path) -> BinaryIO:
    try:
        mode = path.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise special(path, mode)
        return path.open("rb")
    except FileNotFoundError as error:
        raise changed(path) from error
    except OSError as error:
        raise unreadable(path, error) from error


def _transfer(source: BinaryIO, target: BinaryIO) -> None:
    """Copy inside the kernel where it can, which on some file systems shares the blocks."""
    if hasattr(os, "copy_file_range"):
        with suppress(OSError):
            while os.copy_file_range(source.fileno(), target.fileno(), 1 << 30):
                pass
    # From where the kernel stopped: at the end, or because it cannot.
    shutil.copyfileobj(source, target, BLOCK)


def _read_only(mode: int) -> int:
    return 0o555 if mode & stat.S_IXUSR else 0o444


def _protect(folder: Path) -> None:
    for parent, _, names in os.walk(folder):
        for path in (Path(parent, name) for name in names):
            if not path.is_symlink():
                path.chmod(_read_only(path.stat().st_mode))
