"""Images that are built here and pushed from here, by Docker's API."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from hotfire.container_engine import Engine, engine_errors, events, explained
from hotfire.errors import EngineError

PROGRAM_LABEL = "hotfire.program"
"""Of the containers in which a program runs once; the image's name."""

_STEP = re.compile(r"(?:\[\d+/\d+\] )?S(?:tep|TEP) (\d+)/(\d+) ?: (.*)")
"""As Docker has it, or Podman, which counts the steps of each stage."""
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
"""Docker's, about what a build prints as errors."""
_LONG_STEPS = ("FROM", "RUN", "COPY --from")
_LONGEST = 72
_MOST_LINES = 200
_SECONDS = 3600
"""The longest that the engine may be silent: a step of a build may print nothing for a while."""
_SECONDS_TO_REMOVE = 60
"""More than it takes to read what a program has written, and to remove its container."""


@dataclass(frozen=True, slots=True)
class Telling:
    """Takes what is told of long work: each step, and what goes on within it, which the next overwrites."""

    step: Callable[[str], None]
    passing: Callable[[str], None] = lambda line: None


@dataclass(frozen=True, slots=True)
class Program:
    """A program to run once in a container of an image; `folders` of this machine are seen read-only."""

    image: str
    command: Sequence[str]
    files: Mapping[str, bytes]
    variables: Mapping[str, str]
    folders: Mapping[str, Path]
    network: str
    platform: str | None = None


@dataclass(frozen=True, slots=True)
class Build:
    """A folder's worth of files to build an image from, in a tar; None leaves the platform to the engine."""

    context: BinaryIO
    name: str
    arguments: Mapping[str, str]
    network: str
    platform: str | None = None
    cached: bool = True


@dataclass(frozen=True, slots=True)
class Image:
    """One that is here. `digest` is its name by content in a registry; empty if it is in none."""

    id: str
    size: int
    digest: str
    labels: Mapping[str, str]
    architecture: str


class ProgramFailed(EngineError):
    """The program ended with another code than 0; `lines` are the last that it printed."""

    def __init__(self, code: int, lines: Sequence[str]) -> None:
        super().__init__(f"it ended with exit code {code}")
        self.code, self.lines = code, tuple(lines)


class BuildFailed(EngineError):
    """The engine gave `reason` for ending a build; `lines` are the last that it had printed."""

    def __init__(self, name: str, reason: str, lines: Sequence[str]) -> None:
        super().__init__(*explained(f"the image {name} cannot be built", reason))
        self.reason, self.lines = reason, tuple(lines)


def find(engine: Engine, name: str) -> Image | None:
    """An image that is here, by its name; None if it is not."""
    from docker.errors import ImageNotFound

    with engine_errors(f"the image {name}"):
        try:
            found = engine.api.inspect_image(name)
        except ImageNotFound:
            return None
    digests = found.get("RepoDigests") or ()
    repository = name.rpartition("@")[0] or _without_tag(name)
    digest = next((one for one in digests if one.startswith(f"{repository}@")), "")
    labels = (found.get("Config") or {}).get("Labels") or {}
    return Image(found["Id"], int(found["Size"]), digest, labels, str(found.get("Architecture", "")))


def run(engine: Engine, program: Program, file: str, tell: Telling) -> bytes:
    """A file that the program has written. Raises ProgramFailed; nothing is left of the container.

    Nor of one whose run was killed: that is removed here, when it has ended.
    """
    _tidy(engine)
    with engine_errors(f"no container of the image {program.image} can be made"):
        container = engine.api.create_container(
            program.image,
            list(program.command),
            environment=dict(program.variables),
            entrypoint=[],
            user="0",
            working_dir="/",
            labels={PROGRAM_LABEL: program.image},
            platform=program.platform,
            host_config=engine.api.create_host_config(
                binds={str(path): {"bind": place, "mode": "ro"} for place, path in program.folders.items()},
                network_mode=None if program.network == "default" else program.network,
            ),
        )["Id"]
    try:
        with engine_errors(f"the image {program.image} cannot be started"):
            engine.api.put_archive(container, "/", _tar(program.files))
            engine.api.start(container)
        with engine_errors(f"the image {program.image} cannot be run"), _patient(engine):
            lines = _last(engine.output(container), tell)
            ending = engine.api.wait(container)["StatusCode"]
        if ending:
            raise ProgramFailed(ending, lines)
        with engine_errors(f"{file} cannot be read"):
            return _member(engine.api.get_archive(container, file)[0])
    finally:
        engine.remove(container)


