"""`hotfire image`: an image of one's own, which serves by Hotfire."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hotfire.cli import options
from hotfire.cli.output import Output, duration, size
from hotfire.environment import Environment, variables_of_process
from hotfire.errors import ProjectError

if TYPE_CHECKING:
    from hotfire.container_builds import Telling
    from hotfire.image_build import Built, OwnImage
    from hotfire.image_lock import Lock


_OF_PACKAGES = ("missing-requirement", "pins", "standard-library")
"""The rules of preflight that are about what an image holds."""


@click.command()
@click.option("--tag", "tags", multiple=True, metavar="NAME", help="Name the image so, too; may be repeated.")
@click.option("--base", metavar="IMAGE", help="Build on this image, in place of `own_image.base`.")
@click.option("--update", is_flag=True, help="Choose the versions anew, and take the newest base.")
@click.option("--no-cache", is_flag=True, help="Build every step, though the engine has done it before.")
@click.option("--dockerfile", is_flag=True, help="Print the Dockerfile of what is locked; build nothing.")
@options.json
@options.environment
def image(
    output: Output,
    environment: Environment,
    tags: tuple[str, ...],
    base: str | None,
    update: bool,
    no_cache: bool,
    dockerfile: bool,
) -> None:
    """Build an image that serves the project by Hotfire, as SageMaker runs images.

    It holds Hotfire, torch and what requirements.txt asks for, all locked by version and hash; the handler
    and the weights come from the model data. `serving: hotfire` has `hotfire deploy` build and push it.
    """
    from hotfire.container_builds import tag
    from hotfire.container_engine import Engine
    from hotfire.image_build import repository

    if base:
        environment = replace(environment, own_image=replace(environment.own_image, base=base))
    own = _own_image(output, environment)
    if dockerfile:
        _show_dockerfile(output, own)
        return
    tell = _telling(output)
    engine = Engine.connect(variables_of_process())
    try:
        lock = own.locked(engine, tell, anew=update)
        built = own.build(engine, own.recipe(lock), repository(environment), tell, cached=not no_cache)
        for name in tags:
            tag(engine, built.name, name)
    finally:
        engine.close()
    _show(output, own, lock, built, tags)


def _own_image(output: Output, environment: Environment) -> OwnImage:
    """Of the project as it is; what preflight says of its packages is said. Raises HandlerError."""
    from hotfire.image_build import OwnImage
    from hotfire.preflight import require
    from hotfire.project import inspected

    data, verdict = inspected(replace(environment, serving="hotfire", image=None))
    require(verdict.findings)
    for finding in verdict.findings:
        if finding.rule in _OF_PACKAGES:
            output.note(f"Note: {finding.text}")
    if data.requirements is None:
        output.note("Note: there is no requirements.txt: the image has torch and the toolkit alone.")
    return OwnImage(environment, data.requirements)


def _telling(output: Output) -> Telling:
    from hotfire.cli.deployment import Progress
    from hotfire.image_delivery import telling

    return telling(Progress(output))


def _shown(path: Path) -> str:
    """The path as one would type it here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _show_dockerfile(output: Output, own: OwnImage) -> None:
    lock = own.lock()
    if lock is None:
        message = f"{own.order.file} does not say which versions: it is not there, or made for something else"
        raise ProjectError(message, "`hotfire image` makes it, and builds.")
    made = own.recipe(lock)
    output.say(made.dockerfile.rstrip("\n"))
    output.result({"dockerfile": made.dockerfile, "content": made.content})


def _show(output: Output, own: OwnImage, lock: Lock, built: Built, tags: tuple[str, ...]) -> None:
    did = f"Built in {duration(built.seconds)}" if built.is_new else "Already built"
    output.say(f"{did}: {size(built.image.size)}, {len(lock.pins)} packages, Python {lock.python}")
    for name in (built.name, *tags):
        output.say(f"  {output.paint(name, bold=True)}")
    output.say("")
    dockerfile = own.folder / "Dockerfile"
    if dockerfile.exists():
        output.say(f"  {_shown(dockerfile)}   what it was built from")
    output.say(f"  {_shown(own.order.file)}   which versions; commit it")
    output.result(
        {
            "image": built.name,
            "tags": list(tags),
            "id": built.image.id,
            "bytes": built.image.size,
            "built": built.is_new,
            "seconds": built.seconds,
            "base": lock.identity if "@" in lock.identity else lock.base,
            "python": lock.python,
            "platform": lock.platform,
            "packages": {pin.name: pin.version for pin in lock.pins},
            "dockerfile": str(dockerfile) if dockerfile.exists() else None,
            "lock": str(own.order.file),
        }
    )
