"""The settings `ray:` of an environment, and the Serve config that they make; in Ray's own words."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from hotfire.config_file import listed, nearest
from hotfire.environment import Environment
from hotfire.images import is_gpu

IMPORT_PATH = "hotfire_worker.ray_app:app"
"""The application's builder, for which the package `hotfire_worker` must be importable where it is built."""

DEPLOYMENT = "Model"
"""What that builder calls its one deployment."""

_AUTO = "auto"
"""Of `num_replicas`: Ray's own defaults of autoscaling."""

_MOST_OF_AUTO = 100
_MOST_OF_A_NODE = 100
_MOST_COUNTED = (1 << 31) - 1
"""What Serve's own messages hold of a whole number."""

_FINEST = 0.0001
"""The least of a resource that Ray can give, which is its unit."""

_RESERVED: Mapping[str, str] = {
    "CPU": "Say `num_cpus` in its place.",
    "GPU": "Say `num_gpus` in its place.",
    "memory": "Say `memory` beside `resources`, not in it.",
    "object_store_memory": "Leave it out: a deployment of Serve's asks for none.",
    "bundle": "Give the resource another name.",
}
"""Names that `resources` cannot have, and what to say in their place."""

Kind = tuple[Callable[[Any], bool], str]


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_amount(value: Any) -> bool:
    return _is_number(value) and (value == 0 or _FINEST <= value < math.inf)


_COUNT: Kind = lambda value: _is_whole(value) and value >= 1, "a whole number, 1 or more"
_COUNT_OR_NONE: Kind = lambda value: _is_whole(value) and value >= 0, "a whole number, 0 or more"
_REPLICAS: Kind = lambda value: value == _AUTO or _COUNT[0](value), f"a whole number, 1 or more, or {_AUTO}"
_OF_A_NODE: Kind = (
    lambda value: _is_whole(value) and 1 <= value <= _MOST_OF_A_NODE,
    f"a whole number from 1 to {_MOST_OF_A_NODE}",
)
_QUEUE: Kind = lambda value: _COUNT[0](value) or value == -1, "a whole number, 1 or more, or -1: no limit"
_SECONDS: Kind = lambda value: _is_number(value) and value >= 0, "a number of seconds"
_AMOUNT: Kind = _is_amount, f"a finite number: 0, or {_FINEST} or more"
_FACTOR: Kind = lambda value: _is_number(value) and value > 0, "a number above 0"
_GPUS: Kind = (
    lambda value: _is_amount(value) and (value <= 1 or value % 1 == 0),
    f"a whole number, or a part of one GPU such as 0.5, of {_FINEST} or more",
)
_NAME: Kind = lambda value: isinstance(value, str) and bool(value), "text"
_MAPPING: Kind = lambda value: isinstance(value, Mapping), "a mapping of keys to values"

_OF_DEPLOYMENT: Mapping[str, Kind] = {
    "num_replicas": _REPLICAS,
    "autoscaling_config": _MAPPING,
    "max_ongoing_requests": _COUNT,
    "max_queued_requests": _QUEUE,
    "health_check_period_s": _FACTOR,
    "health_check_timeout_s": _FACTOR,
    "graceful_shutdown_wait_loop_s": _SECONDS,
    "graceful_shutdown_timeout_s": _SECONDS,
    "max_replicas_per_node": _OF_A_NODE,
}
_OF_REPLICA: Mapping[str, Kind] = {
    "num_cpus": _AMOUNT,
    "num_gpus": _GPUS,
    "memory": _AMOUNT,
    "resources": _MAPPING,
    "accelerator_type": _NAME,
}
"""What Ray has under `ray_actor_options`."""
_OF_AUTOSCALING: Mapping[str, Kind] = {
    "min_replicas": _COUNT_OR_NONE,
    "max_replicas": _COUNT,
    "initial_replicas": _COUNT_OR_NONE,
    "target_ongoing_requests": _FACTOR,
    "metrics_interval_s": _FACTOR,
    "look_back_period_s": _FACTOR,
    "upscale_delay_s": _SECONDS,
    "downscale_delay_s": _SECONDS,
    "downscale_to_zero_delay_s": _SECONDS,
    "upscaling_factor": _FACTOR,
    "downscaling_factor": _FACTOR,
}

KEYS = tuple({**_OF_DEPLOYMENT, **_OF_REPLICA})
"""What may be set."""


