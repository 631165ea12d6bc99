"""`hotfire new`: a project that is ready to be trained and deployed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources.abc import Traversable
from pathlib import Path

import click

from hotfire.cli import options
from hotfire.cli.output import Output
from hotfire.errors import ProjectError

TEMPLATE = "text_classification"
TEMPLATE_NAME = "news-classifier"
"""The template's `model_name`, in place of which a project gets its own."""

_LONGEST_NAME = 63
_CACHES = re.compile(r"__pycache__|\.\w+_cache|.*\.pyc")
# What YAML would not read as text.
_NOT_TEXT = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@options.json
def new(output: Output, folder: Path) -> None:
    """Make a project in DIR: text classification in PyTorch.

    With training, a handler, examples and config.yml. DIR must not exist, or be empty.
    """
    name = endpoint_name(folder.resolve().name)
    _refuse_used(folder)
    with _made(folder) as part:
        _copy(_template(), part)
        _set_name(part / "config.yml", name)
    steps = _next_steps(folder)
    output.say(f"Made {folder}: text classification in PyTorch, for an endpoint {name}.")
    output.say("Next:\n")
    for step in steps:
        output.say(f"  {step}")
    output.result({"path": str(folder.absolute()), "model_name": name, "next": steps})


def endpoint_name(folder: str) -> str:
    """A name for an endpoint as SageMaker takes it: letters, digits, and hyphens between them."""
    from unicodedata import normalize

    plain = normalize("NFKD", folder).encode("ascii", "ignore").decode()
    words = re.findall("[A-Za-z0-9]+", plain)
    return "-".join(words)[:_LONGEST_NAME].rstrip("-") or TEMPLATE_NAME


def _template() -> Traversable:
    from importlib.resources import files

    return files("hotfire") / "templates" / TEMPLATE


def _refuse_used(folder: Path) -> None:
    if folder.is_dir():
        held = sorted(path.name for path in folder.iterdir())
        if held:
            more = "" if len(held) == 1 else f" and {len(held) - 1} more"
            message = f"{folder} is not empty: it holds {held[0]}{more}"
            raise ProjectError(message, "Name a folder that does not exist, or an empty one.")
    elif folder.exists() or folder.is_symlink():
        raise ProjectError(f"{folder} is there already, and no folder", "Name another.")


@contextmanager
def _made(folder: Path) -> Iterator[Path]:
    """A folder to fill that becomes `folder` when it is whole; on an error nothing of it is left."""
    from hotfire.archive import beside

    if not folder.is_dir():
        with beside(folder) as part:
            part.mkdir()
            yield part
            part.replace(folder)
        return
    # A folder that is there may be somebody's working folder: it is filled, not replaced.
    with beside(folder / TEMPLATE) as part:
        part.mkdir()
        yield part
        _move_contents(part, folder)


def _move_contents(source: Path, target: Path) -> None:
    moved: list[tuple[Path, Path]] = []
    try:
        for path in sorted(source.iterdir()):
            moved.append((path, target / path.name))
            path.rename(target / path.name)
    except BaseException:
        for before, after in moved:
            if after.exists():
                after.rename(before)
        raise


def _copy(source: Traversable, target: Path) -> None:
    """Contents alone: an installed package's files may be read-only."""
    for item in source.iterdir():
        if _CACHES.fullmatch(item.name):
            continue
        path = target / item.name
        if item.is_dir():
            path.mkdir()
            _copy(item, path)
        else:
            path.write_bytes(item.read_bytes())


def _set_name(config: Path, name: str) -> None:
    written = f'"{name}"' if name.lower() in _NOT_TEXT or not name[0].isalpha() else name
    text = config.read_text("utf-8")
    # With the spaces before its comment, so that the comments stay below each other.
    text = text.replace(f"model_name: {TEMPLATE_NAME:<25}", f"model_name: {written:<24} ")
    config.write_text(text.replace(f"/{TEMPLATE_NAME}/", f"/{name}/"), "utf-8")


def _next_steps(folder: Path) -> list[str]:
    enter = [] if folder.resolve() == Path.cwd() else [f"cd {shlex.quote(str(folder))}"]
    needs = "requirements-train.txt"
    install = [f"pip install -r {needs}"] if (folder / needs).is_file() else []
    return [*enter, *install, "python train.py", "hotfire deploy"]
