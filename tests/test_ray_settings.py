"""The settings `ray:`: what they make of a Serve config, and what is said of those that Ray would refuse."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from hotfire.environment import Environment, load
from hotfire.errors import ConfigError
from hotfire.ray_settings import application, deployment, fixed_replicas

AMOUNT = "a finite number: 0, or 0.0001 or more"
GPUS = "a whole number, or a part of one GPU such as 0.5, of 0.0001 or more"


TAKEN: list[tuple[str, dict[str, Any]]] = [
    ("{}", {}),
    ("{num_replicas: 3}", {"num_replicas": 3}),
    ("{num_replicas: auto}", {"num_replicas": "auto"}),
    ("{num_gpus: 0.5, num_cpus: 2}", {"ray_actor_options": {"num_gpus": 0.5, "num_cpus": 2}}),
    ("{num_gpus: 2}", {"ray_actor_options": {"num_gpus": 2}}),
    (
        "{num_replicas: auto, autoscaling_config: {max_replicas: 4}, max_queued_requests: -1}",
        {"num_replicas": "auto", "autoscaling_config": {"max_replicas": 4}, "max_queued_requests": -1},
    ),
    (
        "{autoscaling_config: {min_replicas: 0, max_replicas: 2, target_ongoing_requests: 1.5}}",
        {"autoscaling_config": {"min_replicas": 0, "max_replicas": 2, "target_ongoing_requests": 1.5}},
    ),
    (
        "{max_ongoing_requests: 1, health_check_period_s: 0.5, graceful_shutdown_timeout_s: 0}",
        {"max_ongoing_requests": 1, "health_check_period_s": 0.5, "graceful_shutdown_timeout_s": 0},
    ),
    ("{resources: {special: 1}}", {"ray_actor_options": {"resources": {"special": 1}}}),
    ("{num_cpus: 0, num_gpus: 0.0001}", {"ray_actor_options": {"num_cpus": 0, "num_gpus": 0.0001}}),
    ("{memory: 8589934592}", {"ray_actor_options": {"memory": 8589934592}}),
    (
        "{num_replicas: 2147483647, max_replicas_per_node: 100}",
        {"num_replicas": 2147483647, "max_replicas_per_node": 100},
    ),
    (
        "{autoscaling_config: {min_replicas: 0, initial_replicas: 0}}",
        {"autoscaling_config": {"min_replicas": 0, "initial_replicas": 0}},
    ),
]

REFUSED = [
    ("{num_replicas: 0}", "ray.num_replicas must be a whole number, 1 or more, or auto, not 0"),
    ("{num_gpus: -1}", f"ray.num_gpus must be {GPUS}, not -1"),
    ("{num_gpus: 0.00001}", f"ray.num_gpus must be {GPUS}, not 1e-05"),
    ("{num_gpus: .inf}", f"ray.num_gpus must be {GPUS}, not inf"),
    ("{num_cpus: many}", f"ray.num_cpus must be {AMOUNT}, not 'many'"),
    ("{num_cpus: -1}", f"ray.num_cpus must be {AMOUNT}, not -1"),
    ("{num_cpus: .inf}", f"ray.num_cpus must be {AMOUNT}, not inf"),
    ("{num_cpus: .nan}", f"ray.num_cpus must be {AMOUNT}, not nan"),
    ("{num_cpus: 0.00001}", f"ray.num_cpus must be {AMOUNT}, not 1e-05"),
    ("{memory: .inf}", f"ray.memory must be {AMOUNT}, not inf"),
    ("{resources: [1]}", "ray.resources must be a mapping of keys to values, not [1]"),
    ("{resources: {disk: -1}}", f"ray.resources.disk must be {AMOUNT}, not -1"),
    ("{resources: {disk: 0.00001}}", f"ray.resources.disk must be {AMOUNT}, not 1e-05"),
    ("{resources: {disk: .inf}}", f"ray.resources.disk must be {AMOUNT}, not inf"),
    ("{resources: {CPU: 1}}", "ray.resources cannot have 'CPU', which is Ray's own"),
    ("{resources: {GPU: 0}}", "ray.resources cannot have 'GPU', which is Ray's own"),
    ("{resources: {memory: 1}}", "ray.resources cannot have 'memory', which is Ray's own"),
    ("{resources: {bundle: 1}}", "ray.resources cannot have 'bundle', which is Ray's own"),
    (
        "{resources: {object_store_memory: 1}}",
        "ray.resources cannot have 'object_store_memory', which is Ray's own",
    ),
    (
        "{max_replicas_per_node: 0}",
        "ray.max_replicas_per_node must be a whole number from 1 to 100, not 0",
    ),
    (
        "{max_replicas_per_node: 101}",
        "ray.max_replicas_per_node must be a whole number from 1 to 100, not 101",
    ),
    ("{num_replicas: 2147483648}", "ray.num_replicas is 2147483648; Ray Serve counts to 2147483647"),
    (
        "{max_queued_requests: 0}",
        "ray.max_queued_requests must be a whole number, 1 or more, or -1: no limit, not 0",
    ),
    (
        "{autoscaling_config: {max_replicas: 4294967296}}",
        "ray.autoscaling_config.max_replicas is 4294967296; Ray Serve counts to 2147483647",
    ),
    (
        "{autoscaling_config: {upscale_delay_s: -1}}",
        "ray.autoscaling_config.upscale_delay_s must be a number of seconds, not -1",
    ),
    ("{autoscaling_config: 3}", "ray.autoscaling_config must be a mapping of keys to values, not 3"),
    (
        "{num_replicas: 2, autoscaling_config: {max_replicas: 3}}",
        "ray has both num_replicas and autoscaling_config: Ray Serve takes one of them",
    ),
    (
        "{autoscaling_config: {min_replicas: 3, max_replicas: 2}}",
        "ray.autoscaling_config has min_replicas 3, more than max_replicas, 2",
    ),
    (
        "{autoscaling_config: {min_replicas: 2}}",
        "ray.autoscaling_config has min_replicas 2, more than max_replicas, 1 by default",
    ),
    (
        "{autoscaling_config: {initial_replicas: 9, max_replicas: 2}}",
        "ray.autoscaling_config begins with 9 replicas, which are not between 1 and 2",
    ),
    (
        "{num_replicas: auto, autoscaling_config: {initial_replicas: 0}}",
        "ray.autoscaling_config begins with 0 replicas, which are not between 1 and 100",
    ),
]

SLIPS = [
    ("{num_replicas: true}", "ray.num_replicas must be a whole number, 1 or more, or auto, not True"),
    ("{num_replicas: '2'}", "ray.num_replicas must be a whole number, 1 or more, or auto, not '2'"),
    ("{num_gpus: 1.5}", f"ray.num_gpus must be {GPUS}, not 1.5"),
    ("{replicas: 2}", "ray.replicas is not a setting of Ray Serve's"),
    ("{autoscaling_config: {max: 2}}", "ray.autoscaling_config.max is not a setting of Ray Serve's"),
]
"""What `options` of a deployment lets pass, and fails later or is not what was meant."""

OF_A_REPLICA = ("num_cpus", "num_gpus", "memory", "resources", "accelerator_type")
ASK_RAY = """
import json, sys
from ray import serve

