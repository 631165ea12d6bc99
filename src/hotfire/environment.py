"""`config.yml`, the process's environment and flags as one frozen value."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from hotfire.app_config import app_of
from hotfire.app_schema import App
from hotfire.config_file import KeyPath, Place, Section, listed, nearest, read
from hotfire.errors import ConfigError, ProjectError
from hotfire.hosting_settings import (
    CONTAINER_TYPES,
    LOCAL_TYPES,
    Asynchronous,
    Autoscaling,
    Serverless,
    hosting_notes,
    hosting_settings,
)
from hotfire.image_name import is_image_name
from hotfire.image_settings import ImageSettings, image_settings
from hotfire.ray_address import mistake_in

HANDLER_NAMES = ("serve.py", "inference.py", "code/inference.py")
"""What a handler is called if no `entry_point` is given, in the order in which they are tried."""

CONFIG_NAMES = ("config.yml", "deploy/sagemaker/config.yml")

_ENDPOINT_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
_TEXT_KEYS = ("model_name", "aws_role", "region", "profile", "endpoint_url", "model_data_path", "kms_key")
_IMAGE_KEYS = ("image", "framework_version", "py_version", "ray_address")
_RAW_KEYS = ("update", "ray", "vpc", "endpoint_config", "preflight")
_RENAMED = {"async": "async_"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """One deployment environment: what `config.yml`, `DEPLOY_ENV` and flags say together.

    Paths are absolute. What is not given is None, empty, or the default named here; only what a
    command needs is asked for, by the methods.
    """

    name: str
    file: Path
    root: Path
    model_name: str
    examples: Path

    aws_role: str | None = None
    region: str | None = None
    profile: str | None = None
    endpoint_url: str | None = None

    source_dir: Path | None = None
    entry_point: str | None = None
    artifacts: tuple[Path, ...] = ()
    python: Path = Path(sys.executable)
    install_requirements: bool = False

    model_data_path: str | None = None
    model_data: str = "archive"
    kms_key: str | None = None

    instance_type: str | None = None
    instance_count: int = 1
    runs_as: str = "process"
    sized_as: str | None = None
    serverless: Serverless | None = None
    async_: Asynchronous | None = None
    autoscaling: Autoscaling | None = None
    startup_timeout: int | None = None
    update: Mapping[str, Any] = field(default_factory=dict)

    image: str | None = None
    framework_version: str | None = None
    py_version: str | None = None
    container_env: Mapping[str, str] = field(default_factory=dict)
    serving: str = "toolkit"
    own_image: ImageSettings = field(default_factory=ImageSettings)
    ray: Mapping[str, Any] = field(default_factory=dict)
    ray_address: str | None = None

    vpc: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    endpoint_config: Mapping[str, Any] = field(default_factory=dict)
    app: App | None = None
    journal: bool = True
    preflight: Mapping[str, Any] = field(default_factory=dict)

    settings: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    places: Mapping[KeyPath, Place] = field(default_factory=dict, repr=False, compare=False)

    @property
    def is_local(self) -> bool:
        """Whether this machine hosts it.

        The environment `local` always is, whatever its instance type: what is deployed when nothing is
        named must never cost anything.
        """
        return self.name == "local" or self.instance_type in LOCAL_TYPES

    @property
    def in_containers(self) -> bool:
        """Whether this machine hosts it in containers."""
        return self.is_local and (self.instance_type in CONTAINER_TYPES or self.runs_as == "container")

    @property
    def on_ray(self) -> bool:
        """Whether a Ray cluster hosts it, in the name of this machine's region."""
        return self.instance_type == "ray"

    @property
    def has_image(self) -> bool:
        """Whether an image serves it: at AWS, or in containers here."""
        return self.in_containers or not self.is_local

    @property
    def builds_image(self) -> bool:
        """Whether it is served by an image of one's own that is built for it."""
        return self.has_image and self.serving == "hotfire" and self.image is None

    @property
    def project(self) -> str:
        """Whose an endpoint is, as its tag says.

        On one machine two folders are two projects, even if their endpoints have one name. At AWS two
        people's copies are one project, so the name alone counts.
        """
        return str(self.root) if self.is_local else self.model_name

    @property
    def archive_file(self) -> Path:
        """Where `model.tar.gz` is written: a `file://` `model_data_path`, else `build/model.tar.gz`."""
        given = self.model_data_path or ""
        return self.root / (
            given.removeprefix("file://") if given.startswith("file://") else "build/model.tar.gz"
        )

    def setting(self, name: str) -> Any:
        """A key of `config.yml` as it is written there, the user's own keys too; a known key's default."""
        if name in self.settings:
            return self.settings[name]
        if name in KNOWN_KEYS:
            return getattr(self, _RENAMED.get(name, name))
        near = nearest(name, {*KNOWN_KEYS, *self.settings})
        advice = f"Did you mean {near!r}?" if near else f"Add `{name}:` to the environment {self.name!r}."
        message = f"the environment {self.name!r} has no setting {name!r}"
        raise ConfigError(message, advice, file=self.file, key=name)

    def mistake(self, message: str, advice: str = "", *path: str | int) -> ConfigError:
        """An error at a key, or at the nearest above it that the file has."""
        key = ".".join(map(str, path)) or None
        while path and path not in self.places:
            path = path[:-1]
        line, column = self.places.get(path, (None, None))
        return ConfigError(message, advice, file=self.file, line=line, column=column, key=key)

    def hosting_type(self) -> str:
        """The instance type, which only `local` may leave out."""
        if self.instance_type:
            return self.instance_type
        if self.name == "local":
            return "local"
        message = f"the environment {self.name!r} has no instance_type"
        advice = "Add `instance_type: ml.…` for AWS, or `instance_type: local` for this machine."
        raise ConfigError(message, advice, file=self.file, key="instance_type")

    def role(self) -> str:
        """The role's name or ARN, which only a local environment may leave out."""
        if self.aws_role or self.is_local:
            return self.aws_role or "hotfire-local"
        message = f"the environment {self.name!r} has no aws_role"
        advice = "Add `aws_role:` with the name or ARN of a role that SageMaker may assume."
        raise ConfigError(message, advice, file=self.file, key="aws_role")

    def handler(self) -> Path:
        """The handler's file.

        A given `entry_point` is sought under `source_dir` (the root, if none is given), then beside
        `config.yml`. If none is given, each of `HANDLER_NAMES` is tried in both places.
        """
        names = (self.entry_point,) if self.entry_point else HANDLER_NAMES
        places = dict.fromkeys((self.source_dir or self.root, self.file.parent))
        tried = [place / name for place in places for name in names]
        for path in tried:
            if path.is_file():
                return path
        message = (
            f"{self.file}: there is no {self.entry_point or 'handler'}; looked for {listed(map(str, tried))}"
        )
        advice = "Set `entry_point:` to the file that holds model_fn and predict_fn."
        raise ProjectError(message, advice)


