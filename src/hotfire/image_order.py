"""What an image of one's own is asked to hold, before it is known which versions that comes to."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

from hotfire.environment import Environment
from hotfire.errors import ProjectError
from hotfire.image_lock import Lock
from hotfire.image_settings import NONE, ImageSettings
from hotfire.images import is_arm
from hotfire.own_wheel import own_wheel

TOOLKIT = "sagemaker-pytorch-inference"
NEEDED = ("torch", TOOLKIT, "setuptools")
"""What every such image has, with what these require."""

TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
"""Where torch is without CUDA; PyPI's own wheels for Linux bring gigabytes of it."""

FOLDER = Path("build/image")
"""Where the Dockerfile and what it is built from are written, in the project."""

_ARM = frozenset({"arm64", "aarch64"})
_OLDEST_PYTHON = (3, 11)
_INCLUDE = re.compile(r"(?:-r|--requirement|-c|--constraint)(?:\s+|=)(\S+)")
_INDEX_OPTION = re.compile(
    r"--(?:extra-index-url|index-url|find-links|no-index|only-binary|no-binary|prefer-binary|pre)\b|-[if]\b"
)
_LOCAL = re.compile(r"(?:-e|--editable)\b|\.{0,2}/|file:|[^#;]*@\s*file:")
_REPOSITORY = re.compile(r"(?:[^#;]*@\s*)?(?:git|hg|svn|bzr)\+\w+:")
_USER = re.compile(r"//[^/\s]*@")
_COMMENT = re.compile(r"(?:^|\s)#.*")
_TORCH = re.compile(r"torch\s*(?:===?)\s*[\w.+]+", re.IGNORECASE)
_DEEPEST = 10
_SECONDS_TO_TELL = 30


@dataclass(frozen=True)
class Order:
    """What `own_image` and requirements.txt ask for, for one kind of processor.

    `lines` are those of requirements.txt and of what it includes, `options` those of them that say where
    packages come from.
    """

    settings: ImageSettings
    platform: str
    python: Path
    file: Path
    lines: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    @property
    def base(self) -> str:
        """The base image; if none is named, the slim one of Python's own with the project's version."""
        if self.settings.base:
            return self.settings.base
        major, minor = max(_OLDEST_PYTHON, python_line(self.python))
        return f"python:{major}.{minor}-slim"

    @property
    def indexes(self) -> dict[str, str]:
        """Where pip looks, as it takes it from variables."""
        torch = self.settings.torch_index or (NONE if self.settings.cuda else TORCH_INDEX)
        if self.settings.index == NONE:
            return {"PIP_NO_INDEX": "1"}
        given = {"PIP_INDEX_URL": self.settings.index, "PIP_EXTRA_INDEX_URL": torch}
        return {name: value for name, value in given.items() if value not in (None, NONE)}

    @cached_property
    def sha256(self) -> str:
        """Of what is asked for and not only chosen here: the same for everybody who works on the project."""
        asked = {
            "base": self.settings.base,
            "torch": self.settings.torch,
            "cuda": self.settings.cuda,
            "indexes": [_without_user(url) for url in self.indexes.values()],
            "lines": self.lines,
            "options": self.options,
            "hotfire": own_wheel().requires,
        }
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()

    def is_met_by(self, lock: Lock) -> bool:
        """Whether a lock was made for this."""
        return (lock.asked, lock.platform) == (self.sha256, self.platform)

    def wanted(self, torch: str | None, toolkit: str | None) -> str:
        """The requirements to resolve; torch and the toolkit in those versions, where nothing else is said.

        Raises ProjectError if nobody says which torch.
        """
        pinned = any(_TORCH.match(line) for line in self.lines)
        version = self.settings.torch or (None if pinned else torch)
        if version is None and not pinned:
            message = f"nothing says which torch the image is to have: {self.python} has none installed"
            advice = (
                "Say it in config.yml, `own_image: {torch: 2.9.1}`, or by `torch==…` in requirements.txt."
            )
            raise ProjectError(message, advice)
        ours = [f"torch=={version}"] if version else []
        ours.append(f"{TOOLKIT}=={toolkit}" if toolkit else TOOLKIT)
        # What a source distribution is built by is locked too.
        ours += ["setuptools", *own_wheel().requires]
        return "".join(f"{line}\n" for line in (*self.options, *self.lines, *ours))


def order(environment: Environment, requirements: Path | None) -> Order:
    """Of an environment; `requirements` is the file that becomes code/requirements.txt.

    Raises ProjectError for lines that no image can be built of.
    """
    lines = tuple(_lines(requirements, _DEEPEST)) if requirements else ()
    return Order(
        settings=environment.own_image,
        platform=platform_of(environment),
        python=environment.python,
        file=lock_file(environment),
        lines=tuple(line for line in lines if not line.startswith("-")),
        options=tuple(line for line in lines if line.startswith("-")),
    )


def lock_file(environment: Environment) -> Path:
    """Where the versions are locked: a file for each kind of processor, for which packages differ."""
    architecture = platform_of(environment).partition("/")[2]
    return environment.own_image.lock or environment.root / f"image-{architecture}.lock"


def written(environment: Environment) -> tuple[Path, ...]:
    """What a build leaves in the project, which is no part of it."""
    return lock_file(environment), environment.root / FOLDER


def platform_of(environment: Environment) -> str:
    """For which processor: this machine's, or that of the instance type at AWS."""
    if environment.is_local:
        is_for_arm = platform.machine().lower() in _ARM
    else:
        is_for_arm = environment.serverless is None and is_arm(environment.instance_type or "")
    return "linux/arm64" if is_for_arm else "linux/amd64"


def _lines(file: Path, depth: int) -> Iterator[str]:
    """Each line that says something, those of included files in their place."""
    try:
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectError(f"{file} cannot be read: {error}", "Mend it: an image is built of it.") from error
    for number, raw in enumerate(text.replace("\\\n", " ").splitlines(), 1):
        line = _COMMENT.sub("", raw).strip()
        included = _INCLUDE.fullmatch(line)
        if included and depth:
            yield from _lines(file.parent / included[1], depth - 1)
        elif line:
            _check(file, number, line)
            yield re.sub(r"\s+--hash[=\s]\S+", "", line)


def _check(file: Path, number: int, line: str) -> None:
    if _LOCAL.match(line):
        message = f"{file}:{number}: {line} is a folder or file of this machine, which is not in the image"
        raise ProjectError(message, "Build a wheel of it, and name its folder by `own_image.wheels`.")
    if _REPOSITORY.match(line):
        shown = _USER.sub("//", line)
        message = f"{file}:{number}: {shown} has no hash: the next build might get something else"
        raise ProjectError(message, "Build a wheel of it, and name its folder by `own_image.wheels`.")
    if line.startswith("-") and not _INDEX_OPTION.match(line):
        raise ProjectError(
            f"{file}:{number}: {line} is no line that an image can be built of", "Leave it out."
        )


def python_line(python: Path) -> tuple[int, int]:
    """The version of a Python, its first two numbers. Raises ProjectError if it does not say."""
    if python == Path(sys.executable):
        return sys.version_info[:2]
    command = [str(python), "-c", "import sys; print(*sys.version_info[:2])"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS_TO_TELL, check=True)
        major, minor = map(int, done.stdout.split())
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        message = f"{python} does not say which Python it is: {error}"
        raise ProjectError(message, "Mend `python`, or name the image's base by `own_image.base`.") from error
    return major, minor


def _without_user(url: str) -> str:
    """An address without the name and password that may stand in it."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
