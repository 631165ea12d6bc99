"""What model data holds besides, to be served by AWS's Ray Serve image.

The image's entry point puts `/opt/ml/model` and its `code/` on the module path, installs
`code/requirements.txt` and runs `config.yaml` of the root.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from hotfire import ray_settings
from hotfire.environment import Environment, home
from hotfire.errors import ArchiveError, ProjectError
from hotfire.model_data import Entry, ModelData, check_places, tree_sha256
from hotfire.preflight.requirements import read
from hotfire.sources import CODE, REQUIREMENTS

CONFIG = "config.yaml"
APPLICATION = f"{CODE}hotfire_worker/ray_app.py"

TOOLKIT = (
    "sagemaker-pytorch-inference==2.0.25",
    "psutil==7.2.2",
    "retrying==1.4.2",
)
"""AWS's inference toolkit, and what it needs that the image is not known to have."""

_HEADING = "# Added by hotfire for `serving: ray`: what calls the handler."


def is_wanted(environment: Environment) -> bool:
    """Whether what is packed for it is for that image."""
    return environment.serving == "ray" and environment.has_image


def completed(environment: Environment, data: ModelData) -> ModelData:
    """The model data with what the image needs, if that is to serve it.

    Raises ConfigError for settings that Ray would refuse, ArchiveError for an archive that was packed for
    another image, or files that lie where these must.
    """
    if environment.on_ray:
        # A cluster is told by the model's environment and not by files, but what it would refuse is known.
        ray_settings.deployment(environment)
        return data
    if not is_wanted(environment):
        return data
    if data.packed is not None:
        return _checked(environment, data, data.packed.path)
    added = tuple(_added(environment, data))
    own = {entry.place for entry in added if entry.place == CODE + REQUIREMENTS}
    kept = tuple(entry for entry in data.entries if entry.place not in own)
    check_places((entry.place, entry.source) for entry in (*kept, *added))
    entries = tuple(sorted((*kept, *added), key=lambda entry: entry.place))
    notes = (*data.notes, _note(len(added)))
    return replace(data, entries=entries, sha256=tree_sha256(entries), notes=notes)


def _note(count: int) -> str:
    return (
        f"{count} files are added for Ray Serve: {CONFIG}, {PurePosixPath(APPLICATION).parent}/ and, "
        f"with what calls the handler, {CODE}{REQUIREMENTS}."
    )


def _checked(environment: Environment, data: ModelData, archive: Path) -> ModelData:
    """An archive as it is: its very bytes are deployed."""
    if {CONFIG, APPLICATION} <= {entry.place for entry in data.entries}:
        return data
    message = f"{archive} was not packed for Ray Serve: it holds no {CONFIG} and {APPLICATION}."
    raise ArchiveError(message, f"Pack it by `hotfire pack --env {environment.name}`.")


def _added(environment: Environment, data: ModelData) -> Iterator[Entry]:
    yield from program()
    config = _yaml(ray_settings.application(ray_settings.deployment(environment)))
    yield _written(CONFIG, config)
    given = next((entry.source for entry in data.entries if entry.place == CODE + REQUIREMENTS), None)
    yield _written(CODE + REQUIREMENTS, _requirements(given))


def program() -> Iterator[Entry]:
    """The package of the worker, of which the application is a module."""
    import hotfire_worker

    package = Path(hotfire_worker.__file__).parent
    for source in sorted(package.glob("*.py")):
        content = source.read_bytes()
        place = f"{CODE}{package.name}/{source.name}"
        yield Entry(place, source, len(content), 0o644, hashlib.sha256(content).hexdigest())


def _yaml(application: dict[str, object]) -> str:
    import yaml

    text: str = yaml.safe_dump({"applications": [application]}, sort_keys=False)
    return text


def _requirements(given: Path | None) -> str:
    """The project's lines, then those of the toolkit that these do not name."""
    if given is None:
        return "\n".join((_HEADING, *TOOLKIT, ""))
    text = given.read_text("utf-8-sig")
    named = read(given).names
    missing = [line for line in TOOLKIT if line.partition("==")[0] not in named]
    if missing and "--hash" in text:
        message = f"{given} has hashes, so pip wants one for each line, and `serving: ray` needs more lines."
        raise ProjectError(message, f"Add {', '.join(missing)} with their hashes.")
    return "\n".join((text.rstrip("\n"), "", _HEADING, *missing, "")) if missing else text


def _written(place: str, text: str) -> Entry:
    """An entry whose file is made here, by its content: what there is once stays."""
    content = text.encode()
    sha256 = hashlib.sha256(content).hexdigest()
    source = home() / "generated" / sha256
    if not source.is_file():
        source.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = source.with_suffix(".part")
        part.write_bytes(content)
        part.replace(source)
    return Entry(place, source, len(content), 0o644, sha256)
