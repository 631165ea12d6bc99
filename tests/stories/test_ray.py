"""A team's own Ray cluster serves behind the same SageMaker API, and is shared with whoever else is there."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError

HANDLER = """\
import json, os, time

ANSWER = 1

def model_fn(model_dir):
    print("loaded", ANSWER, flush=True)
    return ANSWER

def input_fn(body, content_type):
    return json.loads(body)

def predict_fn(data, model):
    time.sleep(0.02)
    return {"answer": model, "data": data}

def output_fn(prediction, accept):
    return json.dumps(prediction)
"""
SECONDS = 240.0


@pytest.fixture(scope="module")
def project(new_project: Callable[..., Any], ray_cluster: Any, tmp_path_factory: Any) -> Any:
    made = new_project(tmp_path_factory.mktemp("project") / "tiny")
    made.write("serve.py", HANDLER)
    settings = {
        "model_name": "tiny",
        "instance_type": "ray",
        "ray_address": ray_cluster.address,
        "ray": {"num_replicas": 2, "num_cpus": 0.5, "max_queued_requests": -1},
    }
    made.configure(**settings)
    example = {"request": {"body": "[1]", "content_type": "application/json"}, "expect": {"status": 200}}
    made.write("examples/one.json", json.dumps(example))
    return made


@contextmanager
def asked(machine: Any, threads: int = 4) -> Iterator[list[Any]]:
    """What is answered meanwhile, or the error, to threads that send one request after the other."""
    answers: list[Any] = []
    ending = threading.Event()
    with machine.client("sagemaker-runtime", retries={"total_max_attempts": 1}) as client:

        def ask() -> None:
            while not ending.is_set():
                try:
                    told = client.invoke_endpoint(
                        EndpointName="tiny", Body=b"[1]", ContentType="application/json"
                    )
                    answers.append(json.loads(told["Body"].read())["answer"])
                except ClientError as error:
                    answers.append(error)

        asking = [threading.Thread(target=ask) for _ in range(threads)]
        for thread in asking:
            thread.start()
        try:
            yield answers
        finally:
            ending.set()
            for thread in asking:
                thread.join()


def ours(cluster: Any) -> list[str]:
    return [name for name in cluster.applications() if "-tiny-" in name]


def wait(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_it_is_deployed_beside_what_others_have(project: Any, ray_cluster: Any) -> None:
    ray_cluster.deploy("theirs")
    project.deploy()
    assert project.ask() == {"answer": 1, "data": [1]}
    assert project.hotfire("test").returncode == 0
    assert "1 × ray" in project.hotfire("status").stdout
    assert "loaded 1" in project.hotfire("logs").stdout
    (name,) = ours(ray_cluster)
    assert len(ray_cluster.replicas(name)) == 2


def test_a_load_on_it_is_measured_and_no_instances_are_reckoned_from_it(project: Any) -> None:
    done = project.hotfire("bench", "--connections", "2", "--duration", "500ms", "--rate", "20")
    assert done.returncode == 0, done.stderr
    assert "2 at once" in done.stdout
    assert "is not reckoned: replicas of a Ray cluster share its nodes." in done.stdout
    assert "An instance" not in done.stdout


def test_it_is_not_for_hotfire_dev(project: Any) -> None:
    said = project.hotfire("dev").stderr
    assert "the environment 'local' is on a Ray cluster; `hotfire dev` serves on this machine" in said


def test_an_update_keeps_it_in_service(project: Any, machine: Any, ray_cluster: Any) -> None:
    project.edit("ANSWER = 1", "ANSWER = 2")
    with asked(machine) as answers:
        project.deploy()
        done = len(answers)
        wait(lambda: len(answers) > done + 20)
    assert set(answers) == {1, 2}
    assert answers[-1] == 2
    wait(lambda: len(ours(ray_cluster)) == 1)


def test_a_region_that_is_killed_finds_it_again(project: Any, machine: Any, ray_cluster: Any) -> None:
    before = ours(ray_cluster)
    psutil.Process(json.loads((machine.home / "region.json").read_text())["pid"]).kill()
    assert machine.hotfire("up").returncode == 0
    assert project.ask()["answer"] == 2
    assert ours(ray_cluster) == before
    assert "the application that was there serves on" in project.hotfire("logs").stdout


def test_a_node_dies_under_load(project: Any, machine: Any, ray_cluster: Any) -> None:
    (name,) = ours(ray_cluster)
    nodes = {replica["node_ip"] for replica in ray_cluster.replicas(name)}
    dying = max(nodes - {ray_cluster.nodes[0]})
    with asked(machine) as answers:
        wait(lambda: len(answers) > 20)
        before = len(answers)
        ray_cluster.kill(dying)
        killed = len(answers)

        def is_whole() -> bool:
            places = [replica["node_ip"] for replica in ray_cluster.replicas(name)]
            return len(places) == 2 and dying not in places

        wait(is_whole)
        moved = len(answers)
        wait(lambda: len(answers) > moved + 20)
    errors = [index for index, answer in enumerate(answers) if isinstance(answer, ClientError)]
    # What was in hand: at most one of each thread; all before it and all after it are answered.
    assert len(errors) <= 4
    assert all(before - 4 <= index <= killed + 200 for index in errors)


def test_nothing_of_it_is_left(project: Any, ray_cluster: Any) -> None:
    assert project.hotfire("delete", "--yes").returncode == 0
    assert ours(ray_cluster) == []
    assert ray_cluster.applications()["theirs"]["status"] == "RUNNING"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "instance_type: ray needs ray_address"),
        ({"ray_address": "ray://head:10001"}, "ray_address must be the address of a Ray dashboard"),
        ({"ray_address": "http://127.0.0.1:99999"}, "ray_address must be the address of a Ray dashboard"),
        ({"ray_address": "http://h:8265", "ray": {"replicas": 2}}, "ray.replicas is not a setting"),
        ({"ray_address": "http://h:8265", "install_requirements": True}, "the cluster's own Python"),
        ({"ray_address": "http://127.0.0.1:1"}, "no Ray cluster answers at http://127.0.0.1:1"),
    ],
)
def test_what_is_set_wrong_is_said(
    new_project: Callable[..., Any], tmp_path: Path, settings: dict[str, Any], said: str
) -> None:
    made = new_project(tmp_path / "wrong", "wrong")
    made.configure(model_name="wrong", instance_type="ray", **settings)
    done = made.hotfire("deploy")
    made.hotfire("delete", "--yes")
    assert done.returncode == 1
    assert said in done.stderr
