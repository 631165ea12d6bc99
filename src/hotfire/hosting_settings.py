"""On what a model runs, as config.yml says it: instance types and sizes, serverless, async, autoscaling."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from hotfire.config_file import Section, listed, nearest, read
from hotfire.errors import ConfigError
from hotfire.instance_types import hosting_types, memory

LOCAL_TYPES = ("local", "local_process", "local_container", "local_gpu", "local_container_gpu", "ray")
"""The instance types that only a local region has."""

CONTAINER_TYPES = ("local_container", "local_container_gpu")
"""Those whose instances are containers."""

STARTUP_SECONDS = (60, 3600)
"""The least and the most that SageMaker gives a container to be ready in, and so any client of its API."""

_CONTAINER_OF = {
    "local": "local_container",
    "local_process": "local_container",
    "local_gpu": "local_container_gpu",
    "ray": "",
}
"""What is meant by a type that is no container and yet is to run as one."""

_MOST_CONCURRENT = 1000


@dataclass(frozen=True, slots=True)
class Serverless:
    """Hosting without instances of one's own."""

    memory_mb: int
    max_concurrency: int


@dataclass(frozen=True, slots=True)
class Asynchronous:
    """Requests that wait in a queue: where what comes of them goes, and how many an instance has in hand.

    `output` and `failure` are folders, by `s3://` or `file://` addresses; the topics are SNS's ARNs.
    """

    output: str
    failure: str
    max_concurrent: int | None = None
    success_topic: str | None = None
    error_topic: str | None = None


@dataclass(frozen=True, slots=True)
class Autoscaling:
    """How many instances, and the invocations a minute that one of them is to have."""

    min: int
    max: int
    target: float


def hosting_settings(section: Section, name: str, root: Path, variables: Mapping[str, str]) -> dict[str, Any]:
    """The settings of the environment of this name; paths are relative to the project's root.

    Raises ConfigError.
    """
    kind = section.text("instance_type")
    if kind is not None and kind not in LOCAL_TYPES and not kind.startswith("ml."):
        near = nearest(kind, LOCAL_TYPES)
        advice = (
            f"Did you mean {near!r}?"
            if near
            else f"At AWS it begins with `ml.`; here it is {listed(LOCAL_TYPES, 'or')}."
        )
        raise section.error(f"there is no instance type {kind!r}", advice, key="instance_type")
    least, most = STARTUP_SECONDS
    return {
        "instance_type": kind,
        "instance_count": section.whole("instance_count") or 1,
        "runs_as": _way(section, name, kind),
        "sized_as": _size(section, variables),
        "startup_timeout": section.whole("startup_timeout", least=least, most=most),
        "serverless": _serverless(section.section("serverless")),
        "autoscaling": _autoscaling(section.section("autoscaling")),
        "async_": _asynchronous(section.section("async"), root),
    }


def _way(section: Section, name: str, kind: str | None) -> str:
    """As what an `ml.*` type runs here; another type says it itself, and may not say otherwise."""
    given = section.choice("runs_as", ("process", "container"), "process")
    meant = _CONTAINER_OF.get(kind or ("local" if name == "local" else ""))
    if given == "process" or meant is None or section.values.get("serverless") is not None:
        return given
    message = f"runs_as is for `ml.*` types, and instance_type is {kind or 'local'}"
    advice = f"Say `instance_type: {meant}`, or `runs_as: process`." if meant else "Say `runs_as: process`."
    raise section.error(message, advice, key="runs_as")


def _size(section: Section, variables: Mapping[str, str]) -> str | None:
    """The type whose size a container gets: the one that is given, else that of `production`."""
    given = section.text("sized_as")
    if given is not None and not given.startswith("ml."):
        raise section.wrong_type("sized_as", "an instance type of AWS's, which begins with `ml.`")
    if given is not None and given not in hosting_types():
        near = nearest(given, hosting_types())
        advice = f"Did you mean {near!r}?" if near else "It is one of those that `instance_type` has at AWS."
        raise section.error(f"there is no instance type {given!r}", advice, key="sized_as")
    if given or section.text("instance_type") not in CONTAINER_TYPES:
        return given
    try:
        kind = read(section.file, "production", variables).text("instance_type")
    except ConfigError:  # there is none, or it is for another machine to fill
        return None
    return kind if kind and kind.startswith("ml.") else None


def _serverless(section: Section | None) -> Serverless | None:
    if section is None:
        return None
    return Serverless(section.whole("memory_mb") or 2048, section.whole("max_concurrency") or 5)


def _asynchronous(section: Section | None, root: Path) -> Asynchronous | None:
    if section is None:
        return None
    keys = tuple(one.name for one in fields(Asynchronous))
    for key in section.values:
        if key not in keys:
            near = nearest(key, keys)
            advice = f"Did you mean {near!r}?" if near else f"It has {listed(keys)}."
            raise section.error(f"async has no key {key!r}", advice, key=key)
    output = _address(section, "output", root)
    if output is None:
        message = "async needs `output`, the folder that answers are written to"
        raise section.error(message, "Add `output: s3://…`, or `file://…` for this machine.")
    most = section.whole("max_concurrent")
    if most is not None and most > _MOST_CONCURRENT:
        message = f"async.max_concurrent is {most}; SageMaker takes at most {_MOST_CONCURRENT}"
        raise section.error(message, key="max_concurrent")
    topics = {key: section.text(key) for key in ("success_topic", "error_topic")}
    return Asynchronous(output, _address(section, "failure", root) or output, most, **topics)


def _address(section: Section, key: str, root: Path) -> str | None:
    """An s3:// address, or a file:// address that no longer depends on where the project is."""
    text = section.text(key)
    if text is None or text.startswith("s3://"):
        return text
    if not text.startswith("file://"):
        raise section.wrong_type(key, "a file:// or s3:// address")
    return f"file://{root / Path(text.removeprefix('file://')).expanduser()}"


def _autoscaling(section: Section | None) -> Autoscaling | None:
    if section is None:
        return None
    least = section.whole("min", least=0)
    most, target = section.whole("max"), section.number("target")
    if most is None or target is None:
        raise section.error("autoscaling needs both `max` and `target`")
    least = 1 if least is None else least
    if least > most:
        raise section.error(f"autoscaling.min is {least}, more than autoscaling.max, {most}", key="min")
    return Autoscaling(least, most, target)


def hosting_notes(section: Section, name: str, size: str | None) -> Iterator[str]:
    """A sentence where containers have no limit though a type is named."""
    kind = section.text("instance_type") or ""
    in_containers = kind in CONTAINER_TYPES or (name == "local" and section.text("runs_as") == "container")
    named = size or kind
    is_sized = named.startswith("ml.") and section.values.get("serverless") is None
    if in_containers and is_sized and memory(named) is None:
        yield f"Containers have no memory limit: Hotfire does not know how much {named} has."
