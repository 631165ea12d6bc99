"""Somebody works on a handler that is served in a container: of an image by Hotfire, or of any other."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Dev, Machine, Project

SECONDS = 60.0
HANDLER = """\
import json, time

def model_fn(model_dir):
    print("loaded the model", flush=True)
    return time.time_ns() + 0

def input_fn(body, content_type):
    return json.loads(body)

def predict_fn(data, model):
    if data == "slow":
        print("slow begins", flush=True)
        time.sleep(2)
    return {"version": 1, "data": data, "loaded": model}

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
    own_image: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> Project:
    """A project whose instances are containers of our own image."""
    project = new_project(tmp_path_factory.mktemp("developed"), "developed")
    project.configure(
        model_name=project.name,
        instance_type="local_container",
        image=own_image.name,
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
    loaded = developed.ask()["loaded"]
    developed.edit('"data": data,', '"data": data[::-1],')
    dev.until("kept the model: only predict_fn changed")
    dev.until("✓", "one")
    assert developed.ask("[1, 2]") == {"version": 1, "data": [2, 1], "loaded": loaded}
    assert [one["Id"] for one in containers(docker, machine)] == [container]


def test_what_model_fn_reads_is_loaded_anew_in_the_same_container(
    docker: Any, machine: Machine, developed: Project, dev: Dev, container: str
) -> None:
    loaded = developed.ask()["loaded"]
    developed.edit("time_ns() + 0", "time_ns() + 1")
    dev.until("full reload", "model_fn")
    dev.until("✓", "one")
    assert developed.ask()["loaded"] > loaded
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
    assert developed.ask()["version"] == 1
    assert [one["Id"] for one in containers(docker, machine)] == [container]


def test_a_failure_is_explained_as_one_of_this_machines_processes(developed: Project, dev: Dev) -> None:
    developed.edit('    return {"version"', '    raise KeyError("age")\n    return {"version"')
    dev.until("✗", "one")
    dev.until("serve.py:", "in predict_fn")
    dev.until("data", "[1]")


class Asking:
    """A client that asks again and again which version answers; `wrong` is what it should not have met."""

    def __init__(self, client: Any, endpoint: str, life: Life) -> None:
        self.wrong: list[Any] = []
        self.asked = 0
        self._client, self._endpoint, self._life = client, endpoint, life
        self.thread = threading.Thread(target=self._ask)
        self.thread.start()

    def _ask(self) -> None:
        while not self._life.is_over:
            before = self._life.live
            try:
                answer = self._client.invoke_endpoint(
                    EndpointName=self._endpoint, Body=b"[1]", ContentType="application/json"
                )
                version = json.loads(answer["Body"].read())["version"]
            except Exception as error:  # noqa: BLE001  # whatever it is, the request has failed
                self.wrong.append(error)
                return
            self.asked += 1
            if not before <= version <= self._life.saved:
                self.wrong.append((before, version, self._life.saved))


@dataclass
class Life:
    """Of a handler: which version is known to live, and which has been saved."""

    live: int = 1
    saved: int = 1
    is_over: bool = False


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_no_request_fails_and_each_answer_is_of_the_version_that_lives(
    machine: Machine, developed: Project, dev: Dev
) -> None:
    life = Life()
    with ExitStack() as stack:
        once = {"retries": {"total_max_attempts": 1}}
        clients = [stack.enter_context(machine.client("sagemaker-runtime", **once)) for _ in range(3)]
        asking = [Asking(client, developed.name, life) for client in clients]
        try:
            wait_for(lambda: all(one.asked for one in asking))
            for number in range(2, 8):
                life.saved = number
                text = HANDLER.replace('"version": 1', f'"version": {number}')
                is_full = number % 3 == 0
                developed.write("serve.py", text.replace("+ 0", f"+ {number}") if is_full else text)
                dev.until("✓", "one")
                life.live = number
        finally:
            life.is_over = True
            for one in asking:
                one.thread.join()
    assert [one.wrong for one in asking] == [[], [], []]


def test_what_is_in_hand_ends_on_the_code_that_it_began_with(developed: Project, dev: Dev) -> None:
    with ThreadPoolExecutor(1) as client:
        asked = client.submit(developed.ask, '"slow"')
        dev.until("slow begins")
        developed.edit('"version": 1', '"version": 2')
        dev.until("✓", "one")
        assert not asked.done()
        assert asked.result()["version"] == 1
    assert developed.ask()["version"] == 2


def test_other_requirements_are_for_another_image(developed: Project, dev: Dev) -> None:
    developed.write("requirements.txt", "# as before\n")
    dev.until("has the packages that it was built with; `hotfire image` builds another")
    dev.until("✓", "one")


def test_a_container_that_is_killed_is_replaced_with_the_code_that_was_live(
    docker: Any, machine: Machine, developed: Project, dev: Dev, container: str
) -> None:
    developed.edit('"version": 1', '"version": 9')
    dev.until("kept the model")
    dev.until("✓", "one")
    docker.containers.get(container).kill()
    wait_for(lambda: developed.hotfire("invoke", "-d", "[1]").returncode == 0)
    assert developed.ask()["version"] == 9
    assert [one["Id"] for one in containers(docker, machine)] != [container]


def test_what_was_deployed_answers_again_and_nothing_is_left(
    docker: Any, machine: Machine, developed: Project, session: Dev
) -> None:
    """The last one: it ends the session."""
    session.end()
    wait_for(lambda: not containers(docker, machine))
    wait_for(lambda: not list((machine.home / "instances").glob("lease-*")))


def test_a_container_that_is_deployed_takes_no_orders(
    docker: Any, machine: Machine, developed: Project
) -> None:
    developed.deploy()
    (one,) = containers(docker, machine)
    (port,) = {each["PublicPort"] for each in one["Ports"] if each.get("PublicPort")}
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)) as connection:
        connection.request("POST", "/_hotfire/load", b"{}", {"X-Hotfire-Secret": ""})
        assert connection.getresponse().status == 404
    assert developed.ask()["data"] == [1]

    # One that cannot be loaded is not waited for until the start's time is over.
    developed.edit("time.time_ns() + 0", "[][0]")
    failed = developed.hotfire("deploy")
    assert failed.returncode == 1
    assert "IndexError: list index out of range" in failed.stderr
    assert developed.ask()["data"] == [1]
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
        assert project.ask()["version"] == 2
        wait_for(lambda: len(containers(docker, machine)) == 1)
        assert [one["Id"] for one in containers(docker, machine)] != before


