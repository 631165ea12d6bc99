"""What preflight judges: a project or an archive, and where it is to run."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

from hotfire.environment import Environment
from hotfire.errors import ImageError
from hotfire.images import RAY, ImageLine, image_line, line_of_uri
from hotfire.preflight.installed import Installed
from hotfire.preflight.own_line import own_line
from hotfire.preflight.requirements import Requirements, read
from hotfire.tracing import Module, SearchFolder

CODE = "code/"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Exchange:
    """An example as a running endpoint answered it: bytes both ways, and seconds."""

    name: str
    sent: int
    received: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Measured:
    """What a running endpoint showed of itself; None is what it did not show.

    `read` are bytes that a worker read from files for one request, the least of all examples; `memory` the
    bytes of one worker; `load` the seconds in which the handler was imported and model_fn returned.
    """

    exchanges: tuple[Exchange, ...] = ()
    read: int | None = None
    memory: int | None = None
    load: float | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """All that rules look at.

    `modules` are the handler and the sources of the project that it imports; `sizes` the bytes of each place
    of the model data, None where that is not known; `environment` is None for an archive on its own; `origin`
    the archive's file, where it is one; `measured` None where nothing was measured.
    """

    handler: Path
    root: Path
    modules: tuple[Module, ...]
    folders: tuple[SearchFolder, ...]
    sizes: Mapping[str, int] | None = None
    sources: Mapping[str, Path] = field(default_factory=dict)
    requirements: Requirements = field(default_factory=Requirements)
    environment: Environment | None = None
    installed: Installed | None = None
    origin: Path | None = None
    measured: Measured | None = None
    today: date = field(default_factory=date.today)
    _known: dict[tuple[str, Path], Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def is_local(self) -> bool:
        """Whether it is to run on this machine."""
        return self.environment is not None and self.environment.is_local

    @property
    def image(self) -> ImageLine | None:
        """The line of images that serves it, or would at AWS; None for an image of which nothing is known."""
        environment = self.environment
        if environment is None:
            return image_line()
        if environment.image is not None:
            return line_of_uri(environment.image)
        if environment.serving == "ray":
            return RAY
        if environment.serving == "hotfire":
            return own_line(environment, self.requirements, self.installed)
        try:
            return image_line(environment.framework_version, environment.py_version)
        except ImageError:
            return None

    @property
    def config(self) -> Path:
        """The file that says where it runs."""
        return self.environment.file if self.environment else self.origin or self.root

    def line_of(self, *keys: str) -> int | None:
        """The line of config.yml that holds a key of the environment."""
        return line_of(self.environment, *keys) if self.environment else None

    def once(self, module: Module, compute: Callable[[Module], T]) -> T:
        """What is computed of a source, which several rules ask for."""
        key = (compute.__name__, module.file)
        if key not in self._known:
            self._known[key] = compute(module)
        known: T = self._known[key]
        return known

    def holding(self, pattern: re.Pattern[bytes]) -> Iterator[Module]:
        """The sources in whose text something stands: only these are worth to be walked through."""
        return (module for module in self.modules if pattern.search(self.once(module, _text)))

    def title(self, file: Path) -> str:
        """A file as one names it in the project."""
        return str(file.relative_to(self.root)) if file.is_relative_to(self.root) else str(file)


def line_of(environment: Environment, *keys: str) -> int | None:
    """The line of config.yml that holds a key; None if it is not there."""
    from hotfire.config_file import read as read_config
    from hotfire.environment import variables_of_process

    section = read_config(environment.file, environment.name, variables_of_process())
    place = section.places.get(keys)
    return place[0] if place else None


def requirements_of(sources: Mapping[str, Path]) -> Requirements:
    """What the model data asks to be installed, by its places."""
    file = sources.get(f"{CODE}requirements.txt")
    return read(file) if file else Requirements()


def _text(module: Module) -> bytes:
    try:
        return module.file.read_bytes()
    except OSError:
        return b""


def calls(module: Module) -> list[ast.Call]:
    """Every call that is written in a source."""
    return [node for node in ast.walk(module.tree) if isinstance(node, ast.Call)]


def dotted(node: ast.AST) -> str:
    """`torch.load` of an expression that is a name; empty for another one."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=name):
            before = dotted(value)
            return f"{before}.{name}" if before else f".{name}"
    return ""


def listed(words: Sequence[str], most: int = 3) -> str:
    """The first few, and how many more there are."""
    shown = ", ".join(words[:most])
    return shown if len(words) <= most else f"{shown} and {len(words) - most} more"
