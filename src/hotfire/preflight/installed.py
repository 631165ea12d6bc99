"""What is known of packages from those that the project's own Python has installed; nothing is imported."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, DistributionFinder, MetadataPathFinder
from pathlib import Path

from hotfire.distributions import normalised


class Installed:
    """The packages of one Python."""

    def __init__(self, python: Path) -> None:
        self._path = _site_packages(python)
        self._known: dict[str, Distribution | None] = {}
        self._modules: dict[str, frozenset[str] | None] = {}

    def version(self, name: str) -> str | None:
        """The installed version."""
        found = self._find(name)
        return found.version if found else None

    def python_requires(self, name: str) -> str | None:
        """Which Pythons the installed version says that it runs on: `>=3.10`."""
        found = self._find(name)
        return found.metadata["Requires-Python"] if found and "Requires-Python" in found.metadata else None

    def modules(self, name: str) -> frozenset[str] | None:
        """What one can import of a package; None if it is not installed."""
        if name not in self._modules:
            self._modules[name] = self._read_modules(name)
        return self._modules[name]

    def _read_modules(self, name: str) -> frozenset[str] | None:
        found = self._find(name)
        if found is None:
            return None
        listed = found.read_text("top_level.txt")
        if listed:
            return frozenset(listed.split())
        files = found.files or ()
        return frozenset(
            file.parts[0].partition(".")[0]
            for file in files
            if (len(file.parts) > 1 or file.suffix in (".py", ".so")) and not file.parts[0].endswith("-info")
        )

    def closure(self, names: Iterable[str]) -> frozenset[str]:
        """The packages, and all that those of them which are installed require in turn."""
        found: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting.extend(self._required(name))
        return frozenset(found)

    def _required(self, name: str) -> Iterator[str]:
        distribution = self._find(name)
        for text in (distribution.requires or ()) if distribution else ():
            match = re.match(r"[A-Za-z0-9._-]+", text)
            if match and not re.search(r"extra\s*==", text):
                yield normalised(match[0])

    def _find(self, name: str) -> Distribution | None:
        if name not in self._known:
            context = DistributionFinder.Context(name=name, path=self._path)
            self._known[name] = next(iter(MetadataPathFinder.find_distributions(context)), None)
        return self._known[name]


def _site_packages(python: Path) -> list[str]:
    if python == Path(sys.executable):
        return sys.path
    return [str(folder) for folder in python.parent.parent.glob("lib/python3*/site-packages")]
