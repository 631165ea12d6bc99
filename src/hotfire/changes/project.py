"""The modules of a project, by the names under which they are imported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

from hotfire.changes.code import Import
from hotfire.changes.modules import Module, parse

Sources = Mapping[str, str]
"""Each module's source by its place on the handler's module path: `serve.py`, `textkit/clean.py`."""

_INIT = "__init__"


class Project:
    """One state of a project's sources. A module is parsed when it is asked for, once for each content."""

    def __init__(self, sources: Sources, entry: str) -> None:
        self.sources = sources
        self.entry = entry

    @cached_property
    def places(self) -> Mapping[str, str]:
        """Each module's name with its place. A package goes before a module of its name, as for Python."""
        packages_last = sorted(self.sources, key=lambda place: (place.endswith(f"/{_INIT}.py"), place))
        return {module_name(place): place for place in packages_last}

    @cached_property
    def _packages(self) -> frozenset[str]:
        """The names of all that holds modules, with `__init__.py` or without."""
        return frozenset(above for name in self.places for above in _above(name))

    @cached_property
    def imported(self) -> Mapping[str, Module]:
        """The handler and every module that is imported from it, at any time, in the order they are met.

        Raises SyntaxError, whose `filename` is the module's place.
        """
        found: dict[str, Module] = {}
        waiting = [module_name(self.entry)]
        while waiting:
            name = waiting.pop(0)
            if name in self.places and name not in found:
                found[name] = self.module(name)
                waiting += (inner for one in found[name].all_imports for inner in self._run_by(name, one))
        return found

    def module(self, name: str) -> Module:
        """The module of this name, parsed."""
        return self.at(self.places[name])

    def at(self, place: str) -> Module:
        """The module at this place, parsed."""
        try:
            return parse(self.sources[place])
        except SyntaxError as error:
            error.filename = place
            raise

    def is_module(self, name: str) -> bool:
        """Whether the project has a module or a package of this name."""
        return name in self.places or name in self._packages

    def base(self, importer: str, imported: Import) -> str:
        """The module that a `from … import` names, made absolute."""
        if not imported.dots:
            return imported.module
        is_package = self.places.get(importer, "").endswith(f"{_INIT}.py")
        parts = importer.split(".")
        kept = len(parts) - imported.dots + is_package
        return ".".join([*parts[: max(kept, 0)], *([imported.module] if imported.module else [])])

    def _run_by(self, importer: str, imported: Import) -> Iterator[str]:
        """The modules that an import runs: the named one, what it may name inside of it, and those above."""
        base = self.base(importer, imported)
        yield from (*_above(base), base)
        if imported.name not in ("", "*"):
            yield f"{base}.{imported.name}"


def module_name(place: str) -> str:
    """The name under which the module at this place is imported."""
    return place.removesuffix(".py").removesuffix(f"/{_INIT}").replace("/", ".")


def _above(name: str) -> Iterator[str]:
    parts = name.split(".")
    yield from (".".join(parts[:count]) for count in range(1, len(parts)))