KNOWN_KEYS = frozenset(
    {one.name.removesuffix("_") for one in fields(Environment)}
    - {"name", "file", "root", "settings", "notes", "places"}
)
"""The keys that Hotfire reads; all others are the user's own."""


def load(
    name: str | None = None,
    *,
    config: Path | None = None,
    start: Path | None = None,
    otherwise: str = "Name one of them by `--env` or DEPLOY_ENV.",
) -> Environment:
    """The deployment environment `name`: else that of DEPLOY_ENV, else `local`.

    The file is `config`, or the nearest of `CONFIG_NAMES` in `start` (the working folder) or a parent.
    Raises ConfigError, which names the file, line, column and key; `otherwise` is its advice where there is
    no such environment, nor one of nearly that name.
    """
    variables = variables_of_process()
    chosen = name or variables.get("DEPLOY_ENV") or "local"
    file = find(start or Path.cwd()) if config is None else _given(config)
    return _resolve(chosen, file, read(file, chosen, variables, otherwise), variables)


def find(start: Path) -> Path:
    """The nearest `config.yml` of `start` and its parents."""
    start = start.resolve()
    for folder in (start, *start.parents):
        for file in (folder / name for name in CONFIG_NAMES):
            if file.is_file() and (folder == start or is_trusted(file, start, os.getuid())):
                return file
    message = f"there is no {listed(CONFIG_NAMES, 'or')} in {start} or a folder above it"
    raise ConfigError(
        message,
        "`hotfire init` makes a project around a model, `hotfire new DIR` a new one; --config names one.",
    )


