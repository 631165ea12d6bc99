"""Rules about Ray Serve: settings that have no effect with it or without it, and room for its replicas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hotfire.environment import Environment
from hotfire.images import RAY, is_gpu
from hotfire.instance_types import GIB, gpus, memory, vcpus
from hotfire.preflight.finding import Found, Rule
from hotfire.preflight.subject import Subject
from hotfire.ray_settings import deployment

_UNITS = 10_000
"""Of which Ray counts a resource; it gives no part of one."""


@dataclass(frozen=True, slots=True)
class _Share:
    """What a replica takes of a resource, by the key that says so, and what the instance has of it."""

    key: str
    each: float
    room: float

    @property
    def fitting(self) -> int:
        """How many replicas it is enough for."""
        units = round(self.each * _UNITS)
        if self.key == "num_gpus" and self.each < 1:  # a part is of one GPU, never of two
            return int(self.room) * (_UNITS // units)
        return int(self.room * _UNITS) // units

    @property
    def words(self) -> tuple[str, str]:
        """What a replica takes, and what there is."""
        if self.key == "memory":
            return f"{self.each / GIB:.1f} GiB of memory", f"{self.room / GIB:.1f} GiB"
        noun = self.key.removeprefix("num_").removesuffix("s").upper()
        return (
            f"{self.each:g} {noun}{'' if self.each == 1 else 's'}",
            f"{self.room:g}" if self.room else "none",
        )


def _no_effect(subject: Subject) -> Iterator[Found]:
    environment = subject.environment
    for key, message, advice in _idle(environment) if environment else ():
        yield Found(message, advice, subject.config, subject.line_of(key))


def _idle(environment: Environment) -> Iterator[tuple[str, str, str]]:
    """The keys that nothing reads, with what is to be said of each."""
    reason = _image_without_versions(environment)
    for key in ("framework_version", "py_version"):
        value = getattr(environment, key)
        if value is not None and reason:
            yield key, f"{key} {value} has no effect {reason}.", "Leave it out."
    # In a process on this machine nothing of an image has an effect; the environment `local` may share it.
    if environment.ray and environment.has_image and environment.serving != "ray":
        advice = "Say `serving: ray` if Ray Serve is to serve it; else leave `ray` out."
        yield "ray", f"`ray` has no effect with `serving: {environment.serving}`.", advice
    if environment.ray_address and not environment.on_ray:
        advice = "Say `instance_type: ray` if that cluster is to host it; else leave it out."
        yield "ray_address", "ray_address has no effect without `instance_type: ray`.", advice


def _image_without_versions(environment: Environment) -> str:
    """Why an image's torch and Python are not chosen by a version; empty if they are."""
    if environment.image is not None:
        return "with an `image`, which has its own torch and Python"
    if environment.serving == "ray":
        torch = ".".join(RAY.torch.split(".")[:2])
        return f"with `serving: ray`: that image has torch {torch} and Python {RAY.python}"
    if environment.serving == "hotfire":
        return "with `serving: hotfire`: that image is built by `own_image` and requirements.txt"
    return ""


def _room(subject: Subject) -> Iterator[Found]:
    environment = subject.environment
    if environment is None or environment.serving != "ray" or not environment.has_image:
        return
    options = deployment(environment)
    count, name = _replicas(options), _name(environment)
    for share in _shares(environment, options.get("ray_actor_options", {})):
        key, (taken, there) = share.key, share.words
        line = next(filter(None, (subject.line_of(*keys) for keys in _places(key))), None)
        if share.fitting == 0:
            message = f"A replica takes {taken}, and {name} has {there}: Ray would never start one."
            less = "Lower" if share.room else "Leave out"
            advice = f"{less} `ray.{key}`, or take an instance type that has it."
            yield Found(message, advice, subject.config, line)
        elif share.fitting < count:
            message = (
                f"{count} replicas take {taken} each, and {name} has {there}: Ray would start "
                f"{share.fitting} of them."
            )
            advice = f"Have fewer, give each less by `ray.{key}`, or take a larger instance type."
            yield Found(message, advice, subject.config, line, "warning")


def _places(key: str) -> tuple[tuple[str, ...], ...]:
    """Where it may stand in config.yml how much is taken."""
    return ("ray", key), ("ray", "num_replicas"), ("ray", "autoscaling_config"), ("instance_type",)


def _replicas(options: Mapping[str, Any]) -> int:
    """How many replicas there are at most, as far as that is said."""
    count, scaling = options.get("num_replicas", 1), options.get("autoscaling_config")
    if count != "auto" and scaling is None:
        return int(count)
    said = [(scaling or {}).get(f"{name}_replicas", 1) for name in ("min", "initial", "max")]
    return int(max(said))


def _name(environment: Environment) -> str:
    return "a serverless endpoint" if environment.serverless else str(environment.instance_type)


def _shares(environment: Environment, taken: Mapping[str, Any]) -> Iterator[_Share]:
    """Of what the instance is known to have."""
    kind = environment.instance_type or ""
    rooms = {
        "num_cpus": vcpus(kind),
        "num_gpus": gpus(kind) if is_gpu(kind) else 0,
        "memory": memory(kind),
    }
    if environment.serverless is not None:
        rooms = {"num_gpus": 0, "memory": environment.serverless.memory_mb * (1 << 20)}
    elif not kind.startswith("ml."):
        return
    # Serve itself has a replica take one processor if nothing is said.
    for key, each in {"num_cpus": 1, **taken}.items():
        room = rooms.get(key)
        if room is not None and each:
            yield _Share(key, each, room)


RULES = (
    Rule(
        "no-effect",
        "information",
        "A setting that nothing reads: framework_version and py_version beside `serving: ray`, `serving: "
        "hotfire` or an `image`, `ray` without `serving: ray`, `ray_address` without `instance_type: ray`.",
        "Leave it out, or say what it is for.",
        _no_effect,
        of_aws=False,
    ),
    Rule(
        "ray-room",
        "error",
        "A replica of `serving: ray` takes more GPUs, processors or memory than the instance type has, so "
        "that Ray never starts it. (A warning where some of the replicas fit.)",
        "Lower what a replica takes, have fewer, or take a larger instance type.",
        _room,
    ),
)
