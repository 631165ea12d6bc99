"""The files of a folder, without those that ignore files and good sense leave out."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hotfire.errors import ArchiveError, ProjectError
from hotfire.hashes import special, unreadable

GITIGNORE = ".gitignore"
HOTFIREIGNORE = ".hotfireignore"

NEVER = frozenset({".git", ".hg", ".svn", "__pycache__", "node_modules", ".ipynb_checkpoints", ".DS_Store"})
"""Names that no model needs, wherever they are."""

_ENVIRONMENT_MARKS = ("pyvenv.cfg", "conda-meta")

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

Identity = tuple[int, int]
"""Device and inode: one file or folder, by whatever path it is reached."""


def identity(path: Path) -> Identity | None:
    """Which file or folder this is, links followed; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


@dataclass(frozen=True, slots=True)
class Rules:
    """What the ignore files of a folder and of those above it say.

    Of files with one name the deepest that has a word on a path decides, as for git. What
    `.hotfireignore` says goes over `.gitignore`, so that `!weights.pt` there takes in what git leaves out.
    """

    names: tuple[str, ...] = (GITIGNORE, HOTFIREIGNORE)
    _specs: tuple[tuple[str, str, GitIgnoreSpec], ...] = field(default=(), repr=False)

    def above(self, folder: Path, root: Path) -> Rules:
        """The rules of the folders above: to the root for `.hotfireignore`, to git's own for `.gitignore`.

        An ignore file that leaves out the folder itself has no say: the folder was asked for by name.
        """
        rules = self
        git_root = next((one for one in (folder, *folder.parents) if (one / ".git").exists()), root)
        tops = {GITIGNORE: git_root, HOTFIREIGNORE: root}
        for parent in reversed(folder.parents):
            names = tuple(name for name in self.names if parent.is_relative_to(tops[name]))
            deeper = rules.within(parent, names)
            if not deeper.leaves_out(str(folder), is_folder=True):
                rules = deeper
        return rules

    def within(self, folder: Path, names: tuple[str, ...] | None = None) -> Rules:
        """These rules and those of the folder's own ignore files."""
        chosen = self.names if names is None else names
        found = [(name, str(folder), spec) for name in chosen if (spec := _spec(folder / name)) is not None]
        return Rules(self.names, (*self._specs, *found)) if found else self

    def leaves_out(self, path: str, *, is_folder: bool) -> bool:
        """Whether the path, which is below every folder of these rules, is ignored."""
        return self.verdict(path, is_folder=is_folder) is True

    def verdict(self, path: str, *, is_folder: bool) -> bool | None:
        """True: leave it out; False: take it in, by a pattern that begins with `!`; None: not a word."""
        verdict = None
        for name in self.names:
            said = self._verdict(name, path, is_folder)
            verdict = verdict if said is None else said
        return verdict

    def _verdict(self, name: str, path: str, is_folder: bool) -> bool | None:
        for kind, folder, spec in reversed(self._specs):
            if kind == name:
                relative = path[len(folder.rstrip("/")) + 1 :] + ("/" if is_folder else "")
                said = spec.check_file(relative).include
                if said is not None:
                    return said
        return None


def files(
    folder: Path,
    rules: Rules,
    *,
    left_out: frozenset[Identity] = frozenset(),
    names_left_out: frozenset[str] = frozenset(),
    everything: bool = False,
) -> Iterator[tuple[str, Path]]:
    """Every file below the folder as (POSIX path below it, path), by name, links followed.

    `everything` keeps what no model needs and reads no ignore file: a folder that is a model as it stands.
    Raises ArchiveError for what model data cannot hold, and for links that go round in a circle.
    """
    walk = _Walk(left_out, NEVER | names_left_out, everything)
    yield from walk.below(folder, "", rules, ())


@dataclass(frozen=True, slots=True)
class _Walk:
    left_out: frozenset[Identity]
    names_left_out: frozenset[str]
    everything: bool

    def below(
        self, folder: Path, prefix: str, rules: Rules, above: tuple[Identity, ...]
    ) -> Iterator[tuple[str, Path]]:
        here = _stat(folder)
        me = (here.st_dev, here.st_ino)
        if me in above:
            raise ArchiveError(
                f"{folder} is a link to a folder that it lies in, so it has no end.",
                f"Remove the link, or name it in {HOTFIREIGNORE}.",
            )
        if not self.everything:
            rules = rules.within(folder)
        for name in _names(folder):
            path = folder / name
            if not self._is_wanted(path, name, rules):
                continue
            found = _stat(path)
            if (found.st_dev, found.st_ino) in self.left_out:
                continue
            if stat.S_ISDIR(found.st_mode):
                yield from self.below(path, f"{prefix}{name}/", rules, (*above, me))
            elif stat.S_ISREG(found.st_mode):
                yield f"{prefix}{name}", path
            else:
                raise special(path, found.st_mode)

    def _is_wanted(self, path: Path, name: str, rules: Rules) -> bool:
        if name.startswith(".hotfire-") and name.endswith(".part"):
            return False
        if self.everything:
            return True
        if name in self.names_left_out or name.endswith(".pyc"):
            return False
        is_folder = os.path.isdir(path)  # noqa: PTH112 -- Path's own raises where permission is missing
        if is_folder and any(os.path.exists(path / mark) for mark in _ENVIRONMENT_MARKS):  # noqa: PTH110
            return False
        return not rules.leaves_out(str(path), is_folder=is_folder)


def _spec(file: Path) -> GitIgnoreSpec | None:
    try:
        text = file.read_text("utf-8", "surrogateescape")
    except (FileNotFoundError, IsADirectoryError):
        return None
    except OSError as error:
        raise unreadable(file, error) from error
    from pathspec import GitIgnoreSpec

    try:
        return GitIgnoreSpec.from_lines(text.splitlines())
    except ValueError as error:
        raise ProjectError(f"{file}: {error}", "Mend the pattern; git's rules apply.") from error


def _names(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise unreadable(folder, error) from error


def _stat(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP) and path.is_symlink():
            target = path.readlink()
            raise ArchiveError(
                f"{path} is a link to {target}, which leads nowhere: {error.strerror}.",
                f"Mend or remove the link, or name it in {HOTFIREIGNORE}.",
            ) from error
        raise unreadable(path, error) from error
