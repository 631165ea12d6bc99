"""What `hotfire init` writes: decided first, then written, all of it or nothing."""

from __future__ import annotations

import ast
import json
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hotfire import tracing
from hotfire.distributions import distribution_of, providers_of
from hotfire.environment import CONFIG_NAMES, HANDLER_NAMES
from hotfire.errors import ProjectError
from hotfire.images import DEFAULT
from hotfire.init.classes import classes
from hotfire.init.found import Model, find, shown, text
from hotfire.init.handlers import handler
from hotfire.init.inputs import Input
from hotfire.init.saved import Saved
from hotfire.preflight.imports import imports
from hotfire.tracing import SearchFolder

REQUIREMENTS = "requirements.txt"
EXAMPLE = "examples/first.json"

_NOT_INSTALLED = frozenset({"torch", "sagemaker-inference", "sagemaker-pytorch-inference"})
"""What every image has; another version of it would only do harm."""

_NOT_TEXT = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
"""What YAML would not read as text."""

_CONFIG = """\
# Where the model is deployed: `hotfire deploy` to local, `hotfire deploy --env production` to AWS.
environments:
  default: &default
    model_name: {name}
    {project}
    examples: examples                   # sent after every deploy

  local:
    <<: *default
    instance_type: local

  # Before the first deploy to AWS: take the # away, and put your own names here.
  # production:
  #   <<: *default
  #   aws_role: my-sagemaker-role        # a role's name or ARN
  #   instance_type: ml.m5.large
  #   framework_version: {version}
  #   model_data_path: s3://my-bucket/{name}/model.tar.gz
"""


@dataclass(frozen=True, slots=True)
class Draft:
    """What was found, the files to write by their paths in the folder, and those that are there already."""

    folder: Path
    found: str
    files: Mapping[str, str]
    kept: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def todo(self) -> tuple[str, int, str] | None:
        """What only the model's author knows: the file, the line, and what is to be done there."""
        for name, content in self.files.items():
            for number, line in enumerate(content.splitlines(), 1):
                if name.endswith(".py") and "# TODO: " in line:
                    return name, number, line.partition("# TODO: ")[2]
        return None


def draft(folder: Path, name: str, origin: Path | None = None, also: Sequence[Path] = ()) -> Draft:
    """What makes a project of the folder, around the model in it or in `origin`; `also` goes along with it.

    Writes nothing, but for the folder into which an archive is unpacked. Raises ProjectError, ArchiveError.
    """
    _require_no_config(folder)
    for path in (*([origin] if origin else []), *also):
        if not path.exists():
            raise ProjectError(f"There is no {path}.", "Name a file that there is.")
    for path in (path for path in also if path.suffix == ".py"):
        if not path.absolute().is_relative_to(folder):
            raise ProjectError(
                f"{path} is not in {folder}", "Copy it here: the handler's modules lie beside it."
            )
    model = find(folder, origin)
    try:
        return _drafted(folder, name, model, also)
    except BaseException:
        if model.unpacked is not None:
            shutil.rmtree(model.unpacked)
        raise


def _drafted(folder: Path, name: str, model: Model, also: Sequence[Path]) -> Draft:
    sources = [path for path in also if path.suffix == ".py"]
    written, notes = _handler(folder, model, sources)
    more = [path for path in also if path.suffix != ".py"]
    files = {
        model.config: _config(folder, name, model, more),
        **written,
        _requirements_place(folder, model): _requirements(folder, model, written, sources),
        EXAMPLE: _example(model.saved),
    }
    kept = {path: there for path in files if (there := _there(folder, path))}
    new = {path: content for path, content in files.items() if path not in kept}
    return Draft(folder, model.found, new, tuple(kept.values()), (*notes, *_notes(model, new)))


def write(draft: Draft) -> None:
    """Write the files; if one cannot be written, none is left."""
    made: list[Path] = []
    try:
        for name, content in draft.files.items():
            file = draft.folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("x", encoding="utf-8") as stream:
                made.append(file)
                stream.write(content)
    except BaseException:
        for file in made:
            file.unlink()
        raise


def _require_no_config(folder: Path) -> None:
    for name in CONFIG_NAMES:
        if (folder / name).exists():
            advice = "`hotfire dev` and `hotfire deploy` work with it. To begin anew, move it away first."
            raise ProjectError(f"{name} is there already: this folder is a project", advice)


