"""Names of buckets and keys of objects, and the files that they are."""

from __future__ import annotations

import re

from hotfire.errors import ArchiveError

MOST_KEY_BYTES = 1024
_MOST_NAME_BYTES = 255  # of a file, on the file systems of Linux and macOS
_BUCKET = re.compile(r"(?!xn--|\d+\.\d+\.\d+\.\d+$)[a-z0-9](?:[a-z0-9-]|\.(?!\.)){1,61}[a-z0-9]")


def is_bucket_name(name: str) -> bool:
    """Whether S3 lets a bucket be called that; such a name is a safe one of a folder too."""
    return _BUCKET.fullmatch(name) is not None


def key_parts(key: str) -> tuple[str, ...]:
    """The names of the folders and of the file that a key is; of a key that ends in `/`, of folders alone.

    Raises ArchiveError for a key that no file can have.
    """
    parts = key.removesuffix("/").split("/")
    if {"", ".", ".."} & set(parts):
        raise _no_file(key, "a part of it between slashes is empty, '.' or '..'")
    if "\0" in key:
        raise _no_file(key, "it holds a zero byte")
    try:
        longest = max(len(part.encode()) for part in parts)
    except UnicodeEncodeError:
        raise _no_file(key, "it is no Unicode text") from None
    if longest > _MOST_NAME_BYTES:
        raise _no_file(key, f"a part of it between slashes is over {_MOST_NAME_BYTES} bytes long")
    return tuple(parts)


def beside_itself(key: str, other: str) -> ArchiveError:
    """The error of a key that would have to be a file and a folder at once."""
    return _no_file(key, f"{other} is there, and no name is both a file and a folder")


def _no_file(key: str, reason: str) -> ArchiveError:
    return ArchiveError(
        f"The local region keeps objects as files, and no file can have the key {key!r}: {reason}.",
        "Choose another key.",
    )
