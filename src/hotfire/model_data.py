"""Model data: the tree of files that is to lie at `/opt/ml/model`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hotfire.errors import ArchiveError

_HEX = frozenset("0123456789abcdef")
_REQUIREMENTS = "code/requirements.txt"


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of model data: its POSIX path in the tree, where it comes from, and what it holds.

    `mode` is 0o755 for what may be run, else 0o644.
    """

    place: str
    source: Path
    size: int
    mode: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Packed:
    """A `model.tar.gz` that there is already, with the hash of its bytes."""

    path: Path
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class ModelData:
    """All that is to lie at `/opt/ml/model`, sorted by place.

    `sha256` names places, modes and contents. `notes` are sentences about what was taken along and why.
    `entry_point` is the handler's name in `code/`, SAGEMAKER_PROGRAM. `packed` is the archive that the files
    came from, and whose very bytes are to be deployed.
    """

    entries: tuple[Entry, ...]
    sha256: str
    entry_point: str
    notes: tuple[str, ...] = ()
    packed: Packed | None = None

    @property
    def identity(self) -> str:
        """What tells it from other model data: the hash of its files, or of the bytes that they came in."""
        return self.packed.sha256 if self.packed else self.sha256

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(entry.size for entry in self.entries)

    @property
    def requirements(self) -> Path | None:
        """The file that becomes code/requirements.txt; None if none does."""
        return next((one.source for one in self.entries if one.place == _REQUIREMENTS), None)

    def manifest(self) -> list[dict[str, Any]]:
        """The entries as JSON can carry them; `entries_of` reads them back."""
        return [
            {
                "place": entry.place,
                "source": str(entry.source),
                "size": entry.size,
                "mode": entry.mode,
                "sha256": entry.sha256,
            }
            for entry in self.entries
        ]


def listing(data: ModelData) -> list[tuple[str, int]]:
    """Each place with its size in bytes."""
    return [(entry.place, entry.size) for entry in data.entries]


def tree_sha256(entries: Iterable[Entry]) -> str:
    """The name of a tree: the same for the same places, modes and contents, wherever they come from."""
    digest = hashlib.sha256()
    for entry in sorted(entries, key=lambda entry: entry.place):
        digest.update(f"{entry.mode:o} {entry.sha256} {entry.place}\0".encode())
    return digest.hexdigest()


def entries_of(manifest: object) -> tuple[Entry, ...]:
    """The entries of a manifest that came as JSON. Raises ArchiveError for what is not one."""
    if not isinstance(manifest, list):
        raise ArchiveError("The manifest of the model data is not a list of files.")
    entries = tuple(_entry(item) for item in manifest)
    check_places((entry.place, entry.source) for entry in entries)
    return entries


def check_places(claims: Iterable[tuple[str, Path]]) -> None:
    """Raise ArchiveError unless every place can lie in one tree: beside, not upon each other."""
    holders: dict[str, Path] = {}
    for place, source in claims:
        _check_place(place, source)
        if place in holders:
            raise _collision(place, holders[place], source)
        holders[place] = source
    for place, source in holders.items():
        above = place
        while "/" in above:
            above = above.rpartition("/")[0]
            if above in holders:
                raise ArchiveError(
                    f"{holders[above]} is to be the file {above} of the model data, and {source} is to lie "
                    f"in a folder of that name ({place}).",
                    "Rename one of the two, or leave one out.",
                )


def is_sha256(text: object) -> bool:
    """Whether this is a hash as this module writes it, and so a safe name of a file."""
    return isinstance(text, str) and len(text) == 64 and _HEX.issuperset(text)


def _entry(item: object) -> Entry:
    match item:
        case {
            "place": str(place),
            "source": str(source),
            "size": int(size),
            "mode": int(mode),
            "sha256": str(sha256),
        } if is_sha256(sha256) and mode in (0o644, 0o755) and size >= 0 and source.startswith("/"):
            return Entry(place, Path(source), size, mode, sha256)
    raise ArchiveError(f"The manifest of the model data holds what is not a file of it: {item!r:.200}.")


def _check_place(place: str, source: Path) -> None:
    if not place or {"", ".", ".."} & set(place.split("/")) or "\0" in place:
        raise ArchiveError(f"{source} cannot lie at {place!r} in model data.")
    try:
        place.encode()
    except UnicodeEncodeError as error:
        raise ArchiveError(
            f"The name of {str(source)!r} is not UTF-8, as names in model data must be.", "Rename it."
        ) from error


def _collision(place: str, one: Path, other: Path) -> ArchiveError:
    return ArchiveError(
        f"Both {one} and {other} are to be {place} of the model data.",
        "Rename one of the two, or leave one out.",
    )
