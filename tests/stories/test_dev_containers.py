"""Somebody works on a handler that is served in a container: of an image by Hotfire, or of any other."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Dev, Machine, Project

SECONDS = 60.0
HANDLER = """\
import json

def model_fn(model_dir):
    print("loaded the model", flush=True)
    return 1

def input_fn(body, content_type):
    return json.loads(body)

def predict_fn(data, model):
    return {"version": 1, "data": data}

def output_fn(prediction, accept):
    return json.dumps(prediction)
"""
EXAMPLE = {"request": {"body": [1]}, "expect": {"status": 200}}


def containers(docker: Any, machine: Machine) -> list[Any]:
    """Those that this user's region has."""
    found: list[Any] = docker.api.containers(all=True, filters={"label": f"hotfire.home={machine.home}"})
    return found


@pytest.fixture(scope="module")
def developed(
    machine: Machine,
    new_project: Callable[..., Project],
    own_image: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Project:
    """A project whose instances are containers of our own image."""
    project = new_project(tmp_path_factory.mktemp("developed"), "developed")
    project.configure(
        model_name=project.name,
        instance_type="local_container",
        image=own_image,
        container_env={"SAGEMAKER_MODEL_SERVER_WORKERS": "1"},
    )
    project.write("serve.py", HANDLER)
    project.write("examples/one.json", json.dumps(EXAMPLE))
    return project


@pytest.fixture(scope="module")
def session(developed: Project) -> Iterator[Dev]:
    with closing(developed.dev()) as dev:
        dev.until("✓", "one")
        yield dev


@pytest.fixture
def dev(developed: Project, session: Dev) -> Iterator[Dev]:
    """The session with the first handler; what was said before is forgotten."""
    if developed.handler.read_text() != HANDLER:
        developed.write("serve.py", HANDLER)
        session.until("✓", "one")
    session.said.clear()
    return session


@pytest.fixture
def container(docker: Any, machine: Machine, dev: Dev) -> str:
    """The container that serves."""
    (one,) = containers(docker, machine)
    return str(one["Id"])


def test_a_save_is_taken_in_and_the_model_kept(
    docker: Any, machine: Machine, developed: Project, dev: Dev, container: str
) -> None:
    developed.edit('"data": data}', '"data": data[::-1]}')
    dev.until("kept the model: only predict_fn changed")
    dev.until("✓", "one")
    assert developed.ask("[1, 2]") == {"version": 1, "data": [2, 1]}
    assert [line for line in dev.said if "loaded the model" in line] == []
    assert [one["Id"] for one in containers(docker, machine)] == [container]


def test_what_model_fn_reads_is_loaded_anew_in_the_same_container(
    docker: Any, machine: Machine, developed: Project, dev: Dev, container: str
) -> None:
    developed.edit("    return 1", "    return 2")
    dev.until("loaded the model")
    dev.until("full reload", "model_fn")
    dev.until("✓", "one")
    assert [one["Id"] for one in containers(docker, machine)] == [container]


def test_a_broken_save_is_what_clients_are_told_until_it_is_mended(
    docker: Any, machine: Machine, developed: Project, dev: Dev, container: str
) -> None:
    developed.edit("def predict_fn(data, model):", "def predict_fn(data, model)")
    dev.until("SyntaxError: expected ':'")
    asked = developed.hotfire("invoke", "-d", "[1]")
    assert asked.returncode == 1
    assert "expected ':'" in asked.stderr
    developed.edit("def predict_fn(data, model)", "def predict_fn(data, model):")
    dev.until("✓", "one")
    assert developed.ask() == {"version": 1, "data": [1]}
    assert [one["Id"] for one in containers(docker, machine)] == [container]


def test_a_failure_is_explained_as_one_of_this_machines_processes(developed: Project, dev: Dev) -> None:
    developed.edit('    return {"version"', '    raise KeyError("age")\n    return {"version"')
    dev.until("✗", "one")
    dev.until("serve.py:", "in predict_fn")
    dev.until("data", "[1]")


def test_no_request_fails_and_each_answer_is_of_the_version_that_lives(
    machine: Machine, developed: Project, dev: Dev
) -> None:
    live, saved, done = [1], [1], threading.Event()
    wrong: list[Any] = []
    asked = [0]

    def ask() -> None:
        with machine.client("sagemaker-runtime", retries={"total_max_attempts": 1}) as client:
            while not done.is_set():
                before = live[0]
                try:
                    answer = client.invoke_endpoint(
                        EndpointName=developed.name, Body=b"[1]", ContentType="application/json"
                    )
                    version = json.loads(answer["Body"].read())["version"]
                except Exception as error:  # noqa: BLE001  # whatever it is, the request has failed
                    wrong.append(error)
                    return
                asked[0] += 1
                if not before <= version <= saved[0]:
                    wrong.append((before, version, saved[0]))

    clients = [threading.Thread(target=ask) for _ in range(3)]
    for one in clients:
        one.start()
    try:
        for number in range(2, 8):
            saved[0] = number
            text = HANDLER.replace('"version": 1', f'"version": {number}')
            # Each third is a full reload.
            developed.write("serve.py", text if number % 3 else text.replace("return 1", f"return {number}"))
            dev.until("✓", "one")
            live[0] = number
    finally:
        done.set()
        for one in clients:
            one.join()
    assert wrong == []
    assert asked[0] > 10


def test_a_container_that_is_killed_is_replaced_with_the_code_that_was_live(
    docker: Any, machine: Machine, developed: Project, dev: Dev, container: str
) -> None:
    developed.edit('"version": 1', '"version": 9')
    dev.until("kept the model")
    dev.until("✓", "one")
    docker.containers.get(container).kill()
    deadline = time.monotonic() + SECONDS
    while (asked := developed.hotfire("invoke", "-d", "[1]")).returncode:
        assert time.monotonic() < deadline, asked.stderr
    assert json.loads(asked.stdout)["version"] == 9
    assert [one["Id"] for one in containers(docker, machine)] != [container]


def test_what_was_deployed_answers_again_and_nothing_is_left(
    docker: Any, machine: Machine, developed: Project, session: Dev
) -> None:
    """The last one: it ends the session."""
    session.end()
    deadline = time.monotonic() + SECONDS
    while containers(docker, machine):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert list((machine.home / "instances").glob("lease-*")) == []


def test_a_container_that_is_deployed_takes_no_orders(
    docker: Any, machine: Machine, developed: Project
) -> None:
    developed.deploy()
    (one,) = containers(docker, machine)
    (port,) = {each["PublicPort"] for each in one["Ports"] if each.get("PublicPort")}
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)) as connection:
        connection.request("POST", "/_hotfire/load", b"{}", {"X-Hotfire-Secret": ""})
        assert connection.getresponse().status == 404
    assert developed.ask() == {"version": 1, "data": [1]} or developed.ask()["data"] == [1]
    assert developed.hotfire("delete", "--yes").returncode == 0


def test_of_an_image_that_is_not_ours_each_save_starts_another_container(
    docker: Any, machine: Machine, project: Project, tiny_image: str
) -> None:
    project.configure(model_name=project.name, instance_type="local_container", image=tiny_image)
    project.write("serve.py", HANDLER)
    project.write("examples/one.json", json.dumps(EXAMPLE))
    with closing(project.dev()) as dev:
        dev.until("✓", "one")
        assert any(f"{tiny_image} was not made by Hotfire" in line for line in dev.said)
        before = [one["Id"] for one in containers(docker, machine)]
        project.edit('"version": 1', '"version": 2')
        dev.until(f"a new container of {tiny_image}")
        dev.until("✓", "one")
        assert project.ask() == {"version": 2, "data": [1]}
        deadline = time.monotonic() + SECONDS
        while len(after := [one["Id"] for one in containers(docker, machine)]) != 1:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert after != before


def test_debuggers_do_not_reach_into_containers(project: Project, tiny_image: str) -> None:
    project.configure(model_name=project.name, instance_type="local_container", image=tiny_image)
    for option in ("--debug", "--profile"):
        refused = project.hotfire("dev", option)
        assert refused.returncode == 1
        assert f"{option} looks into processes of this machine" in refused.stderr