def _tidy(engine: Engine) -> None:
    """Remove the containers of programs that nobody waits for any more."""
    with engine_errors("the containers cannot be listed"):
        left = engine.api.containers(all=True, filters={"label": PROGRAM_LABEL, "status": "exited"})
    for one in left:
        # What another left is no reason to fail.
        with suppress(EngineError):
            if _ended_long_ago(engine, one["Id"]):
                engine.remove(one["Id"])


def _ended_long_ago(engine: Engine, container: str) -> bool:
    """Whether whoever ran it would have removed it by now."""
    with engine_errors("the container's state cannot be read"):
        ended = engine.api.inspect_container(container)["State"]["FinishedAt"]
    return (datetime.now(UTC) - datetime.fromisoformat(ended)).total_seconds() > _SECONDS_TO_REMOVE


def build(engine: Engine, work: Build, tell: Telling) -> None:
    """Build an image and name it. Raises BuildFailed, EngineError."""
    lines: list[str] = []
    with engine_errors(f"the image {work.name} cannot be built"), _patient(engine):
        told = engine.api.build(
            fileobj=work.context,
            custom_context=True,
            tag=work.name,
            buildargs=dict(work.arguments),
            nocache=not work.cached,
            rm=True,
            forcerm=True,
            network_mode=None if work.network == "default" else work.network,
            platform=work.platform,
            decode=True,
        )
        for event in events(told, lambda reason: BuildFailed(work.name, reason, lines)):
            for line in str(event.get("stream", "")).splitlines():
                _take(line, lines, tell)


def tag(engine: Engine, image: str, name: str) -> None:
    """Give an image one more name."""
    repository, _, mark = name.rpartition(":") if ":" in name.rpartition("/")[2] else (name, "", "")
    with engine_errors(f"the image {image} cannot be named {name}"):
        engine.api.tag(image, repository, mark or None)


def push(engine: Engine, name: str, login: Mapping[str, str] | None, tell: Telling) -> None:
    """Bring an image to the registry that its name leads to."""
    doing = f"the image {name} cannot be pushed"
    repository, _, mark = name.rpartition(":")
    layers: dict[str, tuple[int, int]] = {}
    with engine_errors(doing), _patient(engine):
        given = None if login is None else dict(login)
        told = engine.api.push(repository, mark, auth_config=given, stream=True, decode=True)
        for event in events(told, lambda reason: EngineError(*explained(doing, reason))):
            detail = event.get("progressDetail") or {}
            if detail.get("total"):
                layers[event["id"]] = int(detail.get("current", 0)), int(detail["total"])
                done, total = (sum(numbers) for numbers in zip(*layers.values(), strict=True))
                tell.passing(f"push {name}: {min(done, total) / 1e6:,.0f} of {total / 1e6:,.0f} MB")


@contextmanager
def _patient(engine: Engine) -> Iterator[None]:
    """While an image is built or pushed the engine may say nothing for longer than otherwise."""
    before = engine.api.timeout
    engine.api.timeout = _SECONDS
    try:
        yield
    finally:
        engine.api.timeout = before


def _take(line: str, lines: list[str], tell: Telling) -> None:
    """Keep what a failure is explained by, and tell what goes on."""
    line = _COLOUR.sub("", line)
    step = _STEP.match(line)
    if step:
        lines.clear()
        what = re.sub(r"\s+", " ", step[3])
        told = f"step {step[1]} of {step[2]}: {what[:_LONGEST]}{'…' if len(what) > _LONGEST else ''}"
        # The others are done at once.
        (tell.step if what.startswith(_LONG_STEPS) else tell.passing)(told)
    elif line.strip():
        lines[:] = [*lines[1 - _MOST_LINES :], line]
        tell.passing(line.strip())


def _last(output: Iterator[bytes], tell: Telling) -> list[str]:
    """The last lines of what comes, each told as it comes."""
    lines: list[str] = []
    rest = b""
    for part in output:
        *whole, rest = (rest + part).split(b"\n")
        for raw in whole:
            _take(raw.decode("utf-8", "replace").rstrip(), lines, tell)
    return [*lines, rest.decode("utf-8", "replace")] if rest else lines


def _without_tag(name: str) -> str:
    return name.rpartition(":")[0] if ":" in name.rpartition("/")[2] else name


def _tar(files: Mapping[str, bytes]) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name.lstrip("/"))
            info.size, info.mode = len(content), 0o644
            tar.addfile(info, io.BytesIO(content))
    return written.getvalue()


def _member(parts: Iterator[bytes]) -> bytes:
    """The one file in a tar."""
    with tarfile.open(fileobj=io.BytesIO(b"".join(parts)), mode="r") as tar:
        content = tar.extractfile(tar.getmembers()[0])
        assert content is not None
        return content.read()
