"""The folder of experiments: one folder a run, and `latest`, which points to the newest."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from text_classification.errors import UserError

LATEST = "latest"
_NAMED = 10


@dataclass(frozen=True)
class Experiment:
    """A run: `id` is `<time>-<name>`."""

    id: str
    folder: Path

    @property
    def config(self) -> dict[str, Any]:
        """What was asked for."""
        return _read_json(self.folder / "config.json")

    @property
    def performance(self) -> dict[str, Any]:
        """How it came out."""
        return _read_json(self.folder / "performance.json")


def every(root: Path) -> list[Experiment]:
    """All experiments, the newest first."""
    folders = (folder for folder in root.glob("[!.]*/") if not folder.is_symlink())
    finished = (folder for folder in folders if (folder / "config.json").is_file())
    return [Experiment(folder.name, folder) for folder in sorted(finished, reverse=True)]


def find(root: Path, id: str = LATEST) -> Experiment:
    """The experiment of that id; `latest` is the one that `experiments/latest` points to."""
    there = {experiment.id: experiment for experiment in every(root)}
    wanted = (root / LATEST).resolve().name if id == LATEST else id
    if wanted in there:
        return there[wanted]
    if not there:
        raise UserError(f"there is no experiment in {root} yet: run train.py first")
    newest = list(there)[:_NAMED]
    more = f" and {len(there) - _NAMED} older ones" if len(there) > _NAMED else ""
    raise UserError(f"there is no experiment {id!r}. There are: {', '.join(newest)}{more}")


@contextmanager
def new(root: Path, name: str) -> Iterator[Experiment]:
    """A run whose folder gets its name, and becomes `latest`, when the block has ended well."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise UserError(f"the name {name!r} is not made of letters, digits, dots, dashes and underscores")
    draft = _draft(root, name)
    try:
        yield draft
        draft.folder.rename(root / draft.id)
    finally:
        shutil.rmtree(draft.folder, ignore_errors=True)
    make_latest(Experiment(draft.id, root / draft.id))


def make_latest(experiment: Experiment) -> None:
    """Let `latest` point to it: in one step, so that it never points nowhere."""
    root = experiment.folder.parent
    link = root / f".{LATEST}-{experiment.id}"
    link.unlink(missing_ok=True)
    link.symlink_to(experiment.id, target_is_directory=True)
    link.replace(root / LATEST)


def _draft(root: Path, name: str) -> Experiment:
    root.mkdir(parents=True, exist_ok=True)
    first = f"{datetime.now():%Y%m%d-%H%M%S}-{name}"
    for id in itertools.chain([first], (f"{first}-{number}" for number in itertools.count(2))):
        with suppress(FileExistsError):
            if not (root / id).exists():
                (root / f".{id}").mkdir()
                return Experiment(id, root / f".{id}")
    raise AssertionError("there is always a next number")


def _read_json(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content
