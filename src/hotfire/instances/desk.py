"""The folder by which a region hands versions of a model to a container that it develops in.

The region lays them, and the container of an image of our own reads them: it is mounted there read-only, in
place of `/opt/ml`. The secret in it is what lets its owner give orders, and its being there is what has the
container take any: SageMaker, and a container that is deployed, have nothing but `/opt/ml/model`.
"""

from __future__ import annotations

import hmac
import os
import secrets
import shutil
from collections import Counter
from contextlib import suppress
from pathlib import Path

MOUNTED = Path("/opt/ml")
"""Where a container has it."""
VERSION_HEADER = "x-hotfire-version"
SECRET_HEADER = "x-hotfire-secret"
LOOK_HEADER = "x-hotfire-look"
"""What is asked for of a request besides its answer, in words: `examined`, `streams`."""
FOUND_HEADER = "x-hotfire-found"
"""Of an answer: what was asked for besides it, as JSON: `times` and `findings`."""
HEADERS = frozenset({VERSION_HEADER, SECRET_HEADER, LOOK_HEADER})

_SECRET, _VERSIONS, _MODEL = "hotfire-secret", "versions", "model"


class Desk:
    """The region's side: a new folder, with a new secret."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.secret = secrets.token_hex(32)
        self._laid = 0
        self._kept: Counter[str] = Counter()

    def make(self) -> None:
        """Have the folder. Raises OSError."""
        (self.folder / _VERSIONS).mkdir(parents=True)
        for folder in (self.folder, self.folder / _VERSIONS):
            folder.chmod(0o755)  # whoever the image's user is; the region's home is closed to others
        (self.folder / _SECRET).write_text(self.secret)
        (self.folder / _SECRET).chmod(0o644)
        # A container begins in the model's folder.
        version_at(self.folder, "0").mkdir()
        self._show("0")

    def lay(self, tree: Path) -> str:
        """Have a tree's files there, and as the model; the name by which they are kept. Raises OSError."""
        self._laid += 1
        name = str(self._laid)
        self._kept[name] = 1
        target = version_at(self.folder, name)
        shutil.copytree(tree, target, copy_function=_link)
        for folder, _, _ in os.walk(target):
            Path(folder).chmod(0o755)
        self._show(name)
        return name

    def _show(self, name: str) -> None:
        """Let `/opt/ml/model` be a version, from one moment to the next."""
        new = self.folder / f".{_MODEL}"
        new.unlink(missing_ok=True)
        new.symlink_to(Path(_VERSIONS, name))
        new.replace(self.folder / _MODEL)

    def keep(self, name: str) -> None:
        """Somebody else wants a version's files too."""
        self._kept[name] += 1

    def drop(self, name: str) -> None:
        """Somebody wants them no longer."""
        self._kept[name] -= 1
        if not self._kept[name]:
            shutil.rmtree(version_at(self.folder, name), ignore_errors=True)


def secret_at(folder: Path) -> str:
    """The container's side: the secret of the region that develops there; empty if none does."""
    with suppress(OSError):
        return (folder / _SECRET).read_text()
    return ""


def version_at(folder: Path, name: str) -> Path:
    """The files of a version by its name."""
    return folder / _VERSIONS / name


def knows(secret: str, said: str) -> bool:
    """Whether what somebody says is the secret."""
    return hmac.compare_digest(secret.encode(), said.encode("utf-8", "replace"))


def _link(source: str, target: str) -> None:
    """One file with two names; where the disk has no links, another."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
