"""SHA-256 of files, computed once for as long as a file does not change."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import stat
import time
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

from hotfire.errors import ArchiveError

RACY_NS = 2_000_000_000
"""A file that changed less than this before it was hashed may change again within one tick of its clock."""

MOST_FILES = 50_000

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Digest:
    """What a file holds: its hash and size, and its mode as model data knows it (0o644 or 0o755)."""

    sha256: str
    size: int
    mode: int


class HashCache:
    """Hashes by path and stat signature, kept in `file` between runs.

    A file is hashed anew when its size, inode or either time has changed, and also when it was written
    so shortly before it was hashed that a later change might not show in its times. Losing the cache,
    or finding it broken, costs only time.
    """

    def __init__(self, file: Path, racy_ns: int = RACY_NS) -> None:
        self._file = file
        self._racy_ns = racy_ns
        self._known = _read(file)
        self._changed = False

    def digest(self, path: Path) -> Digest:
        """The digest of a regular file. Raises ArchiveError if it cannot be read or changes meanwhile."""
        key = str(path.absolute())
        try:
            found = path.stat()
            sha256 = self._lookup(key, found)
            if sha256 is None:
                sha256, found = self._hash(path, key)
        except OSError as error:
            raise unreadable(path, error) from error
        return Digest(sha256, found.st_size, 0o755 if found.st_mode & stat.S_IXUSR else 0o644)

    def save(self) -> None:
        """Keep what was learned; a folder that cannot be written is no reason to fail."""
        if not self._changed:
            return
        recent = dict(list(self._known.items())[-MOST_FILES:])
        part = self._file.with_name(f".hotfire-{secrets.token_hex(8)}.part")
        with suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            try:
                part.write_text(json.dumps({"format": _FORMAT, "files": recent}), "ascii")
                part.replace(self._file)
            finally:
                part.unlink(missing_ok=True)
        self._changed = False

    def _lookup(self, key: str, found: os.stat_result) -> str | None:
        match self._known.get(key):
            case [*signature, str(sha256)] if tuple(signature) == _signature(found):
                return sha256
        return None

    def _hash(self, path: Path, key: str) -> tuple[str, os.stat_result]:
        started = time.time_ns()
        with _open_regular(path) as source:
            before = os.fstat(source.fileno())
            sha256 = hashlib.file_digest(source, "sha256").hexdigest()
            after = os.fstat(source.fileno())
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise changed(path)
        # Taken out first, so that what was used last is last, and the oldest can be dropped.
        self._known.pop(key, None)
        if started - max(after.st_mtime_ns, after.st_ctime_ns) >= self._racy_ns:
            self._known[key] = [*_signature(after), sha256]
            self._changed = True
        return sha256, after


def unreadable(path: Path, error: OSError) -> ArchiveError:
    """What is said of a file or folder that the system does not let us read."""
    return ArchiveError(f"{path} cannot be read: {error.strerror}.", "Mend its permissions, or leave it out.")


def changed(path: Path) -> ArchiveError:
    """What is said of a file that another program writes at the same time."""
    return ArchiveError(
        f"{path} changed while it was read.", "Try again when the program that writes it is done."
    )


def special(path: Path, mode: int) -> ArchiveError:
    """What is said of sockets, pipes and devices."""
    kinds = {stat.S_IFSOCK: "a socket", stat.S_IFIFO: "a named pipe"}
    kind = kinds.get(stat.S_IFMT(mode), "a device")
    return ArchiveError(f"{path} is {kind}; model data holds only files.", "Move it away, or leave it out.")


def _open_regular(path: Path) -> FileIO:
    # Looked at first: to open a named pipe would wait for somebody to write to it.
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise special(path, mode)
    return path.open("rb", buffering=0)


def _signature(found: os.stat_result) -> tuple[int, int, int, int]:
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def _read(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_bytes())
        known = document["files"] if document["format"] == _FORMAT else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return known if isinstance(known, dict) else {}