def test_a_failure_of_an_example_of_which_nothing_is_expected_is_not_offered_to_be_accepted(
    project: Project, tiny_image: str
) -> None:
    project.configure(model_name=project.name, instance_type="local_container", image=tiny_image)
    project.write("serve.py", HANDLER.replace("    if data ==", "    import nosuchthing\n    if data =="))
    project.write("examples/one.json", json.dumps({"request": {"body": [1]}}))
    with closing(project.dev()) as dev:
        dev.until("status 500, expected 200")
        project.edit("    import nosuchthing\n", "")
        dev.until("✓", "one")
        dev.until("new: nothing is expected of it yet")
        assert sum("new: nothing is expected" in line for line in dev.said) == 1


def test_saves_are_taken_in_though_no_image_of_the_requirements_can_be_built(
    machine: Machine, project: Project, own_image: Any
) -> None:
    settings = own_image.give(project.folder)
    project.configure(model_name=project.name, instance_type="local_container", **settings)
    project.write("serve.py", HANDLER)
    project.write("examples/one.json", json.dumps(EXAMPLE))
    with closing(project.dev()) as dev:
        dev.until("✓", "one")
        project.write("requirements.txt", "no-such-package-of-hotfire==1.0\n")
        dev.until(
            "Error: the requirements cannot be resolved: no-such-package-of-hotfire==1.0 cannot be found"
        )
        dev.until("Goes on with ", ", which has other packages than requirements.txt asks for.")
        dev.until("✓", "one")
        dev.said.clear()

        project.edit('"version": 1', '"version": 2')
        dev.until("✓", "one")
        assert project.ask()["version"] == 2
        project.write("requirements.txt", "# nothing\n")
        dev.until("code/requirements.txt changed")
        dev.until("✓", "one")
        assert [line for line in dev.said if "resolve" in line] == []


def test_debuggers_do_not_reach_into_containers(project: Project, tiny_image: str) -> None:
    project.configure(model_name=project.name, instance_type="local_container", image=tiny_image)
    for option in ("--debug", "--profile"):
        refused = project.hotfire("dev", option)
        assert refused.returncode == 1
        assert f"{option} looks into processes of this machine" in refused.stderr
