"""`requirements.txt` as pip reads it, as far as preflight needs to know."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hotfire.distributions import normalised

_NAME = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*(.*)")
_EGG = re.compile(r"[#&]egg=([A-Za-z0-9._-]+)")
_WHEEL = re.compile(r"([A-Za-z0-9_.]+)-[^-/]+-[^/]*\.whl")
_INCLUDE = re.compile(r"(?:-r|--requirement)[\s=]+(\S+)")
_COMMENT = re.compile(r"(?:^|\s)#.*")
_DEEPEST = 10


@dataclass(frozen=True, slots=True)
class Requirement:
    """One line: the package's name as PyPI compares it, its versions (`==1.2`), and the condition."""

    name: str
    versions: str
    marker: str
    file: Path
    line: int

    @property
    def pin(self) -> str | None:
        """The one version that it allows, without what is after a `+`."""
        match = re.fullmatch(r"={2,3}\s*([^\s,*]+)", self.versions)
        return match[1].partition("+")[0] if match else None


@dataclass(frozen=True, slots=True)
class Requirements:
    """The lines of a file and of those that it includes. `opaque` are lines whose package cannot be told."""

    file: Path | None = None
    lines: tuple[Requirement, ...] = ()
    opaque: tuple[str, ...] = field(default=())

    @property
    def names(self) -> frozenset[str]:
        """The packages that are asked for by name."""
        return frozenset(one.name for one in self.lines)


def read(file: Path) -> Requirements:
    """The requirements of a file; none if it cannot be read."""
    lines: list[Requirement] = []
    opaque: list[str] = []
    for one in _lines(file, _DEEPEST):
        if isinstance(one, Requirement):
            lines.append(one)
        else:
            opaque.append(one)
    return Requirements(file, tuple(lines), tuple(opaque))


def _lines(file: Path, depth: int) -> Iterator[Requirement | str]:
    try:
        text = file.read_text("utf-8-sig", errors="replace")
    except OSError:
        return
    for number, raw in _logical(text):
        line = _COMMENT.sub("", raw).strip()
        include = _INCLUDE.match(line)
        if include and depth:
            yield from _lines(file.parent / include[1], depth - 1)
        elif line and not line.startswith("-"):
            yield _requirement(line, file, number)
        elif line.startswith(("-e", "--editable")):
            yield line


def _logical(text: str) -> Iterator[tuple[int, str]]:
    """Each line with its number; one that ends in a backslash goes on in the next."""
    held, first = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        first = first or number
        if line.endswith("\\"):
            held += line[:-1]
            continue
        yield first, held + line
        held, first = "", 0
    if held:
        yield first, held


def _requirement(line: str, file: Path, number: int) -> Requirement | str:
    body, _, marker = line.partition(";")
    body = body.partition(" --")[0].strip()
    match = _NAME.fullmatch(body)
    if "://" in body or body.startswith((".", "/")) or match is None:
        named = re.match(r"([A-Za-z0-9._-]+)\s*(?:\[[^\]]*\])?\s*@", body)
        told = named or _EGG.search(line) or _WHEEL.search(body)
        return Requirement(normalised(told[1]), "", "", file, number) if told else line
    versions = match[2].strip().removeprefix("(").removesuffix(")")
    return Requirement(normalised(match[1]), versions.replace(" ", ""), marker.strip(), file, number)
