"""A project whose instances are containers: deployed, changed, deleted, and found again after a kill."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Machine, Project

SECONDS = 60.0


def wait_until(condition: Callable[[], bool]) -> None:
    """Look again and again; fail where it does not come."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def names(docker: Any, machine: Machine) -> Callable[[], list[str]]:
    """The names of the containers that this user's region has."""

    def names() -> list[str]:
        label = {"label": f"hotfire.home={machine.home}"}
        return [one.name for one in docker.containers.list(all=True, filters=label)]

    return names


@pytest.fixture
def deployed(project: Project, tiny_image: str) -> Project:
    project.configure(model_name=project.name, instance_type="local_container", image=tiny_image)
    project.deploy()
    return project


def kill_region(machine: Machine) -> None:
    """As by `kill -9`."""
    pid = machine.told("up")["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: machine.is_gone(pid))


def test_a_project_is_served_by_a_container_until_it_is_deleted(
    deployed: Project, names: Callable[[], list[str]]
) -> None:
    (first,) = names()
    assert first.startswith(f"hotfire-{deployed.name}-")
    assert deployed.ask() == {"answer": 1, "data": [1]}
    assert "loaded 1" in deployed.hotfire("logs").stdout

    deployed.edit("ANSWER = 1", "ANSWER = 2")
    deployed.deploy()
    assert deployed.ask()["answer"] == 2
    wait_until(lambda: first not in names())
    assert len(names()) == 1

    assert deployed.hotfire("delete", "--yes").returncode == 0
    assert names() == []


def test_a_version_that_dies_leaves_the_one_that_serves(
    deployed: Project, names: Callable[[], list[str]]
) -> None:
    before = names()
    deployed.edit('    print("loaded"', '    raise RuntimeError("no weights")\n    print("loaded"')
    failed = deployed.hotfire("deploy")
    assert failed.returncode == 1
    said = "the container ended with exit code 1 before it was healthy: RuntimeError: no weights"
    assert said in failed.stderr
    assert deployed.ask()["answer"] == 1
    assert names() == before


def test_what_the_container_printed_of_a_failed_example_is_told_by_this_deploy_and_the_next(
    deployed: Project,
) -> None:
    deployed.edit('    print("loaded"', '    global json\n    json = None\n    print("loaded"')
    deployed.write("examples/one.json", '{"request": {"body": [1]}}')
    for failed in (deployed.hotfire("deploy"), deployed.hotfire("deploy")):
        assert failed.returncode == 1
        assert "  The container printed: AttributeError: 'NoneType' object has no" in failed.stderr
        assert "`hotfire logs` shows what the container printed." in failed.stderr
    assert "is up to date" in failed.stdout


def test_a_region_that_was_killed_finds_its_container_again(
    machine: Machine, deployed: Project, names: Callable[[], list[str]]
) -> None:
    before = names()
    kill_region(machine)
    assert names() == before
    machine.told("up")
    assert deployed.ask()["answer"] == 1
    assert names() == before


def test_what_nobody_wants_after_a_kill_is_ended(
    machine: Machine, deployed: Project, names: Callable[[], list[str]]
) -> None:
    serving = set(names())
    kill_region(machine)
    # A container of a deploy that the kill came upon: no fleet of the store's is made of it.
    import docker

    client = docker.from_env()
    labels = {"hotfire.home": str(machine.home), "hotfire.endpoint": deployed.name}
    image = client.containers.get(next(iter(serving))).image
    client.containers.create(image, ["serve"], labels=labels)
    client.close()
    assert len(names()) == 2
    machine.told("up")
    assert deployed.ask()["answer"] == 1
    assert set(names()) == serving


def test_nothing_is_left_when_the_region_is_stopped(
    machine: Machine, deployed: Project, names: Callable[[], list[str]]
) -> None:
    assert names() != []
    assert machine.hotfire("down").returncode == 0
    assert names() == []
    machine.told("up")
    assert deployed.ask()["answer"] == 1


def test_an_image_that_cannot_be_had_leaves_nothing(
    project: Project, tiny_image: str, names: Callable[[], list[str]]
) -> None:
    image = "127.0.0.1:1/absent:1"
    project.configure(model_name=project.name, instance_type="local_container", image=image)
    before = names()
    failed = project.hotfire("deploy")
    assert failed.returncode == 1
    assert f"Error: the image {image} cannot be had: " in failed.stderr
    assert project.told("status")["state"] is None
    assert names() == before


def test_no_engine_is_one_clear_message(
    machines: Callable[[], Machine], new_project: Callable[..., Project], tiny_image: str, tmp_path: Path
) -> None:
    machine = machines()
    machine.use(DOCKER_HOST="unix:///nowhere.sock")
    project = new_project(tmp_path / "project", of=machine)
    project.configure(model_name=project.name, instance_type="local_container", image=tiny_image)
    failed = project.hotfire("deploy")
    assert failed.returncode == 1
    assert "Error: no container engine answers at unix:///nowhere.sock\n" in failed.stderr


def test_a_hosted_type_runs_in_a_container_of_its_size(
    docker: Any, project: Project, tiny_image: str, names: Callable[[], list[str]]
) -> None:
    before = set(names())
    project.configure(
        model_name=project.name, instance_type="ml.t2.medium", runs_as="container", image=tiny_image
    )
    project.deploy()
    (name,) = set(names()) - before
    assert docker.containers.get(name).attrs["HostConfig"]["Memory"] == 4 << 30


def test_an_endpoint_comes_back_when_docker_comes_up_after_the_region(
    machines: Callable[[], Machine],
    new_project: Callable[..., Project],
    own_docker: Callable[..., Any],
    tmp_path: Path,
) -> None:
    machine, daemon = machines(), own_docker()
    machine.use(**daemon.variables)
    project = new_project(tmp_path / "project", of=machine)
    project.configure(model_name=project.name, instance_type="local_container", image="hotfire-tests/tiny:2")
    project.deploy()
    assert machine.hotfire("down").returncode == 0
    daemon.stop()

    machine.told("up")
    wait_until(lambda: "no container engine answers" in (project.told("status")["reason"] or ""))
    assert project.told("status")["state"] == "SystemUpdating"
    asked = project.hotfire("invoke", "-d", "[1]")
    assert asked.returncode == 1
    assert "no container engine answers at unix:" in asked.stderr
    daemon.start()
    wait_until(lambda: project.told("status")["state"] == "InService")
    assert project.ask()["answer"] == 1

    # Its end under the endpoint is no more than a break.
    daemon.stop()
    daemon.start()
    wait_until(lambda: project.hotfire("invoke", "-d", "[1]").returncode == 0)
    assert project.hotfire("delete", "--yes").returncode == 0
    client = daemon.client()
    assert client.containers.list(all=True) == []
    client.close()
