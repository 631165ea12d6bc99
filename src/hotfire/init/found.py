"""Which model a folder or a file is, and how config.yml is to name its parts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hotfire import tracing
from hotfire.archive import unpack
from hotfire.environment import CONFIG_NAMES, HANDLER_NAMES
from hotfire.errors import ProjectError
from hotfire.init.saved import SUFFIXES, Saved, recognise
from hotfire.tracing import SearchFolder

DEPLOY = Path("deploy/sagemaker")
_MOST_LISTED = 5
_ARCHIVES = (".tar.gz", ".tgz")


@dataclass(frozen=True, slots=True)
class Model:
    """A model around which a project is to be made.

    `handler` is its own, if it has one; else there is one to be written, for what is `saved` and lies at
    `place` in the model data. `settings` are lines of config.yml, whose own place is `config`; `unpacked` is
    the folder that was made of an archive.
    """

    found: str
    settings: Sequence[str]
    handler: Path | None = None
    saved: Saved | None = None
    place: str = ""
    config: str = CONFIG_NAMES[0]
    unpacked: Path | None = None


def find(folder: Path, origin: Path | None = None) -> Model:
    """The model that `origin` is, else the one that the folder holds.

    An archive is unpacked beside it. Raises ProjectError, ArchiveError.
    """
    if origin is None:
        return _in_folder(folder)
    if origin.is_dir():
        return _of_folder(folder, origin.absolute())
    if origin.name.endswith(_ARCHIVES):
        return _of_archive(folder, origin.absolute())
    if origin.suffix == ".py":
        return _of_handler(folder, origin.absolute())
    if (folder / HANDLER_NAMES[0]).is_file():
        return _of_handler(folder, folder / HANDLER_NAMES[0], [origin.absolute()])
    saved = recognise(origin.absolute())
    artifacts = f"artifacts: [{text(shown(folder, saved.file))}]"
    return Model(
        f"{shown(folder, saved.file)}: {saved.title}", [artifacts], saved=saved, place=saved.file.name
    )


def _in_folder(folder: Path) -> Model:
    """The model that the folder holds, which must be one."""
    models = _models(folder)
    for name in ("", str(DEPLOY)):
        own = _handler_in(folder / name)
        if own is not None:
            return _of_handler(folder, own, models)
    archives = sorted(path for path in folder.iterdir() if path.name.endswith(_ARCHIVES))
    candidates = [*models, *archives]
    if len(candidates) == 1:
        return find(folder, candidates[0])
    if candidates:
        what = f"{folder} holds several models: {_listed(candidates)}"
        raise ProjectError(what, "Name one: `hotfire init --from FILE`.")
    raise ProjectError(
        f"There is no model in {folder}: no handler, no model.tar.gz, and no file as torch saves it",
        "Name it: `hotfire init --from FILE`. `hotfire new DIR` makes a project with a model to be trained.",
    )


def _of_handler(folder: Path, file: Path, models: Sequence[Path] = ()) -> Model:
    if not file.is_relative_to(folder):
        raise ProjectError(f"{file} is not in {folder}", "Run `hotfire init` in the handler's project.")
    settings = _artifacts(folder, file, models)
    place = file.relative_to(folder)
    is_deploy = place.parent == DEPLOY
    entry = place.name if is_deploy else place.as_posix()
    config = CONFIG_NAMES[1] if is_deploy else CONFIG_NAMES[0]
    return Model(f"{place}: a handler", [f"entry_point: {text(entry)}", *settings], file, config=config)


def _artifacts(folder: Path, file: Path, models: Sequence[Path]) -> list[str]:
    """The line that names the models beside a handler, unless it names them all itself and so brings them."""
    folders = (SearchFolder(file.parent, "code/"), SearchFolder(folder, ""))
    uses = tracing.named(tracing.modules(file, folders), folder)
    named = [use.source for use in uses if use.source.parent == folder and use.source.is_file()]
    if set(models) <= set(named):
        return []
    listed = dict.fromkeys(shown(folder, one) for one in (*models, *named) if one.suffix != ".py")
    return [f"artifacts: [{', '.join(map(text, listed))}]"]


def _of_archive(folder: Path, file: Path) -> Model:
    suffix = next(one for one in _ARCHIVES if file.name.endswith(one))
    target = folder / file.name.removesuffix(suffix)
    unpack(file, target)
    try:
        model = _of_folder(folder, target)
    except ProjectError as error:
        shutil.rmtree(target)
        what = f"{file.name} holds no model that is known: {error.message}"
        raise ProjectError(what, error.advice) from error
    found = f"{file.name}, unpacked to {target.name}/: {model.found}"
    return replace(model, found=found, unpacked=target)


def _of_folder(folder: Path, inside: Path) -> Model:
    """A folder of model data, of a handler, or of files that torch saved."""
    if inside == folder / DEPLOY or inside == folder:
        return _in_folder(folder)
    artifacts = f"artifacts: [{text(shown(folder, inside))}]   # its contents go to the model folder"
    own = _handler_in(inside / "code") or _handler_in(inside)
    if own is not None:
        if not own.is_relative_to(folder):
            raise ProjectError(f"{own} is not in {folder}", "Run `hotfire init` in the handler's project.")
        source = f"source_dir: {text(shown(folder, own.parent))}"
        settings = [source, f"entry_point: {text(own.name)}", artifacts]
        return Model(f"a model with the handler {shown(folder, own)}", settings, own)
    models = _models(inside)
    if len(models) != 1:
        what = _listed(models) if models else "none as torch saves it"
        place = shown(folder, inside)
        raise ProjectError(f"{place} must hold one model, and holds {what}", "Name it: `--from FILE`.")
    saved = recognise(models[0])
    return Model(
        f"{shown(folder, saved.file)}: {saved.title}", [artifacts], saved=saved, place=saved.file.name
    )


def _handler_in(folder: Path) -> Path | None:
    return next((folder / name for name in HANDLER_NAMES if (folder / name).is_file()), None)


def _models(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES and path.is_file())


def _listed(files: Sequence[Path]) -> str:
    names = [path.name for path in files[:_MOST_LISTED]]
    more = len(files) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def shown(folder: Path, path: Path) -> str:
    """The path as config.yml has it."""
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)


def text(value: str) -> str:
    """The text in YAML, quoted where it is needed."""
    plain = value.replace("/", "").replace(".", "").replace("-", "").replace("_", "")
    return value if plain.isascii() and plain.isalnum() and not plain.isdigit() else json.dumps(value)