def _there(folder: Path, name: str) -> str:
    """What is there in place of a file that would be written; empty if it may be."""
    if name == EXAMPLE and any((folder / "examples").glob("*.json")):
        return "examples/"
    return name if (folder / name).exists() else ""


def _config(folder: Path, name: str, model: Model, also: Sequence[Path]) -> str:
    settings = [*model.settings] if model.handler else ["entry_point: serve.py", *model.settings]
    if also:
        settings = [*_with_artifacts(settings, [text(shown(folder, path.absolute())) for path in also])]
    project = "\n    ".join(settings)
    return _CONFIG.format(name=_name(name), project=project, version=DEFAULT.version)


def _with_artifacts(settings: Sequence[str], also: Sequence[str]) -> Iterator[str]:
    has = any(line.startswith("artifacts: [") for line in settings)
    for line in settings:
        yield line.replace("]", f", {', '.join(also)}]", 1) if line.startswith("artifacts: [") else line
    if not has:
        yield f"artifacts: [{', '.join(also)}]"


def _name(name: str) -> str:
    return text(name) if name[0].isalpha() and name.lower() not in _NOT_TEXT else json.dumps(name)


def _handler(folder: Path, model: Model, sources: Sequence[Path]) -> tuple[dict[str, str], tuple[str, ...]]:
    if model.saved is None:
        return {}, ()
    made = handler(model.saved, model.place, classes(folder, sources), folder)
    return {HANDLER_NAMES[0]: made.source}, made.notes


def _requirements_place(folder: Path, model: Model) -> str:
    """Beside the handler, where SageMaker looks for it, or where the project has it already."""
    if model.handler is None or (folder / REQUIREMENTS).is_file():
        return REQUIREMENTS
    return shown(folder, model.handler.with_name(REQUIREMENTS))


def _requirements(folder: Path, model: Model, written: Mapping[str, str], sources: Sequence[Path]) -> str:
    """The packages that the handler imports and that SageMaker's image does not bring."""
    names = sorted({distribution_of(one) for one in _foreign(folder, model, written, sources)})
    lines = [
        "# What the handler needs beyond the image: it is installed when an endpoint starts.",
        "# torch is not named, because the image brings its own.",
        *names,
    ]
    return "\n".join(lines) + "\n"


def _foreign(
    folder: Path, model: Model, written: Mapping[str, str], sources: Sequence[Path]
) -> Iterator[str]:
    beside = model.handler.parent if model.handler else folder
    folders = (SearchFolder(beside, "code/"), SearchFolder(folder, ""))
    files = [*([model.handler] if model.handler else []), *sources]
    traced = [module for file in files for module in tracing.modules(file, folders)]
    needed = [one.name for module in traced for one in imports(module)]
    for name in (*needed, *(name for source in written.values() for name in _imported(source))):
        top = name.partition(".")[0]
        is_known = top in sys.stdlib_module_names or tracing.is_own(top, folders)
        if not is_known and providers_of(name).isdisjoint(DEFAULT.packages | _NOT_INSTALLED):
            yield name


def _imported(source: str) -> Iterator[str]:
    """What a handler that was written imports: all of it at its top."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def _example(saved: Saved | None) -> str:
    body: Any = [[0.0, 0.0, 0.0]]
    if saved is not None and len(saved.arguments) > 1:
        known = len(saved.inputs) == len(saved.arguments)
        body = [one.example for one in saved.inputs] if known else [[0.0] for _ in saved.arguments]
    elif saved is not None and saved.input is not None and saved.input.is_small:
        body = saved.input.example
    request = json.dumps({"body": body}, ensure_ascii=False)
    return f'{{\n  "request": {request},\n  "expect": {{"status": 200}}\n}}\n'


def _notes(model: Model, files: Mapping[str, str]) -> Iterator[str]:
    if EXAMPLE not in files:
        return
    shape: Input | None = model.saved.input if model.saved else None
    if shape is None:
        yield "What it takes is not to be seen: put a request of yours into examples/first.json."
    elif not shape.is_known:
        yield "examples/first.json is made by the shape of its first layer: put a request of yours there."
