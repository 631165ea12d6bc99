"""The lock of an image of one's own: which base, and which packages by version and hash.

It is a file beside the project that pip can read, with what pip does not ask for in the comments at its head.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hotfire.distributions import normalised
from hotfire.errors import ProjectError

_TITLE = "# What `hotfire image` has put into the image. Commit it; `hotfire image --update` writes it anew."
_HEAD = re.compile(r"# (base|identity|python|platform|asked): (\S+)")
_PIN = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9.-]*)(?:==(?P<version>\S+)| @ (?P<url>\S+))"
    r" --hash=sha256:(?P<sha256>[0-9a-f]{64})"
)
_OF_CUDA = re.compile(r"nvidia-.*|cuda-.*|triton")
_CUDA_VERSION = re.compile(r".*\+(cu|rocm)\d+.*")


@dataclass(frozen=True, slots=True)
class Pin:
    """One package, by the name that PyPI compares; `url` where it does not come from an index."""

    name: str
    version: str
    sha256: str
    url: str = ""

    def __str__(self) -> str:
        source = f" @ {self.url}" if self.url else f"=={self.version}"
        return f"{self.name}{source} --hash=sha256:{self.sha256}"

    @property
    def is_for_gpus(self) -> bool:
        """Whether it is of CUDA, or a build for it."""
        return bool(_OF_CUDA.fullmatch(self.name) or _CUDA_VERSION.fullmatch(self.version))


@dataclass(frozen=True, slots=True)
class Lock:
    """What an image is made of.

    `base` is the base image as it is named, `identity` what that was: its digest in a registry, or, of an
    image that is in none, its ID. `asked` is the hash of what was asked for, `python` the base's version.
    `options` are the lines of requirements.txt that say where packages come from.
    """

    base: str
    identity: str
    python: str
    platform: str
    asked: str
    pins: tuple[Pin, ...]
    options: tuple[str, ...] = field(default=())

    @property
    def source(self) -> str:
        """The base as a Dockerfile names it, so that it is the same image wherever it is built."""
        return self.identity if "@" in self.identity else self.base

    def version(self, name: str) -> str | None:
        """Of a package, without what is after a `+`."""
        return next((one.version.partition("+")[0] for one in self.pins if one.name == name), None)

    @property
    def python_line(self) -> str:
        """`3.11` of `3.11.9`."""
        return ".".join(self.python.split(".")[:2])

    @property
    def for_gpus(self) -> tuple[Pin, ...]:
        """The packages that only a GPU needs."""
        return tuple(one for one in self.pins if one.is_for_gpus)

    def requirements(self) -> str:
        """The lines for pip."""
        return "".join(f"{line}\n" for line in (*self.options, *map(str, self.pins)))

    def text(self) -> str:
        """The file."""
        names = ("base", "identity", "python", "platform", "asked")
        head = "".join(f"# {name}: {getattr(self, name)}\n" for name in names)
        return f"{_TITLE}\n{head}{self.requirements()}"


def read(file: Path) -> Lock | None:
    """The lock that is there; None if there is none. Raises ProjectError for what is none of ours."""
    try:
        text = file.read_text("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectError(f"{file} cannot be read: {error}", "Delete it: it is written anew.") from error
    head: dict[str, str] = {}
    options: list[str] = []
    pins: list[Pin] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("#"):
            found = _HEAD.fullmatch(line)
            head |= {found[1]: found[2]} if found else {}
        elif line.startswith("--"):
            options.append(line)
        elif line.strip():
            pins.append(_pin(file, number, line))
    try:
        return Lock(**head, pins=tuple(pins), options=tuple(options))
    except TypeError as error:
        message = f"{file} does not say what it was made for: its first lines are gone"
        raise ProjectError(message, "Delete it: `hotfire image` writes it anew.") from error


def write(file: Path, lock: Lock) -> None:
    """Have it there. Raises ProjectError."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(lock.text(), "utf-8")
    except OSError as error:
        raise _unwritable(file, error.strerror or str(error)) from error


def check_writable(file: Path) -> None:
    """Raise ProjectError if it can be seen that no lock can be written there; nothing is written."""
    place = next(one for one in (file, *file.parents) if one.exists())
    if not os.access(place, os.W_OK):
        is_read_only = os.statvfs(place).f_flag & os.ST_RDONLY
        raise _unwritable(file, os.strerror(errno.EROFS if is_read_only else errno.EACCES))


def _unwritable(file: Path, why: str) -> ProjectError:
    return ProjectError(f"{file} cannot be written: {why}", "`own_image.lock` names another place for it.")


def _pin(file: Path, number: int, line: str) -> Pin:
    found = _PIN.fullmatch(line)
    if found is None:
        message = f"{file}:{number}: this is no line that `hotfire image` writes: {line:.100}"
        advice = "Change requirements.txt in its place; a lock that is deleted is written anew."
        raise ProjectError(message, advice)
    url = found["url"] or ""
    return Pin(found["name"], found["version"] or "", found["sha256"], url)


def pins_of(report: str) -> tuple[Pin, ...]:
    """The packages of what `pip install --report` writes, by name.

    Raises ProjectError for one without a hash, which could be another at the next build.
    """
    installed = json.loads(report)["install"]
    return tuple(sorted(map(_installed, installed), key=lambda pin: pin.name))


def python_of(report: str) -> str:
    """The version of the Python that wrote it."""
    return str(json.loads(report)["environment"]["python_full_version"])


def _installed(one: Mapping[str, Any]) -> Pin:
    name, version = normalised(one["metadata"]["name"]), str(one["metadata"]["version"])
    origin = one["download_info"]
    sha256 = dict(_hashes(origin.get("archive_info", {}))).get("sha256")
    if sha256 is None:
        message = f"{name} comes from {origin['url']}, which has no hash: the next build might get another"
        raise ProjectError(message, "Build a wheel of it, and name its folder by `own_image.wheels`.")
    return Pin(name, version, sha256, origin["url"] if one.get("is_direct") else "")


def _hashes(archive: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Of newer and older versions of pip."""
    if "hash" in archive:
        kind, _, value = archive["hash"].partition("=")
        yield kind, value
    yield from archive.get("hashes", {}).items()
