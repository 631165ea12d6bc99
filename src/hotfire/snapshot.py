"""A project as it is at one moment: all that it takes to serve it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from hotfire.address import REGION_NAME
from hotfire.environment import Environment
from hotfire.errors import ProjectError
from hotfire.examples import Example, load
from hotfire.hashes import HashCache
from hotfire.model_data import Entry, ModelData, tree_sha256
from hotfire.project import sources
from hotfire.sources import CODE, collect
from hotfire.wanted import container_environment


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A project's files as model data, its examples, and the variables that its handler is to see.

    `modules` are the texts of the Python files by their places in the model data.
    """

    environment: Environment
    data: ModelData
    modules: Mapping[str, str]
    examples: tuple[Example, ...]

    @classmethod
    def take(cls, environment: Environment, hashes: HashCache) -> Snapshot:
        """The project now.

        Raises ProjectError and ArchiveError for what cannot be collected, SyntaxError for a handler whose
        files cannot be told from its source.
        """
        data = collect(sources(environment), hashes)
        return cls(environment, data, _modules(data.entries), tuple(load(environment.examples)))

    def again(self, hashes: HashCache) -> Snapshot:
        """The same files with what they hold now, though the handler cannot say which it needs."""
        entries = []
        for entry in self.data.entries:
            digest = hashes.digest(entry.source)
            entries.append(replace(entry, size=digest.size, mode=digest.mode, sha256=digest.sha256))
        data = replace(self.data, entries=tuple(entries), sha256=tree_sha256(entries))
        return replace(self, data=data, modules=_modules(entries))

    @property
    def container_environment(self) -> dict[str, str]:
        """The variables of the handler's container."""
        return container_environment(self.environment, self.data.entry_point, REGION_NAME)

    @property
    def source_files(self) -> Mapping[str, Path]:
        """Where each file of the model data comes from, by its place."""
        return {entry.place: entry.source for entry in self.data.entries}

    @property
    def folders(self) -> list[tuple[str, str]]:
        """The folders that modules come from, each with its place in the model data; the innermost first."""
        found = {_roots(entry) for entry in self.data.entries if entry.place.endswith(".py")}
        return sorted(found, key=lambda pair: -len(pair[0]))

    def importable(self) -> Mapping[str, str]:
        """The modules by their places on the handler's module path: `code/`, then the model's folder.

        Raises ProjectError if one is in both, where it takes Python to say which is meant.
        """
        found: dict[str, str] = {}
        for place, text in self.modules.items():
            name = place.removeprefix(CODE)
            if name in found:
                raise ProjectError(f"{name} lies in the model data twice")
            found[name] = text
        return found

    def place_of(self, name: str) -> str:
        """The place in the model data of a module on the handler's module path."""
        return CODE + name if CODE + name in self.modules else name

    def differences(self, other: Snapshot) -> frozenset[str]:
        """The places of what is not the same in the other, besides modules."""
        here, there = _contents(self.data.entries), _contents(other.data.entries)
        return frozenset(
            place
            for place in here.keys() | there.keys()
            if here.get(place) != there.get(place) and not _is_edited(place, self, other)
        )


def _roots(entry: Entry) -> tuple[str, str]:
    """A file's folder and place without the end that they have in common."""
    source, place = entry.source.parent, PurePosixPath(entry.place).parent
    while place.name and source.name == place.name:
        source, place = source.parent, place.parent
    return str(source), str(place)


def _is_edited(place: str, one: Snapshot, other: Snapshot) -> bool:
    """Whether it is a module in both, or in one of them alone."""
    return place in one.modules or place in other.modules


def _contents(entries: Sequence[Entry]) -> dict[str, tuple[str, int]]:
    return {entry.place: (entry.sha256, entry.mode) for entry in entries}


def _modules(entries: Sequence[Entry]) -> dict[str, str]:
    found = {}
    for entry in entries:
        if entry.place.endswith(".py"):
            found[entry.place] = entry.source.read_text("utf-8", "surrogateescape")
    return found