def deployment(environment: Environment) -> dict[str, Any]:
    """The deployment's options as a Serve config has them. Raises ConfigError for what Ray would refuse.

    Where there are GPUs, a replica has one if nothing is said: Ray hides them from one that asks for none.
    """
    given = environment.ray
    _check(environment, given, {**_OF_DEPLOYMENT, **_OF_REPLICA})
    scaling = given.get("autoscaling_config")
    if scaling is not None:
        _check(environment, scaling, _OF_AUTOSCALING, "autoscaling_config")
        _check_autoscaling(environment, given, scaling)
    _check_resources(environment, given.get("resources", {}))
    options = {key: value for key, value in given.items() if key in _OF_DEPLOYMENT}
    replica = {key: value for key, value in given.items() if key in _OF_REPLICA}
    if "num_gpus" not in replica and has_gpu(environment):
        replica["num_gpus"] = 1
    return {"name": DEPLOYMENT, **options, **({"ray_actor_options": replica} if replica else {})}


def application(
    options: Mapping[str, Any],
    *,
    name: str = "default",
    route_prefix: str = "/",
    args: Mapping[str, Any] | None = None,
    runtime_env: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """One application of a Serve config, with the options of `deployment`.

    `args` are the builder's: `model_dir` and `environment` where they are not those of AWS's container.
    """
    more = {"args": dict(args or {}), "runtime_env": dict(runtime_env or {})}
    return {
        "name": name,
        "route_prefix": route_prefix,
        "import_path": IMPORT_PATH,
        **{key: value for key, value in more.items() if value},
        "deployments": [dict(options)],
    }


def fixed_replicas(environment: Environment) -> int | None:
    """How many replicas an instance of AWS's has; None where Ray has as many as the load takes."""
    count = environment.ray.get("num_replicas", 1)
    return None if count == _AUTO or "autoscaling_config" in environment.ray else int(count)


def has_gpu(environment: Environment) -> bool:
    """Whether its instances have GPUs."""
    kind = environment.instance_type or ""
    return environment.serverless is None and (kind == "local_container_gpu" or is_gpu(kind))


def _check(
    environment: Environment, given: Mapping[str, Any], known: Mapping[str, Kind], *above: str
) -> None:
    for key, value in given.items():
        title = ".".join(("ray", *above, str(key)))
        if key not in known:
            near = nearest(str(key), known)
            advice = f"Did you mean {near!r}?" if near else f"There are {listed(known)}."
            raise environment.mistake(f"{title} is not a setting of Ray Serve's", advice, "ray", *above, key)
        fits, what = known[key]
        if not fits(value):
            raise environment.mistake(f"{title} must be {what}, not {value!r}", "", "ray", *above, key)
        if _is_whole(value) and value > _MOST_COUNTED and key not in _OF_REPLICA:
            message = f"{title} is {value}; Ray Serve counts to {_MOST_COUNTED}"
            raise environment.mistake(message, "Choose a smaller number.", "ray", *above, key)


def _check_resources(environment: Environment, resources: Mapping[str, Any]) -> None:
    fits, what = _AMOUNT
    for name, amount in resources.items():
        if name in _RESERVED:
            message = f"ray.resources cannot have {name!r}, which is Ray's own"
            raise environment.mistake(message, _RESERVED[name], "ray", "resources", name)
        if not fits(amount):
            message = f"ray.resources.{name} must be {what}, not {amount!r}"
            raise environment.mistake(message, "", "ray", "resources", name)


def _check_autoscaling(
    environment: Environment, given: Mapping[str, Any], scaling: Mapping[str, Any]
) -> None:
    if given.get("num_replicas", _AUTO) != _AUTO:
        message = "ray has both num_replicas and autoscaling_config: Ray Serve takes one of them"
        raise environment.mistake(message, "Leave num_replicas out.", "ray", "num_replicas")
    most = scaling.get("max_replicas", _MOST_OF_AUTO if given.get("num_replicas") == _AUTO else 1)
    least = scaling.get("min_replicas", 1)
    first = scaling.get("initial_replicas", least)
    above = ("ray", "autoscaling_config")
    if least > most:
        said = "" if "max_replicas" in scaling else " by default"
        message = f"ray.autoscaling_config has min_replicas {least}, more than max_replicas, {most}{said}"
        raise environment.mistake(message, f"Say `max_replicas: {least}` or more.", *above, "min_replicas")
    if not least <= first <= most:
        message = (
            f"ray.autoscaling_config begins with {first} replicas, which are not between {least} and {most}"
        )
        advice = (
            "Raise max_replicas." if first > most else f"Say `min_replicas: {first}`, or begin with more."
        )
        raise environment.mistake(message, advice, *above, "initial_replicas")
