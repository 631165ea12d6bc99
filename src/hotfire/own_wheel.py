"""Hotfire as a wheel, made of the package that runs: whichever way that was installed, an image has the same.

The same sources give the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import tomllib
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

from hotfire import __version__
from hotfire.errors import PackageMissing

PACKAGES = ("hotfire", "hotfire_worker")
PYTHON = ">=3.11.4"
"""What Hotfire itself runs on."""

NAME = f"hotfire-{__version__}-py3-none-any.whl"

_INFO = f"hotfire-{__version__}.dist-info"
_WHEEL = "Wheel-Version: 1.0\nGenerator: hotfire\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_SCRIPTS = "[console_scripts]\nhotfire = hotfire.__main__:main\n"
_LEFT_OUT = frozenset({"__pycache__", "templates"})
_TEMPLATES_KEPT = Path("hotfire/console/templates")
_WHEN = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class OwnWheel:
    """Its bytes, and what it requires of other packages."""

    content: bytes
    requires: tuple[str, ...]

    @property
    def sha256(self) -> str:
        """Of its bytes."""
        return hashlib.sha256(self.content).hexdigest()


def own_wheel() -> OwnWheel:
    """The wheel of the Hotfire that runs. Raises PackageMissing if nothing says what it requires."""
    root = Path(__file__).parent.parent
    requires = _requires(root)
    files = dict(_sources(root))
    files |= {
        f"{_INFO}/METADATA": _metadata(requires).encode(),
        f"{_INFO}/WHEEL": _WHEEL.encode(),
        f"{_INFO}/entry_points.txt": _SCRIPTS.encode(),
    }
    files[f"{_INFO}/RECORD"] = _record(files).encode()
    return OwnWheel(_zipped(files), requires)


def _sources(root: Path) -> Iterator[tuple[str, bytes]]:
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*")):
            place = path.relative_to(root)
            if path.is_file() and not _is_left_out(place):
                yield place.as_posix(), path.read_bytes()


def _is_left_out(place: Path) -> bool:
    """What others' tools leave among sources, and the projects that `hotfire new` makes."""
    if place.is_relative_to(_TEMPLATES_KEPT):
        return any(part.startswith(".") for part in place.parts)
    return any(part in _LEFT_OUT or part.startswith(".") for part in place.parts)


def _requires(root: Path) -> tuple[str, ...]:
    """Of the checkout whose sources these are, or of the installed package."""
    checkout = _checkout(root.parent / "pyproject.toml")
    if checkout is not None:
        return checkout
    try:
        said = metadata("hotfire").get_all("Requires-Dist") or ()
    except PackageNotFoundError as error:
        message = "nothing says what Hotfire requires: it is neither installed nor a checkout"
        raise PackageMissing(message, "Install it: `pip install hotfire`.") from error
    return tuple(text for text in said if not re.search(r"extra\s*==", text))


def _checkout(file: Path) -> tuple[str, ...] | None:
    try:
        project = tomllib.loads(file.read_text("utf-8")).get("project", {})
    except (OSError, tomllib.TOMLDecodeError):
        return None
    return tuple(project["dependencies"]) if project.get("name") == "hotfire" else None


def _metadata(requires: Iterable[str]) -> str:
    head = f"Metadata-Version: 2.1\nName: hotfire\nVersion: {__version__}\nRequires-Python: {PYTHON}\n"
    return head + "".join(f"Requires-Dist: {one}\n" for one in requires)


def _record(files: Mapping[str, bytes]) -> str:
    lines = []
    for place, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        lines.append(f"{place},sha256={digest},{len(content)}")
    return "\n".join([*lines, f"{_INFO}/RECORD,,", ""])


def _zipped(files: Mapping[str, bytes]) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for place, content in files.items():
            info = zipfile.ZipInfo(place, _WHEN)
            info.external_attr = 0o644 << 16
            # Not deflated: another zlib would give other bytes.
            archive.writestr(info, content, zipfile.ZIP_STORED)
    return written.getvalue()