@serve.deployment
class Model: ...

def refused(options):
    try:
        made = Model.options(**options)
        made._deployment_config.to_proto_bytes()
    except Exception:
        return True
    return False

print(json.dumps([refused(options) for options in json.load(sys.stdin)]))
"""


def options(tmp_path: Path, ray: str, instance_type: str = "ml.m5.large") -> dict[str, Any]:
    """The deployment's options, by an environment that is written in a file."""
    return deployment(configured(tmp_path, ray, instance_type))


def configured(tmp_path: Path, ray: str, instance_type: str = "ml.m5.large") -> Environment:
    file = tmp_path / "config.yml"
    file.write_text(
        "environments:\n"
        "  production:\n"
        "    model_name: news\n"
        f"    instance_type: {instance_type}\n"
        "    serving: ray\n"
        f"    ray: {ray}\n"
    )
    return load("production", config=file)


@pytest.mark.parametrize(("ray", "expected"), TAKEN)
def test_they_are_those_of_a_serve_config(tmp_path: Path, ray: str, expected: dict[str, Any]) -> None:
    assert options(tmp_path, ray) == {"name": "Model", **expected}


@pytest.mark.parametrize(("ray", "expected"), [*REFUSED, *SLIPS])
def test_what_ray_would_refuse_is_said_with_its_place(tmp_path: Path, ray: str, expected: str) -> None:
    with pytest.raises(ConfigError) as raised:
        options(tmp_path, ray)
    place, _, message = raised.value.message.partition(": ")
    assert message == expected
    assert place.startswith(f"{tmp_path / 'config.yml'}:6:")


