"""`hotfire pack`: model data as SageMaker takes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import click

from hotfire.cli import options
from hotfire.cli.output import Output, duration, size
from hotfire.environment import Environment
from hotfire.model_data import ModelData

SHOWN_FROM = 50_000_000
"""Progress is shown for this many bytes or more; what is less is packed before one can read it."""


@click.command()
@click.option("--list", "only_list", is_flag=True, help="Show what would be packed; write nothing.")
@options.json
@options.environment
def pack(output: Output, environment: Environment, only_list: bool) -> None:
    """Write model.tar.gz.

    To the environment's `model_data_path` if that is a file:// address, else to build/model.tar.gz. The
    same files give the same bytes, whenever and wherever they are packed.
    """
    from hotfire.project import collected

    data = collected(environment)
    for note in data.notes:
        output.note(f"Note: {note}")
    described = _described(data)
    if only_list:
        _list(output, data)
        output.result(described)
        return
    begun = monotonic()
    packed = _write(output, data, environment.archive_file)
    output.say(
        f"Packed {_shown(environment.archive_file)}: {size(packed)} of {_counted(data)} "
        f"({size(data.size)}) in {duration(monotonic() - begun)}"
    )
    output.result({"path": str(environment.archive_file), "bytes": packed, **described})


def _write(output: Output, data: ModelData, target: Path) -> int:
    from hotfire import archive

    with _progress(output, data.size) as advance:
        archive.pack(data, target, advance)
    return target.stat().st_size


@contextmanager
def _progress(output: Output, total: int) -> Iterator[Callable[[int], None] | None]:
    """Takes the number of bytes as they are packed, where somebody looks on."""
    if total < SHOWN_FROM:
        yield None
    elif output.is_watched:
        with output.progress("Packing", total) as advance:
            yield advance
    else:
        output.note(f"Packing {size(total)}")
        yield None


def _list(output: Output, data: ModelData) -> None:
    sizes = [size(entry.size) for entry in data.entries]
    width = max(map(len, sizes), default=0)
    for entry, text in zip(data.entries, sizes, strict=True):
        output.say(f"{text:>{width}}  {entry.place}")
    output.say(f"{size(data.size)} in {_counted(data)}; the handler is {data.entry_point}")


def _described(data: ModelData) -> dict[str, object]:
    files = [{"place": one.place, "size": one.size, "sha256": one.sha256} for one in data.entries]
    return {
        "sha256": data.sha256,
        "entry_point": data.entry_point,
        "files": files,
        "notes": list(data.notes),
    }


def _counted(data: ModelData) -> str:
    count = len(data.entries)
    return "1 file" if count == 1 else f"{count:,} files"


def _shown(path: Path) -> str:
    """The path as one would type it here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
