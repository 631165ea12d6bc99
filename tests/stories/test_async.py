"""Requests that take their time: queued by one call, answered in a folder, whatever happens meanwhile."""

from __future__ import annotations

import json
import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Machine, Project

HANDLER = """\
import json, os, time

def model_fn(model_dir):
    return None

def transform_fn(model, body, content_type, accept):
    wanted = json.loads(body)
    print("begun", wanted.get("id"), flush=True)
    while wanted.get("flag") and not os.path.exists(wanted["flag"]):
        time.sleep(0.005)
    if wanted.get("fails"):
        raise ValueError("not this one")
    return wanted["id"] * wanted.get("times", 1), "text/csv"
"""


class Later:
    """An endpoint that queues its requests."""

    def __init__(self, machine: Machine, project: Project) -> None:
        self.machine, self.project, self.name = machine, project, project.name
        project.handler.write_text(HANDLER)
        self.configure(4)

    def configure(self, concurrency: int) -> None:
        self.project.configure(
            model_name=self.name,
            container_env={"SAGEMAKER_MODEL_SERVER_WORKERS": "2"},
            **{"async": {"output": "file://out", "failure": "file://failed", "max_concurrent": concurrency}},
        )

    def ask(self, runtime: Any, wanted: dict[str, Any], **params: Any) -> dict[str, Any]:
        """Queue a request, by its body if nothing else is given."""
        given = params if "InputLocation" in params else {**params, "Body": json.dumps(wanted)}
        told: dict[str, Any] = runtime.invoke_endpoint_async(
            EndpointName=self.name, ContentType="application/json", **given
        )
        assert told["ResponseMetadata"]["HTTPStatusCode"] == 202
        return told

    @property
    def log(self) -> str:
        return self.project.hotfire("logs").stdout


def path(address: str) -> Path:
    return Path(address.removeprefix("file://"))


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def written(told: dict[str, Any], place: str = "OutputLocation") -> str:
    """What comes of a request, when it has."""
    until(path(told[place]).exists)
    return path(told[place]).read_text()


@pytest.fixture
def later(machine: Machine, new_project: Callable[..., Project], tmp_path: Path) -> Iterator[Later]:
    later = Later(machine, new_project(tmp_path / "later", f"later-{secrets.token_hex(3)}"))
    later.project.deploy()
    yield later
    machine.hotfire("delete", "--yes", "--config", str(later.project.folder / "config.yml"))


@pytest.fixture
def runtime(machine: Machine, later: Later) -> Iterator[Any]:
    with machine.client("sagemaker-runtime") as client:
        yield client


def test_a_request_is_queued_and_answered_in_a_folder(later: Later, runtime: Any, tmp_path: Path) -> None:
    told = later.ask(runtime, {"id": "a"})
    assert path(told["OutputLocation"]).parent == later.project.folder / "out"
    assert path(told["FailureLocation"]).parent == later.project.folder / "failed"
    assert written(told) == "a"
    (tmp_path / "input.json").write_text('{"id": "from a file"}')
    told = later.ask(runtime, {}, InputLocation=f"file://{tmp_path / 'input.json'}", InferenceId="mine")
    assert told["InferenceId"] == "mine"
    assert written(told) == "from a file"
    assert "request mine answered: " in later.log


def test_a_failure_is_written_beside(later: Later, runtime: Any) -> None:
    told = later.ask(runtime, {"id": "a", "fails": 1})
    assert "not this one" in written(told, "FailureLocation")
    assert not path(told["OutputLocation"]).exists()


def test_a_region_that_is_killed_goes_on_when_it_is_back(later: Later, runtime: Any, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    asked = [later.ask(runtime, {"id": f"r{number}", "flag": str(flag)}) for number in range(6)]
    until(lambda: later.log.count("begun") == 2)
    region = json.loads((later.machine.home / "region.json").read_text())
    os.kill(region["pid"], signal.SIGKILL)
    until(lambda: later.machine.is_gone(region["pid"]))
    assert later.machine.hotfire("up").returncode == 0
    flag.touch()
    assert [written(told) for told in asked] == [f"r{number}" for number in range(6)]


def test_a_region_that_is_stopped_goes_on_when_it_is_back(later: Later, runtime: Any, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    told = later.ask(runtime, {"id": "patient", "flag": str(flag)})
    until(lambda: "begun patient" in later.log)
    assert later.machine.hotfire("down").returncode == 0
    assert later.machine.hotfire("up").returncode == 0
    flag.touch()
    assert written(told) == "patient"


def test_a_deploy_in_between_loses_nothing(later: Later, runtime: Any, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    asked = [later.ask(runtime, {"id": f"r{number}", "flag": str(flag)}) for number in range(6)]
    later.project.edit('wanted["id"] *', '"new " + wanted["id"] *')
    later.project.deploy()
    flag.touch()
    answers = [written(told) for told in asked]
    assert [answer.removeprefix("new ") for answer in answers] == [f"r{number}" for number in range(6)]
    assert answers[-1] == "new r5"


def test_what_waits_for_a_deleted_endpoint_fails(later: Later, runtime: Any, tmp_path: Path) -> None:
    later.configure(1)
    later.project.deploy()
    flag = tmp_path / "flag"
    first = later.ask(runtime, {"id": "first", "flag": str(flag)})
    until(lambda: "begun first" in later.log)
    waiting = later.ask(runtime, {"id": "waiting"})
    with later.machine.client() as client:
        client.delete_endpoint(EndpointName=later.name)
        assert "was deleted" in written(waiting, "FailureLocation")
        flag.touch()
        assert written(first) == "first"
        client.get_waiter("endpoint_deleted").wait(EndpointName=later.name)


def test_the_command_queues_and_waits(later: Later) -> None:
    told = later.project.told("invoke", "--async", "-d", '{"id": "c"}')
    until(path(told["output"]).exists)
    done = later.project.hotfire("invoke", "--async", "--wait", "-d", '{"id": "c", "times": 3}')
    assert (done.returncode, done.stdout) == (0, "ccc"), done.stderr
    done = later.project.hotfire("invoke", "--async", "--wait", "-d", '{"id": "c", "fails": 1}')
    assert done.returncode == 1
    assert "not this one" in done.stderr


def test_examples_are_sent_to_such_an_endpoint_too(later: Later) -> None:
    example = {"request": {"body": {"id": "x"}}, "expect": {"value": "x"}}
    later.project.write("examples/one.json", json.dumps(example))
    done = later.project.hotfire("test")
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_endpoint_is_asked_in_its_own_way(later: Later, runtime: Any, project: Project) -> None:
    project.deploy()
    refused = runtime.exceptions.ValidationError
    with pytest.raises(refused, match=f"Endpoint {later.name} of account 000000000000 does not support"):
        runtime.invoke_endpoint(EndpointName=later.name, Body=b"1")
    with pytest.raises(refused, match=f"Endpoint {project.name} of account 000000000000 does not support"):
        runtime.invoke_endpoint_async(EndpointName=project.name, Body=b"1")
    with pytest.raises(refused, match="less than or equal to 128000"):
        runtime.invoke_endpoint_async(EndpointName=later.name, Body=b"1" * 128_001)
    with pytest.raises(refused, match="Exactly one of Body and InputLocation"):
        runtime.invoke_endpoint_async(EndpointName=later.name, Body=b"1", InputLocation="s3://a/b")