def test_ray_itself_takes_and_refuses_the_same(ray_python: Path) -> None:
    expected = {ray: False for ray, _ in TAKEN} | {ray: True for ray, _ in REFUSED}
    asked = [
        {key: value for key, value in one.items() if key not in OF_A_REPLICA}
        | {"ray_actor_options": {key: value for key, value in one.items() if key in OF_A_REPLICA}}
        for one in map(yaml.safe_load, expected)
    ]
    command = [str(ray_python), "-c", ASK_RAY]
    done = subprocess.run(
        command, input=json.dumps(asked), capture_output=True, text=True, timeout=120, check=True
    )
    refused = json.loads(done.stdout.splitlines()[-1])
    assert dict(zip(expected, refused, strict=True)) == expected


def test_a_slip_is_answered_with_what_was_meant(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        options(tmp_path, "{num_replica: 2}")
    assert raised.value.advice == "Did you mean 'num_replicas'?"


@pytest.mark.parametrize(
    ("ray", "column", "advice"),
    [
        ("{resources: {a: 1, GPU: 1}}", 34, "Say `num_gpus` in its place."),
        (
            "{autoscaling_config: {max_replicas: 2, initial_replicas: 0}}",
            67,
            "Say `min_replicas: 0`, or begin with more.",
        ),
        ("{autoscaling_config: {initial_replicas: 2}}", 50, "Raise max_replicas."),
        ("{autoscaling_config: {min_replicas: 2}}", 46, "Say `max_replicas: 2` or more."),
    ],
)
def test_what_helps_is_said_at_the_key_itself(tmp_path: Path, ray: str, column: int, advice: str) -> None:
    with pytest.raises(ConfigError) as raised:
        options(tmp_path, ray)
    assert (raised.value.line, raised.value.column, raised.value.advice) == (6, column, advice)


@pytest.mark.parametrize(
    ("instance_type", "expected"),
    [("ml.g4dn.xlarge", {"num_gpus": 1}), ("local_container_gpu", {"num_gpus": 1}), ("ml.m5.large", None)],
)
def test_where_there_is_a_gpu_a_replica_has_one(
    tmp_path: Path, instance_type: str, expected: dict[str, int] | None
) -> None:
    assert options(tmp_path, "{}", instance_type).get("ray_actor_options") == expected


def test_a_replica_may_do_without_the_gpu(tmp_path: Path) -> None:
    assert options(tmp_path, "{num_gpus: 0}", "ml.g5.xlarge")["ray_actor_options"] == {"num_gpus": 0}


@pytest.mark.parametrize(
    ("ray", "expected"),
    [
        ("{}", 1),
        ("{num_replicas: 3}", 3),
        ("{num_replicas: auto}", None),
        ("{autoscaling_config: {max_replicas: 2}}", None),
    ],
)
def test_replicas_are_counted_where_their_number_is_fixed(
    tmp_path: Path, ray: str, expected: int | None
) -> None:
    assert fixed_replicas(configured(tmp_path, ray)) == expected


def test_an_application_is_what_the_container_runs() -> None:
    assert application({"name": "Model"}) == {
        "name": "default",
        "route_prefix": "/",
        "import_path": "hotfire_worker.ray_app:app",
        "deployments": [{"name": "Model"}],
    }


def test_an_application_of_a_cluster_is_told_where_its_model_is() -> None:
    made = application({}, name="a", route_prefix="/a", args={"model_dir": "/m"}, runtime_env={"pip": ["x"]})
    assert (made["args"], made["runtime_env"]) == ({"model_dir": "/m"}, {"pip": ["x"]})
