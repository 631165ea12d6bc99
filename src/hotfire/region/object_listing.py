"""The keys of a bucket in S3's order, a page at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Page:
    """Keys and common prefixes, and the last of both if more follow."""

    keys: tuple[str, ...]
    prefixes: tuple[str, ...]
    last: str | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a page is to hold: after `after`, beginning with `prefix`, folded at `delimiter`."""

    prefix: str = ""
    delimiter: str = ""
    after: str = ""
    most: int = 1000


def page(folder: Path, markers: frozenset[str], wanted: Wanted) -> Page:
    """The page of a bucket's folder. `markers` are the keys, ending in a slash, that stand for folders."""
    keys: list[str] = []
    prefixes: list[str] = []
    last = ""
    for entry in _folded(_Walk(folder, markers, wanted).keys(), wanted):
        if len(keys) + len(prefixes) == wanted.most:
            return Page(tuple(keys), tuple(prefixes), last)
        is_prefix = wanted.delimiter and wanted.delimiter in entry[len(wanted.prefix) :]
        (prefixes if is_prefix else keys).append(entry)
        last = entry
    return Page(tuple(keys), tuple(prefixes), None)


def is_empty(folder: Path, markers: frozenset[str]) -> bool:
    """Whether a bucket has no objects."""
    return next(_Walk(folder, markers, Wanted()).keys(), None) is None


def _folded(keys: Iterator[str], wanted: Wanted) -> Iterator[str]:
    """The keys, and once each what is common to those that go on after a delimiter."""
    last = ""
    for key in keys:
        head, delimiter, _ = (
            key[len(wanted.prefix) :].partition(wanted.delimiter) if wanted.delimiter else (key, "", "")
        )
        if not delimiter:
            yield key
            continue
        common = wanted.prefix + head + delimiter
        if common not in (last, wanted.after):
            yield common
        last = common


class _Walk:
    """Goes through a folder in the order of whole keys, past all that is not wanted."""

    def __init__(self, folder: Path, markers: frozenset[str], wanted: Wanted) -> None:
        self._folder, self._markers, self._wanted = folder, markers, wanted
        self._after = _order(wanted.after)

    def keys(self) -> Iterator[str]:
        return self._below("")

    def _below(self, base: str) -> Iterator[str]:
        for name in _entries(self._folder / base):
            key = base + name
            if name.endswith("/"):
                yield from self._inside(key)
            elif self._is_wanted(key):
                yield key

    def _inside(self, base: str) -> Iterator[str]:
        prefix, after = self._wanted.prefix, self._wanted.after
        if not (base.startswith(prefix) or prefix.startswith(base)):
            return
        if _order(base) <= self._after and not after.startswith(base):
            return
        if base in self._markers and self._is_wanted(base):
            yield base
        # Of a folder that shows as a common prefix only whether it holds anything matters.
        folds = self._wanted.delimiter == "/" and base.startswith(prefix) and base != prefix
        if folds and after == base:
            return
        for key in self._below(base):
            yield key
            if folds:
                return

    def _is_wanted(self, key: str) -> bool:
        return key.startswith(self._wanted.prefix) and _order(key) > self._after


def _entries(folder: Path) -> list[str]:
    """The names in a folder, in the order of their keys; those of folders end in a slash."""
    try:
        with os.scandir(folder) as found:
            names = [
                entry.name + "/" * entry.is_dir() for entry in found if entry.is_dir() or entry.is_file()
            ]
    except (FileNotFoundError, NotADirectoryError):  # removed meanwhile
        return []
    return sorted(filter(_is_text, names), key=_order)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # no key can be such a name
        return False
    return True


def _order(key: str) -> bytes:
    return key.encode("utf-8", "surrogatepass")