def is_trusted(file: Path, folder: Path, user: int) -> bool:
    """Whether a file above `folder` may speak for it: if it is of the user, of root or of the folder's owner.

    A config.yml names programs to run, and anyone may put one into /tmp.
    """
    return file.stat().st_uid in (user, 0, folder.stat().st_uid)


def variables_of_process() -> dict[str, str]:
    """A copy of the process's environment: nothing else reads it."""
    return dict(os.environ)


def set_variables(values: Mapping[str, str | None]) -> dict[str, str | None]:
    """Change the process's environment; None takes a variable away. Returns what undoes it."""
    before = {name: os.environ.get(name) for name in values}
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    return before


def home() -> Path:
    """The folder of this user's region: HOTFIRE_HOME, else the platform's place for state."""
    given = os.environ.get("HOTFIRE_HOME")
    if given:
        return Path(given).expanduser().absolute()
    from platformdirs import user_state_path

    return user_state_path("hotfire", appauthor=False)


def _given(config: Path) -> Path:
    if config.is_file():
        return config.parent.resolve() / config.name
    raise ConfigError("there is no such file", "Name the project's config.yml.", file=config.absolute())


def _root(file: Path) -> Path:
    """The project's folder."""
    folder = file.parent
    return folder.parents[1] if folder.parts[-2:] == ("deploy", "sagemaker") else folder


def _resolve(name: str, file: Path, section: Section, variables: Mapping[str, str]) -> Environment:
    root = _root(file)
    source_dir = section.text("source_dir")
    hosting = hosting_settings(section, name, root, variables)
    return Environment(
        name=name,
        file=file,
        root=root,
        examples=_path(root, section.text("examples") or "examples"),
        source_dir=_path(root, source_dir) if source_dir else None,
        entry_point=section.text("entry_point"),
        artifacts=tuple(_path(root, text) for text in section.text_list("artifacts")),
        python=_python(section, root, variables),
        install_requirements=section.flag("install_requirements", default=False),
        model_data=section.choice("model_data", ("archive", "folder"), "archive"),
        container_env=section.text_mapping("container_env"),
        serving=section.choice("serving", ("toolkit", "hotfire", "ray"), "toolkit"),
        own_image=image_settings(section.section("own_image"), root),
        tags=section.text_mapping("tags"),
        journal=section.flag("journal", default=True),
        app=app_of(section.section("app")),
        settings=_settings(section),
        notes=(*_notes(section), *hosting_notes(section, name, hosting["sized_as"])),
        places=section.places,
        **_account(section, name),
        **hosting,
        **_plain_settings(section),
    )


def _plain_settings(section: Section) -> dict[str, Any]:
    """What is kept as it is written."""
    texts: dict[str, Any] = {key: section.text(key) for key in _IMAGE_KEYS}
    image = texts["image"]
    if image is not None and not is_image_name(image):
        advice = "It is `NAME:TAG` or `HOST/NAME:TAG`, with a name in small letters and without spaces."
        raise section.error(f"image {image!r} is not a name that an image can have", advice, key="image")
    return texts | {_RENAMED.get(key, key): section.mapping(key) for key in _RAW_KEYS}


