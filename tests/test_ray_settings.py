"""The settings `ray:`: what they make of a Serve config, and what is said of those that Ray would refuse."""

from pathlib import Path
from typing import Any

import pytest

from hotfire.environment import load
from hotfire.errors import ConfigError
from hotfire.ray_settings import application, deployment


def options(tmp_path: Path, ray: str, instance_type: str = "ml.m5.large") -> dict[str, Any]:
    """The deployment's options, by an environment that is written in a file."""
    file = tmp_path / "config.yml"
    file.write_text(
        "environments:\n"
        "  production:\n"
        "    model_name: news\n"
        f"    instance_type: {instance_type}\n"
        "    serving: ray\n"
        f"    ray: {ray}\n"
    )
    return deployment(load("production", config=file))


@pytest.mark.parametrize(
    ("ray", "expected"),
    [
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
    ],
)
def test_they_are_those_of_a_serve_config(tmp_path: Path, ray: str, expected: dict[str, Any]) -> None:
    assert options(tmp_path, ray) == {"name": "Model", **expected}


@pytest.mark.parametrize(
    ("ray", "expected"),
    [
        ("{num_replicas: 0}", "ray.num_replicas must be a whole number, 1 or more, or auto, not 0"),
        ("{num_replicas: true}", "ray.num_replicas must be a whole number, 1 or more, or auto, not True"),
        ("{num_replicas: '2'}", "ray.num_replicas must be a whole number, 1 or more, or auto, not '2'"),
        ("{num_gpus: 1.5}", "ray.num_gpus must be a whole number, or a part of one GPU such as 0.5, not 1.5"),
        ("{num_gpus: -1}", "ray.num_gpus must be a whole number, or a part of one GPU such as 0.5, not -1"),
        ("{num_cpus: many}", "ray.num_cpus must be a number, 0 or more, not 'many'"),
        ("{resources: [1]}", "ray.resources must be a mapping of names to numbers, not [1]"),
        ("{autoscaling_config: 3}", "ray.autoscaling_config must be a mapping of keys to values, not 3"),
        ("{replicas: 2}", "ray.replicas is not a setting of Ray Serve's"),
        ("{autoscaling_config: {max: 2}}", "ray.autoscaling_config.max is not a setting of Ray Serve's"),
        (
            "{num_replicas: 2, autoscaling_config: {max_replicas: 3}}",
            "ray has both num_replicas and autoscaling_config: Ray Serve takes one of them",
        ),
        (
            "{autoscaling_config: {min_replicas: 3, max_replicas: 2}}",
            "ray.autoscaling_config has min_replicas 3, more than max_replicas, 2",
        ),
        (
            "{autoscaling_config: {initial_replicas: 9, max_replicas: 2}}",
            "ray.autoscaling_config begins with 9 replicas, which are not between 1 and 2",
        ),
    ],
)
def test_what_ray_would_refuse_is_said_with_its_place(tmp_path: Path, ray: str, expected: str) -> None:
    with pytest.raises(ConfigError) as raised:
        options(tmp_path, ray)
    place, _, message = raised.value.message.partition(": ")
    assert message == expected
    assert place.startswith(f"{tmp_path / 'config.yml'}:6:")


def test_a_slip_is_answered_with_what_was_meant(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        options(tmp_path, "{num_replica: 2}")
    assert raised.value.advice == "Did you mean 'num_replicas'?"


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
