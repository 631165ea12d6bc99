"""`hotfire init`: a project around a model that is there already."""

from __future__ import annotations

from pathlib import Path

import click

from hotfire.cli import options
from hotfire.cli.new import endpoint_name
from hotfire.cli.output import Output


@click.command()
@click.option(
    "--from",
    "origin",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The model: a file that torch saved, safetensors, a handler, a model.tar.gz, or a folder.",
)
@click.option(
    "--also",
    metavar="FILE",
    multiple=True,
    type=click.Path(path_type=Path),
    help="What belongs to it: a source with its class, a vocabulary; may be repeated.",
)
@options.json
def init(output: Output, origin: Path | None, also: tuple[Path, ...]) -> None:
    """Make a project of this folder, around a model that you have.

    Writes config.yml, serve.py, requirements.txt and an example, as far as they are not there. What a
    saved model does not tell is left as one TODO in serve.py.
    """
    from hotfire.init import draft, write

    folder = Path.cwd()
    made = draft(folder, endpoint_name(folder.name), origin, also)
    write(made)
    output.say(f"Found {made.found}.")
    output.say(f"Wrote {', '.join(made.files)}.")
    for name in made.kept:
        output.say(f"Kept {name}, which is there already.")
    for note in made.notes:
        output.note(f"Note: {note}")
    todo = made.todo
    steps = ["hotfire dev", "hotfire deploy"]
    if todo is not None:
        file, line, text = todo
        output.say(f"\nOne thing only you know: {file}:{line}\n  {text}")
    output.say("\nNext:\n")
    for step in steps:
        output.say(f"  {step}")
    output.result(
        {
            "found": made.found,
            "written": [*made.files],
            "kept": [*made.kept],
            "notes": [*made.notes],
            "todo": {"file": todo[0], "line": todo[1], "text": todo[2]} if todo else None,
            "next": steps,
        }
    )