def _account(section: Section, name: str) -> dict[str, Any]:
    """The endpoint, whose account it is in, and where its model data goes."""
    texts: dict[str, Any] = {key: section.text(key) for key in _TEXT_KEYS}
    model_name = texts["model_name"]
    if model_name is None:
        message = f"the environment {name!r} has no model_name"
        slip = next((key for key in section.values if _meant(key) == "model_name"), None)
        advice = (
            f"Is it {slip!r} that is to be it?" if slip else "Add `model_name:` with the endpoint's name."
        )
        raise section.error(message, advice, key=slip or "model_name")
    if not _ENDPOINT_NAME.fullmatch(model_name):
        raise section.error(*_bad_name(model_name), key="model_name")
    if not (texts["endpoint_url"] or "http://").startswith(("http://", "https://")):
        raise section.wrong_type("endpoint_url", "an address that begins with http:// or https://")
    cluster = section.text("ray_address")
    wrong = mistake_in(cluster) if cluster else None
    if wrong is not None:
        raise section.error(f"ray_address {wrong[0]}", wrong[1], key="ray_address")
    if not (texts["model_data_path"] or "file://").startswith(("file://", "s3://")):
        raise section.wrong_type("model_data_path", "a file:// or s3:// address")
    return texts


def _bad_name(model_name: str) -> tuple[str, str]:
    if len(model_name) > 63:
        message = f"model_name {model_name!r} has {len(model_name)} characters; SageMaker takes at most 63"
        return message, "Choose a shorter name."
    message = f"model_name {model_name!r} is not a name that SageMaker takes"
    return message, "Use ASCII letters, digits and hyphens, with a letter or digit first and last."


def _path(root: Path, text: str) -> Path:
    return root / Path(text).expanduser()


def _python(section: Section, root: Path, variables: Mapping[str, str]) -> Path:
    """The project's Python: a program, a virtual environment's folder, or a name on PATH."""
    given = section.text("python")
    if given is None:
        return Path(sys.executable)
    # Never resolved: a virtual environment's Python is a link, and is that environment by its path.
    path = _path(root, given)
    inside = (path / "bin" / "python", path / "Scripts" / "python.exe")
    for candidate in (path, *inside):
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return candidate
    found = shutil.which(given, path=variables.get("PATH")) if Path(given).name == given else None
    if found:
        return Path(found).absolute()
    message = f"python: there is no Python at {path}, nor a virtual environment there"
    raise section.error(
        message, "Name a Python, a virtual environment's folder, or a name on PATH.", key="python"
    )


def _settings(section: Section) -> dict[str, Any]:
    """The values as YAML reads them, but known texts as they are written."""
    known = {key: section.text(key) for key in (*_TEXT_KEYS, *_IMAGE_KEYS)}
    return {key: known.get(key) or value for key, value in section.values.items()}


def _notes(section: Section) -> tuple[str, ...]:
    """A sentence for each key that is probably a known one with a slip in it."""
    notes = []
    for key in section.values:
        meant = None if key in KNOWN_KEYS else _meant(key)
        if meant:
            line, column = section.places[(key,)]
            notes.append(f"{section.file}:{line}:{column}: {key!r} is not a key of Hotfire; {meant!r} is.")
    return tuple(notes)


def _meant(key: str) -> str | None:
    """The known key that is one edit away."""
    plain = _plain(key)
    return next((known for known in sorted(KNOWN_KEYS) if is_one_edit(plain, _plain(known))), None)


def _plain(key: str) -> str:
    return re.sub(r"[\s_-]", "", key.lower())


def is_one_edit(one: str, other: str) -> bool:
    """Whether a letter left out, put in, replaced or swapped with its neighbour makes one the other."""
    if len(one) > len(other):
        one, other = other, one
    if len(other) - len(one) > 1:
        return False
    start = next((index for index, letter in enumerate(one) if letter != other[index]), len(one))
    if len(one) < len(other):
        return one[start:] == other[start + 1 :]
    swapped = (
        one[start : start + 2] == other[start : start + 2][::-1] and one[start + 2 :] == other[start + 2 :]
    )
    return swapped or one[start + 1 :] == other[start + 1 :]
